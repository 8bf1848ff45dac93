"""Locks that the kernel releases when their holder dies: a run's, and the one under which the ledger is written.

So "going on" is told from "cut off" without guesses from times or process ids. The locks are flock's, which know
nothing of other machines unless the file system does. The files have no content and are no part of any evidence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import RecordError

RUN_LOCK, LEDGER_LOCK, OPENING_LOCK = ".lock", ".ledger.lock", ".opening.lock"
PROBE_SECONDS = 1.0  # how long `hold` waits: those who ask `is_held` have the lock for microseconds


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a run's lock for as long as the block lasts; afterwards its file is gone.

    Args:
        folder: the run's, in ``runs``.

    Raises:
        RecordError: another process holds it.
        OSError: the folder cannot be written.
    """
    file = folder / RUN_LOCK
    number = _taken(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # before it is released: nobody can hold a file that is about to go
        os.close(number)


def is_held(folder: Path) -> bool:
    """Whether a process records this run now. Nothing is written; permission to read is enough.

    Raises:
        OSError: the lock's file cannot be read.
    """
    try:
        number = os.open(folder / RUN_LOCK, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Be the only one who writes a deployment's ledger; others wait.

    Args:
        folder: the deployment's; made when missing.

    Raises:
        OSError: the folder cannot be written.
    """
    with _exclusively(folder, LEDGER_LOCK):
        yield


@contextlib.contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Be the only one who begins a run of a deployment, or closes one that was cut off; others wait.

    Args:
        folder: the deployment's; made when missing.

    Raises:
        OSError: the folder cannot be written.
    """
    with _exclusively(folder, OPENING_LOCK):
        yield


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Read a deployment's ledger between two appends, not in the middle of one. Nothing is written.

    Raises:
        OSError: the lock's file cannot be read.
    """
    try:
        number = os.open(folder / LEDGER_LOCK, os.O_RDONLY)
    except FileNotFoundError:  # a copy of the archive: nobody writes it
        yield
        return
    try:
        fcntl.flock(number, fcntl.LOCK_SH)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def _exclusively(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _taken(file: Path) -> int:
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        number = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(number), os.stat(file)):
                    return number
            # The holder before removed the file while we waited: what we hold is no file any more.
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(number)
                raise RecordError(
                    "the run is being recorded by another process",
                    resource=str(file.parent),
                    expected="a run that nobody records",
                    remedy="wait until it has ended, or end it",
                ) from None
            time.sleep(0.01)
        os.close(number)
