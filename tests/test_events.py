"""What a notebook's cells tell the recorder, over a real socket."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from runbook_lib import checks, events, wait


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> events.Listener:
    listener = events.Listener(tmp_path / "events")
    monkeypatch.setenv(events.ADDRESS, str(listener.path))
    return listener


def test_events_come_in_order_with_what_they_tell(listener: events.Listener) -> None:
    events.emit(events.WAITING, what="a leader", seconds=1.5, seen=Path("none"))
    events.emit(events.SECRET, must_arrive=True, name="key", value="s3cr3t\n")
    assert list(listener.take()) == [
        {"kind": "waiting", "what": "a leader", "seconds": 1.5, "seen": "none"},
        {"kind": "secret", "name": "key", "value": "s3cr3t\n"},
    ]
    assert list(listener.take()) == []


def test_without_a_recorder_nothing_happens(listener: events.Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener.close()
    assert not listener.path.exists()
    events.emit(events.WAITING, what="a leader")
    events.emit(events.SECRET, must_arrive=True, name="key", value="s3cr3t")
    monkeypatch.delenv(events.ADDRESS)
    events.emit(events.WAITING, what="a leader")


def test_what_must_arrive_waits_for_a_busy_recorder_and_the_rest_does_not(listener: events.Listener) -> None:
    sent = 5000  # more than any socket's queue holds
    for number in range(sent):
        events.emit(events.WAITING, what=str(number))
    kept = [event["what"] for event in listener.take()]
    assert 0 < len(kept) < sent

    def secrets() -> None:
        for number in range(sent):
            events.emit(events.SECRET, must_arrive=True, name="key", value=str(number))

    sender = threading.Thread(target=secrets, daemon=True)
    sender.start()
    arrived: list[str] = []
    while sender.is_alive():
        arrived += [event["value"] for event in listener.take()]
    arrived += [event["value"] for event in listener.take()]
    assert arrived == [str(number) for number in range(sent)]


def test_a_system_that_does_not_wait_itself_is_asked_again(
    listener: events.Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[bytes] = []

    class Full(socket.socket):
        """What other systems than Linux have: a buffer that says that it is full."""

        def sendto(self, message: bytes, *more: Any) -> int:  # type: ignore[override]
            if len(refusals) % 4 < 3:
                refusals.append(message)
                raise OSError(errno.ENOBUFS, "No buffer space available")
            return super().sendto(message, *more)

    monkeypatch.setattr(socket, "socket", Full)
    events.emit(events.WAITING, what="a leader")
    assert (len(refusals), list(listener.take())) == (1, [])
    events.emit(events.SECRET, must_arrive=True, name="key", value="s3cr3t")
    assert (len(refusals), [event["value"] for event in listener.take()]) == (3, ["s3cr3t"])


def test_what_would_be_cut_short_is_refused(listener: events.Listener) -> None:
    with pytest.raises(ValueError, match="an event of"):
        events.emit(events.SECRET, must_arrive=True, name="key", value="x" * events.LARGEST)
    assert list(listener.take()) == []


def test_checks_are_told_with_long_texts_shortened(listener: events.Listener) -> None:
    checks.require(checks.equal("numbers", list(range(5000)), list(range(5000))), step="04_test")
    [told] = listener.take()
    [check] = told["checks"]
    assert (told["step"], check["name"], check["ok"]) == ("04_test", "numbers", True)
    assert check["seen"].startswith("0, 1, 2") and check["seen"].endswith("…")
    assert len(check["seen"]) == checks.TOLD


def test_a_wait_is_told_until_it_is_over(listener: events.Listener) -> None:
    answers = iter([0, 1])
    wait.until(lambda: next(answers), bool, what="one", timeout=5, interval=0)
    told = list(listener.take())
    assert [(event["kind"], event["what"]) for event in told] == [("waiting", "one"), ("arrived", "one")]
    assert told[0]["seen"] == "0"
    assert wait.until(lambda: 1, bool, what="one", timeout=5) == 1
    assert list(listener.take()) == [], "what is there at once was not waited for"
