"""What a notebook's cells tell the recorder, over a real socket."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runbook_lib import events


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
