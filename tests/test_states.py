"""Waiting for a whole deployment; what makes one is for tests/e2e, on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runbook_lib import states
from runbook_lib.checks import Check, equal
from runbook_lib.errors import AccessError
from tests.standing import site_of


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

    monkeypatch.setattr(states, "whole", whole)


AWAY = AccessError("no server currently reachable", resource="x", expected="x", seen="x", remedy="x")


def test_who_was_given_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, AWAY, seen(1), seen(0))
    assert states.until_whole(site_of({})) == (seen(0),)


def test_what_stays_away_is_in_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, AWAY, seen(2), seen(1))
    assert states.until_whole(site_of({}), timeout=1).failed == (seen(1),)
