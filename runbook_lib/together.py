"""Work for several hosts at the same time, which ends when the cell that wants it is interrupted.

A notebook's interrupt reaches the main thread alone. Python's own executor would then wait for its threads, each of
which waits for a host: for minutes. These are told, and give up where they wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
MOST = 32  # threads at a time, however many hosts there are


def each(work: Callable[[S], T], things: Iterable[S]) -> tuple[T, ...]:
    """The same work for each of several things, for all at the same time; see ``Workers``.

    Args:
        work: what is done.
        things: each has a thread while it is done, ``MOST`` at a time.

    Returns:
        What came of it, in the order of the things. The first error is raised once all have ended.
    """
    wanted = tuple(things)
    with Workers(len(wanted)) as pool:
        return tuple(pool.map(work, wanted))


class _Stop:
    """One word for all threads that work for a cell, and for what works for them."""

    def __init__(self) -> None:
        self._said = threading.Event()
        self._lock = threading.Lock()
        self._heeds: list[Callable[[], object]] = []

    def say(self) -> None:
        with self._lock:
            self._said.set()
            heeds = tuple(self._heeds)
        for heed in heeds:
            heed()

    def pause(self, seconds: float) -> None:
        if self._said.wait(seconds):
            raise KeyboardInterrupt

    @contextmanager
    def heeded(self, heed: Callable[[], object]) -> Iterator[None]:
        """Call this when the word is said, within the block."""
        with self._lock:
            self._heeds.append(heed)
        try:
            self.pause(0)
            yield
        finally:
            with self._lock:
                self._heeds.remove(heed)


# Whom a thread listens to: none in the main thread, which is interrupted itself.
_STOP: ContextVar[_Stop | None] = ContextVar("stop", default=None)


def pause(seconds: float) -> None:
    """Sleep.

    Raises:
        KeyboardInterrupt: the cell that this thread works for was interrupted.
    """
    stop = _STOP.get()
    if stop is None:
        time.sleep(seconds)
    else:
        stop.pause(seconds)


def result(future: Future[T]) -> T:
    """A future's result, waited for.

    Raises:
        KeyboardInterrupt: the cell that this thread works for was interrupted; the future is cancelled.
        Exception: what the future ended with.
    """
    stop = _STOP.get()
    if stop is None:
        return future.result()
    try:
        with stop.heeded(future.cancel):
            return future.result()
    except CancelledError:
        stop.pause(0)
        raise


class Workers(ThreadPoolExecutor):
    """Threads that work for a cell, and know of it what it knows: they carry its context.

    An error leaves the block once all have ended, as with Python's own executor. An interrupt leaves it at once; the
    threads end where they wait next, and what has not begun never does. Workers of workers stop with them.

    Args:
        most: how many are wanted; never more than ``MOST``.
        finish: let an interrupt wait until each has ended: for those who change something, so that nothing is changed
            once the block is left.
    """

    def __init__(self, most: int, *, finish: bool = False) -> None:
        super().__init__(max(1, min(MOST, most)))
        self._finish = finish
        self._stop = _Stop()
        self._exits = ExitStack()  # an outer word is for these, too
        if outer := _STOP.get():
            self._exits.enter_context(outer.heeded(self._stop.say))

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Let a thread do it; its future."""
        context = copy_context()
        context.run(_STOP.set, self._stop)
        return super().submit(context.run, work, *arguments, **named)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._exits:
            if kind is not None and not issubclass(kind, Exception):
                self._give_up()
                return
            try:
                self.shutdown(cancel_futures=kind is not None)
            except BaseException:
                self._give_up()
                raise

    def _give_up(self) -> None:
        self._stop.say()
        self.shutdown(wait=self._finish, cancel_futures=True)
