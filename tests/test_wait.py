"""The polling loop."""

from __future__ import annotations

import time

import pytest

from runbook_lib import wait
from runbook_lib.errors import WaitTimeout


def test_it_returns_the_first_answer_that_will_do() -> None:
    answers = iter([1, 2, 3, 4])
    assert wait.until(lambda: next(answers), lambda seen: seen >= 3, what="three", timeout=5, interval=0) == 3
    assert next(answers) == 4


def test_it_looks_at_least_once() -> None:
    assert wait.until(lambda: "there", bool, what="it", timeout=0) == "there"


def test_giving_up_says_what_was_last_seen_and_what_to_do() -> None:
    with pytest.raises(WaitTimeout) as caught:
        wait.until(
            lambda: [1],
            lambda seen: False,
            what="a leader",
            timeout=0,
            describe=lambda seen: f"{len(seen)} peer",
            remedy="look at the log",
        )
    text = str(caught.value)
    assert "a leader" in text and "1 peer" in text and "look at the log" in text


def test_tolerated_errors_mean_not_yet_and_are_shown_at_the_end() -> None:
    nothing: dict[str, str] = {}
    with pytest.raises(WaitTimeout) as caught:
        wait.until(lambda: nothing["key"], bool, what="it", timeout=0, tolerate=(KeyError,))
    assert "KeyError" in str(caught.value.seen)


def test_other_errors_pass_through_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        wait.until(lambda: 1 / 0, bool, what="it", timeout=60)


def test_who_waits_long_asks_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(WaitTimeout):
        wait.until(lambda: 0, bool, what="it", timeout=600, interval=0.3, longest=5)
    assert max(pauses[:5]) < 0.4
    assert 4 <= max(pauses) <= 6
    assert len(set(pauses)) > 10
    assert sum(pauses) == pytest.approx(600)
    pauses.clear()
    with pytest.raises(WaitTimeout):
        wait.until(lambda: 0, bool, what="it", timeout=10, interval=1)
    assert set(pauses) == {1}
