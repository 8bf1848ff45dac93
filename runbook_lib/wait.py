"""The only polling loop: ask again until it is so, and say what was last seen when it is not.

Whoever records the notebook is told what is being waited for, so that one that waits is told from one that hangs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from . import events
from .errors import WaitTimeout

T = TypeVar("T")
TELL_EVERY = 1.0  # seconds between two words to whoever records
SEEN = 500  # characters of what was last seen that are told
# The longer it takes, the seldomer it is asked: a pause is this part of the time waited, so that little is lost to it.
GROWTH = 0.05


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
        time.sleep(max(0.0, min(_pause(interval, longest, now - began), deadline - time.monotonic())))


def _pause(interval: float, longest: float, waited: float) -> float:
    if longest <= interval:
        return interval
    return min(max(interval, waited * GROWTH), longest) * random.uniform(0.8, 1.2)  # no secret is drawn
