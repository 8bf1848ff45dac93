"""The only polling loop: ask again until it is so, and say what was last seen when it is not.

Whoever records the notebook is told what is being waited for, so that one that waits is told from one that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from . import events
from .errors import WaitTimeout

T = TypeVar("T")
TELL_EVERY = 1.0  # seconds between two words to whoever records
SEEN = 500  # characters of what was last seen that are told


def until(
    look: Callable[[], T],
    done: Callable[[T], bool],
    *,
    what: str,
    timeout: float,
    interval: float = 0.2,
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
        remedy: what to do when it does not happen.
        describe: turns the last observation into what the error message shows.
        tolerate: exceptions of ``look`` that mean "not yet" rather than "never".

    Raises:
        WaitTimeout: with what was last seen, or the last tolerated exception.
    """
    began = time.monotonic()
    deadline, told = began + timeout, 0.0
    while True:
        seen: object
        try:
            answer = look()
        except tolerate as error:
            seen = f"{type(error).__name__}: {error}"
        else:
            if done(answer):
                if told:
                    events.emit(events.ARRIVED, what=what)
                return answer
            seen = describe(answer)
        now = time.monotonic()
        if now - told >= TELL_EVERY:
            told = now
            events.emit(events.WAITING, what=what, seconds=round(now - began, 1), seen=str(seen)[:SEEN])
        if now >= deadline:
            raise WaitTimeout(
                f"gave up waiting for {what} after {timeout:g} s",
                resource=what,
                seen=seen,
                remedy=remedy,
            )
        time.sleep(max(0.0, min(interval, deadline - time.monotonic())))
