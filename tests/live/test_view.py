"""What a view keeps of its looks; that it refreshes for real is tried in tests/e2e/test_walk_live.py."""

from __future__ import annotations

import pytest

from runbook_lib import display
from runbook_lib.live.view import Account, Look, Row, View

ALIVE, FAILED = Row(("alive",), ("1.8.7",)), Row(("failed",), ("1.8.7",))


def told(*looks: Look) -> list[tuple[str, ...]]:
    """The rows after these looks, taken a second apart."""
    account = Account("datacenter", "node", "state", "version")
    for second, look in enumerate(looks):
        account.take(look, f"10:00:0{second}")
    return [
        tuple("same" if cell == display.cell("") else cell for cell in row) for row in account.table("caption").rows
    ]


@pytest.mark.parametrize(
    ("looks", "changes"),
    [
        ([{"a": ALIVE}], ["a alive same"]),
        ([{"a": ALIVE}, {"a": ALIVE}], ["a alive same"]),
        ([{"a": ALIVE}, {"a": FAILED}], ["a failed 10:00:01 alive → failed (just now)"]),
        ([{"a": ALIVE}, {"a": FAILED}, {"a": FAILED}], ["a failed 10:00:01 alive → failed"]),
        ([{"a": ALIVE}, {"a": ALIVE, "b": ALIVE}], ["a alive same", "b alive 10:00:01 new (just now)"]),
        ([{"a": ALIVE, "b": ALIVE}, {"a": ALIVE}], ["a alive same", "b alive 10:00:01 gone (just now)"]),
        ([{"a": ALIVE, "b": ALIVE}, {"a": ALIVE}, {"a": ALIVE}], ["a alive same", "b alive 10:00:01 gone"]),
        (
            [{"a": ALIVE, "b": ALIVE}, {"a": ALIVE}, {"a": ALIVE, "b": ALIVE}],
            ["a alive same", "b alive 10:00:02 back (just now)"],
        ),
        ([{"a": ALIVE}, {"a": Row(("alive",), ("1.9",))}], ["a alive same"]),
    ],
)
def test_changes_are_told(looks: list[dict[str, Row]], changes: list[str]) -> None:
    rows = told(*(Look({("dc", node): row for node, row in look.items()}) for look in looks))
    assert [f"{node} {state} {change}" for _, node, state, _, change in rows] == changes


@pytest.mark.parametrize("group", ["dc", ""])
def test_what_could_not_be_looked_at_stays_and_the_trouble_is_told(group: str) -> None:
    rows = told(Look({("dc", "a"): ALIVE}), Look(troubles={group: "away"}))
    assert rows[0][:3] == ("dc", "a", "alive") and "gone" not in rows[0][-1]
    assert "away" in rows[1]
    assert len(told(Look({("dc", "a"): ALIVE}), Look(troubles={group: "away"}), Look({("dc", "a"): ALIVE}))) == 1


def test_a_group_seen_for_the_first_time_is_not_new() -> None:
    rows = told(Look({("dc", "a"): ALIVE}, {"other": "away"}), Look({("dc", "a"): ALIVE, ("other", "b"): ALIVE}))
    assert [row[-1] for row in rows] == ["same", "same"]


def test_changes_are_marked_for_one_look() -> None:
    account = Account("datacenter", "node", "state", "version")
    marks = []
    for row in (ALIVE, FAILED, FAILED):
        account.take(Look({("dc", "a"): row}), "now")
        marks.append(set(account.table("").marked))
    assert marks == [set(), {0}, set()]


def test_outside_a_kernel_it_looks_once_whatever_goes_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    looks = []

    def look() -> Look:
        looks.append(1)
        raise ValueError("no way")

    view = View("Things", Account("group", "thing", "state"), look, minutes=1).begin()
    view.stop()
    assert len(looks) == 1 and not view.running
    shown = capsys.readouterr().out
    assert shown.startswith("Things, as of ") and "looked at once" in shown and "ValueError: no way" in shown
