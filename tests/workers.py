"""Processes that share out a long trial, and take all that they keep with them, however it ends."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, whose temporary files are in one folder that goes with them.

    Args:
        processes: how many work at a time.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-trial-") as folder:
        pool = ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_keep_files_in, initargs=(folder,)
        )
        try:
            yield pool
        except BaseException:
            # Whoever interrupts does not wait for what is under way. There is no public way before Python 3.14.
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def end_when_terminated() -> None:
    """Let SIGTERM end this program as Ctrl-C does, so that it clears up."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _keep_files_in(folder: str) -> None:
    tempfile.tempdir = folder
    # Ctrl-C goes to every process of a terminal; the one that shares out ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
