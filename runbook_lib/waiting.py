"""The line under a cell that says what it waits for, renewed while it does.

Shown only where somebody looks on. Whoever records a walk that nobody looks at is told by events, and has no use for
it.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from . import onlooker
from .display import Text
from .wait import LISTENER

RENEWED = 0.5  # seconds at least between two renewals, however many threads wait
LISTED = 3  # waits that are named; the others are counted
SEEN = 100  # characters of what was last seen


class Line:
    """One cell's line: what it waits for, since when, and what was last seen of it; then how long it took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spot = onlooker.Spot()
        self._now: dict[str, tuple[float, str]] = {}  # since when, what was seen
        self._past: dict[str, tuple[float, str]] = {}  # how long it took, in words
        self._shown = 0.0

    def waiting(self, what: str, seconds: float, seen: str) -> None:
        """See ``wait.Listener``."""
        with self._lock:
            self._now[what] = (time.monotonic() - seconds, seen)
            if time.monotonic() - self._shown > RENEWED:
                self._show(passing=True)

    def over(self, what: str, seconds: float, there: bool) -> None:
        """See ``wait.Listener``."""
        with self._lock:
            self._now.pop(what, None)
            self._past[what] = (seconds, f"waited {seconds:.0f} s for {what}{'' if there else ', which is not there'}")
            if not self._now or time.monotonic() - self._shown > RENEWED:
                self._show(passing=bool(self._now))

    def __str__(self) -> str:
        if self._now:
            since = sorted((since, what, seen) for what, (since, seen) in self._now.items())
            said = [f"{what}, {time.monotonic() - at:.0f} s; last seen: {_short(seen)}" for at, what, seen in since]
            return "\n".join(["waiting for", *_listed(said)]) if len(said) > 1 else f"waiting for {said[0]}"
        return "\n".join(_listed([said for _, said in sorted(self._past.values(), reverse=True)]))

    def _show(self, *, passing: bool) -> None:
        self._shown = time.monotonic()
        self._spot.show(Text(str(self)), passing=passing)


def begin() -> None:
    """Let each cell of this kernel have its line, from the one that runs now on; nothing where this is no kernel."""
    if shell := onlooker.shell():
        shell.events.register("pre_run_cell", _new_cell)  # once, however often it is asked for
        _new_cell()


def _new_cell(info: Any = None) -> None:
    """The cell's threads have its context and so its line; IPython's other cells have their own."""
    LISTENER.set(Line() if onlooker.present() else None)


def _listed(said: list[str]) -> list[str]:
    more = len(said) - LISTED
    return said if more <= 0 else [*said[:LISTED], f"and {more} more"]


def _short(seen: str) -> str:
    text = " ".join(seen.split()) or "nothing"
    return text if len(text) <= SEEN else f"{text[: SEEN - 1]}\N{HORIZONTAL ELLIPSIS}"
