from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from runbook_lib import display
from runbook_lib.display import Table, Text, cell, show, text
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import Progress
from runbook_lib.resources import Found
from runbook_lib.topology import topology
from tests.conftest import Recorder


@dataclass(frozen=True)
class Host:
    name: str
    public_ip: str | None
    ports: tuple[int, ...]


DASH = "\N{EN DASH}"
ONE, TWO = Host("one", None, (80, 443)), Host("two", "192.0.2.7", ())


def cells_of(shown: Any) -> list[list[str]]:
    """The table as a browser would build it; fails on markup that is not well-formed."""
    rows = ET.fromstring(shown._repr_html_()).iter("tr")
    return [["".join(part.itertext()) for part in row] for row in rows]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, DASH),
        ("", DASH),
        ((), DASH),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1.234, "1.23"),
        (["a", None], f"a, {DASH}"),
        (((1, 2), 3), "1, 2, 3"),
        ({"a": True, "b": [1]}, "a: yes, b: 1"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("what", "rows"),
    [
        ((ONE, TWO), [["name", "public_ip", "ports"], ["one", DASH, "80, 443"], ["two", "192.0.2.7", DASH]]),
        ([ONE], [["name", "public_ip", "ports"], ["one", DASH, "80, 443"]]),
        ([{"a": 1, "b": None}], [["a", "b"], ["1", DASH]]),
        ({"x": ONE}, [["", "name", "public_ip", "ports"], ["x", "one", DASH, "80, 443"]]),
        ({}, [["name", "value"]]),
        (ONE, [["what", "value"], ["name", "one"], ["public_ip", DASH], ["ports", "80, 443"]]),
        ({"a": 1}, [["name", "value"], ["a", "1"]]),
    ],
)
def test_records_become_rows(what: Any, rows: list[list[str]]) -> None:
    shown = show(what)
    assert cells_of(shown) == rows
    assert [line.split("  ")[0] for line in repr(shown).splitlines()] == [row[0] for row in rows]


def test_no_records_are_said_to_be_none() -> None:
    assert repr(show([], "Tunnels")) == "Tunnels\nnone"


@pytest.mark.parametrize("what", ["text", 7, None])
def test_anything_else_is_shown_as_it_is(what: object) -> None:
    assert show(what) is what


def test_markup_in_values_stays_text() -> None:
    hostile = "<script>alert('&')</script>"
    table = Table(("<b>",), [(hostile,)], caption="<i>")
    assert cells_of(table) == [["<b>"], [hostile]]
    assert "<script>" not in table._repr_html_() + text(hostile, "<b>")._repr_html_()


def test_plain_tables_line_up() -> None:
    assert repr(Table(("a", "long title"), [("longer", 1), ("b", 2)], "caption")).splitlines() == [
        "caption",
        "a       long title",
        "longer  1",
        "b       2",
    ]


def test_texts_show_their_caption_and_content() -> None:
    shown = text("a\n  b\n", "file")
    assert repr(shown) == "file\na\n  b"
    assert "<pre" in shown._repr_html_()
    assert "a\n  b</pre>" in shown._repr_html_()
    assert repr(Text("a")) == "a"


def test_a_plan_shows_what_is_to_be_done_and_why() -> None:
    wanted = topology(Params(), public_key="ssh-ed25519 AAAA operator", script=lambda *_: "")
    first = wanted.step("00_provision")[0]
    found = {first.key: Found(first.key, "id", {}, dict(first.spec))}
    shown = show(plan(wanted, found, "00_provision"))
    assert shown.caption.startswith("00_provision: ")
    cloud, kind, name = first.key.split(":")
    assert ["create", "gcp", "network", "demo-network", "missing"] in cells_of(shown)
    assert not [row for row in cells_of(shown) if row[1:4] == [cloud, kind, name]], "what is kept is no work"


def sign(state: Any, done: int) -> Progress:
    return Progress("aws:vpc:demo-vpc", "create", state, 0.0, done, 2)


def test_progress_says_what_has_been_waited_for_the_longest_and_tells_the_recorder(recorder: Recorder) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        progress = display.Progress("00_provision")
        progress(Progress("aws:vpc:demo-vpc", "create", "begun", 0.0, 0, 2))
        progress(Progress("gcp:network:demo-network", "create", "running", 7.0, 0, 2))
        progress(Progress("aws:vpc:demo-vpc", "create", "running", 12.0, 0, 2))
        shown = progress._line()
        progress(Progress("gcp:network:demo-network", "create", "done", 12.0, 1, 2))
        progress.__exit__(None, None, None)
    assert shown.endswith("create aws:vpc:demo-vpc since 12 s and 1 more")
    told = [(event["kind"], event["what"], event.get("seconds")) for event in recorder.take()]
    assert told == [
        ("waiting", "gcp:network:demo-network (create)", 7.0),
        ("waiting", "aws:vpc:demo-vpc (create)", 12.0),
        ("arrived", "gcp:network:demo-network (create)", None),
    ]


@pytest.mark.parametrize(("error", "word"), [(None, "done"), (ValueError("no"), "stopped")])
def test_progress_ends_with_what_became_of_it(error: Exception | None, word: str) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        progress = display.Progress("00_provision")
        progress(sign("begun", 0))
        progress(sign("done", 1))
        progress.__exit__(type(error) if error else None, error, None)
    lines = out.getvalue().splitlines()
    assert lines[0].endswith("create aws:vpc:demo-vpc since 0 s")
    assert lines[-1].startswith(f"00_provision: {word}, 1 of 2 jobs")
