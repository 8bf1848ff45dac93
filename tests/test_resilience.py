"""The parts of the experiments that need no cloud; they are run for real in tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib import resilience, states
from runbook_lib.checks import Check, equal
from runbook_lib.errors import AccessError, PrerequisiteError
from runbook_lib.params import Params
from runbook_lib.resources import OPTIONAL, Found
from runbook_lib.site import Site
from tests.experiments import experiment
from tests.standing import site_of, standing


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    params = Params(keys=str(tmp_path / "a b"), aws_endpoint="")
    made = site_of(standing(params), params)
    yield made
    made.close()


def test_a_command_is_given_parameters_word_by_word(site: Site) -> None:
    said = resilience.command(site, "printf '<%s>' --endpoint {aws_endpoint} {keys} 'two words'")
    assert said == f"<--endpoint><><{site.params.keys}><two words>"


def test_a_program_of_this_environment_is_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "fault" in resilience.command(site, "runbook lab --help")


def test_a_program_that_is_not_there_is_named(site: Site) -> None:
    with pytest.raises(PrerequisiteError, match="does not work here") as caught:
        resilience.command(site, "no-such-program cut")
    assert caught.value.seen == "no program no-such-program"
    assert caught.value.resource == "no-such-program cut"
    assert "leave this experiment out" in caught.value.remedy


def test_a_command_that_fails_says_why(site: Site) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        resilience.command(site, "sh -c 'echo no such lab >&2; exit 3'")
    assert caught.value.seen == "exit status 3: no such lab"


def test_without_test_servers_the_missing_ones_are_named(tmp_path: Path) -> None:
    params = Params(keys=str(tmp_path))
    found: dict[str, Found] = {key: thing for key, thing in standing(params).items() if "-gcp-test-" not in key}
    site = site_of(found, params)
    try:
        with pytest.raises(PrerequisiteError, match="04_test has not run") as caught:
            resilience.leader_killed(site, "gcp")
    finally:
        site.close()
    assert caught.value.resource == "web of gcp"
    assert caught.value.step == states.STEP == OPTIONAL[0]


def test_the_table_has_a_row_for_each_experiment() -> None:
    shown = repr(resilience.table([experiment(), experiment(fault="leader killed", answers=(), mended=None, hand="")]))
    rows = shown.splitlines()[2:]
    assert [row.split("  ")[0] for row in rows] == ["web-1 hangs", "leader killed"]
    assert "t-1: 1, t-2: 1" in rows[0]
    assert rows[1].endswith("itself")


def test_what_was_said_names_who_said_it() -> None:
    shown = repr(resilience.said(experiment()))
    assert "1 of 1 different lines" in shown
    assert "Check is now critical" in shown
    assert "web-1 3" in shown
    assert "none" in repr(resilience.said(experiment(said=())))


# ---- waiting until all is whole -------------------------------------------------------------------------------


def seen(number: int) -> Check:
    return equal("agents that are not alive", [], ["server"] * number)


def looks(monkeypatch: pytest.MonkeyPatch, *answers: Check | AccessError) -> None:
    """What one look after the other sees; the last one again and again."""
    left = list(answers)

    def whole(_: object) -> Iterator[Check]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, AccessError):
            raise answer
        yield answer

    monkeypatch.setattr(resilience, "whole", whole)


AWAY = AccessError("no server currently reachable", resource="x", expected="x", seen="x", remedy="x")


def test_who_was_given_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, AWAY, seen(1), seen(0))
    assert resilience.until_whole(site_of({})) == (seen(0),)


def test_what_stays_away_is_in_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, AWAY, seen(2), seen(1))
    assert resilience.until_whole(site_of({}), timeout=1).failed == (seen(1),)
