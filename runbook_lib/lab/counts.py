"""How many calls came in that change something, by cloud and action; what shows that a second run changes nothing."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from .calls import Answer, Call, Serve
from .model import CloudName

REPORT = "calls.json"
Tally = Mapping[CloudName, Mapping[str, int]]


class Counts:
    """An interceptor that counts mutating calls, refused ones as well. A dry run is a question, and does not count.

    Args:
        told: gets the whole tally after each one, before it is answered.
    """

    def __init__(self, told: Callable[[Tally], None] = lambda tally: None) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._seen: dict[CloudName, Counter[str]] = {"aws": Counter(), "gcp": Counter()}

    def __call__(self, call: Call, serve: Serve) -> Answer:
        if call.writes and b"DryRun=true" not in call.body:
            with self._lock:
                self._seen[call.cloud][call.action] += 1
                self._told(self._seen)
        return serve()

    @property
    def tally(self) -> Tally:
        """Calls by cloud and action."""
        with self._lock:
            return {cloud: dict(seen) for cloud, seen in self._seen.items()}

    def total(self, cloud: CloudName | None = None) -> int:
        """Calls of one cloud, or of both."""
        return total(self.tally if cloud is None else {cloud: self.tally[cloud]})


def total(tally: Tally) -> int:
    """All calls of a tally."""
    return sum(count for actions in tally.values() for count in actions.values())


def read(home: str | Path) -> Tally:
    """The mutating calls that a lab has seen since it started.

    Args:
        home: the lab's folder.
    """
    file = Path(home) / REPORT
    return json.loads(file.read_text()) if file.exists() else {"aws": {}, "gcp": {}}
