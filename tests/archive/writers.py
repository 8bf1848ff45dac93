"""Processes that write a ledger at the same time, or are killed while they do: a program for the tests to start.

It has no threads, so that its children can be forked from it in milliseconds.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbook_lib.archive import lock, signing
from runbook_lib.archive.ledger import Ledger
from runbook_lib.archive.record import RunRecord
from tests.archive import ledgers


def forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        act()
        status = 0
    finally:
        os._exit(status)


def together(folder: Path, key: signing.Key, processes: int, appends: int) -> None:
    def append() -> None:
        for number in range(appends):
            Ledger(folder, key).note(f"{os.getpid()} {number}")

    children = [forked(append) for _ in range(processes)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes


def runs(folder: Path, key: signing.Key, processes: int, each: int) -> None:
    """Whole runs, in the order in which whatever records them does it."""

    def record() -> None:
        ledger = Ledger(folder, key)
        for number in range(each):
            run = ledgers.started(folder, f"r{os.getpid()}-{number}")
            with lock.hold(run.folder):
                ledger.begin(run)
                run.write()
                ledgers.finish(run)
                ledger.end(run)

    children = [forked(record) for _ in range(processes)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes


def dying(template: Path, key: signing.Key, deaths: Path, act: Callable[[Path], None]) -> None:
    """Kill a writer before each call that can change the disk, and in the middle of each write.

    What the n-th left is in ``deaths/<n>/<deployment>``; the last one was not killed.
    """
    for point in itertools.count(1):
        folder = deaths / f"{point:03}" / template.name
        shutil.copytree(template, folder)

        def act_and_die(folder: Path = folder, point: int = point) -> None:
            die_at(point)
            act(folder)

        _, status = os.waitpid(forked(act_and_die), 0)
        if status == 0:
            return
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status


def die_at(point: int) -> None:
    calls = itertools.count(1)

    def tick() -> None:
        if next(calls) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            tick()
            return real(*arguments, **more)

        return call

    write = before(os.write)
    for name in ("open", "fsync", "replace"):
        setattr(os, name, before(getattr(os, name)))

    def write_half(number: int, content: bytes) -> int:
        return write(number, content[: len(content) // 2 or 1])

    setattr(os, "write", write_half)  # noqa: B010 - as above, and mypy would have the type of the real one


def main(what: str, folder: Path, keys: Path, *rest: str) -> None:
    key = signing.open_key(keys)
    if what in ("together", "runs"):
        {"together": together, "runs": runs}[what](folder, key, *map(int, rest))
    elif what == "note":
        dying(folder, key, Path(rest[0]), lambda copy: void(Ledger(copy, key).note("a last word")))
    elif what in ("begin", "end"):
        deaths, run = rest
        dying(folder, key, Path(deaths), lambda copy: void(getattr(Ledger(copy, key), what)(record_of(copy, run))))
    else:
        raise ValueError(what)


def record_of(folder: Path, run: str) -> RunRecord:
    """What is on record of a run, or a new record where nothing is."""
    place = folder / "runs" / run
    return RunRecord.read(place) if any(place.iterdir()) else RunRecord(run, folder.name, place, {"n": 1}, [])


def void(_: object) -> None:
    """Nothing."""


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
