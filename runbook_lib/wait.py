"""The only polling loop: ask again until it is so, and say what was last seen when it is not.

Whoever records the notebook is told what is being waited for, so that one that waits is told from one that hangs; so
is whoever looks on, by what ``LISTENER`` holds for the cell that waits and for the threads that work for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from . import events, together
from .errors import WaitTimeout

T = TypeVar("T")
TELL_EVERY = 1.0  # seconds between two words to whoever records
SEEN = 500  # characters of what was last seen that are told
# The longer it takes, the seldomer it is asked: a pause is this part of the time waited, so that little is lost to it.
GROWTH = 0.05


class Listener(Protocol):
    """Who is told of waits that take longer than ``TELL_EVERY``; several threads may wait at a time."""

    def waiting(self, what: str, seconds: float, seen: str, /) -> None:
        """It is waited for since so many seconds, and this was last seen."""

    def over(self, what: str, seconds: float, there: bool, /) -> None:
        """It came after so many seconds, or was given up; told only of what ``waiting`` was told of."""


LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def until(
    look: Callable[[], T],
    done: Callable[[T], bool],
    *,
    what: str,
    timeout: float,
    interval: float = 0.2,
    longest: float = 0.0,
    remedy: str = "",
    describe: Callable[[T], object] = lambda seen: seen,
    tolerate: tuple[type[Exception], ...] = (),
) -> T:
    """Call ``look`` until ``done`` accepts its answer, and return that answer.

    Args:
        look: takes one observation.
        done: tells whether the observation is the wanted one.
        what: what is being waited for, as it should stand in an error message.
        timeout: seconds until giving up; at least one observation is always taken.
        interval: seconds between two observations.
        longest: seconds to which that grows as time goes by; not beyond ``interval`` if not given. What grows is drawn
            a little longer or shorter each time, so that those who began together do not ask together.
        remedy: what to do when it does not happen.
        describe: turns the last observation into what the error message shows.
        tolerate: exceptions of ``look`` that mean "not yet" rather than "never".

    Raises:
        WaitTimeout: with what was last seen, or the last tolerated exception.
        KeyboardInterrupt: the cell was interrupted, in whichever of its threads this is.
    """
    with _Telling(what) as telling:
        deadline = telling.began + timeout
        while True:
            seen: object
            try:
                answer = look()
            except tolerate as error:
                seen = f"{type(error).__name__}: {error}"
            else:
                if done(answer):
                    telling.arrived()
                    return answer
                seen = describe(answer)
            now = time.monotonic()
            telling.waiting(now, seen)
            if now >= deadline:
                raise WaitTimeout(
                    f"gave up waiting for {what} after {timeout:g} s",
                    resource=what,
                    seen=seen,
                    remedy=remedy,
                )
            pause = min(_pause(interval, longest, now - telling.began), deadline - time.monotonic())
            together.pause(max(0.0, pause))


class _Telling:
    """What is told of one wait, to the recorder and to whoever looks on."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = time.monotonic()
        self._told = 0.0
        self._listener: Listener | None = None  # once it is told
        self._there = False

    def waiting(self, now: float, seen: object) -> None:
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        seconds, text = now - self.began, str(seen)[:SEEN]
        events.emit(events.WAITING, what=self.what, seconds=round(seconds, 1), seen=text)
        if seconds >= TELL_EVERY and (listener := LISTENER.get()):
            self._listener = listener
            listener.waiting(self.what, seconds, text)

    def arrived(self) -> None:
        self._there = True
        if self._told:
            events.emit(events.ARRIVED, what=self.what)

    def __enter__(self) -> _Telling:
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener:
            self._listener.over(self.what, time.monotonic() - self.began, self._there)


def _pause(interval: float, longest: float, waited: float) -> float:
    if longest <= interval:
        return interval
    return min(max(interval, waited * GROWTH), longest) * random.uniform(0.8, 1.2)  # no secret is drawn
