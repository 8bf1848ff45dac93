"""What was made and removed a moment ago, which a cloud's lists may not show yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import wait
from ..errors import WaitTimeout
from ..resources import Found


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a cloud may disagree with itself, in seconds.

    Args:
        creation: until all of it knows what was created. Terraform's provider for AWS allows EC2 as much or more.
        lists: until its lists show that. EC2 mostly needs a second or two.
        busy: until it takes a call that it was too busy for.
    """

    creation: float = 30.0
    lists: float = 10.0
    busy: float = 90.0


PATIENCE = Patience()


class Recent:
    """Remembers this process's own changes while they are fresh. Methods may be called from several threads.

    Args:
        seconds: for how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changes: dict[tuple[str, str], tuple[bool, float]] = {}
        self._lock = threading.Lock()

    def made(self, found: Found) -> Found:
        """Something was made; it is given back."""
        self._note(found, True)
        return found

    def removed(self, found: Found) -> None:
        """Something was removed."""
        self._note(found, False)

    def agree(self, look: Callable[[], dict[str, Found]], what: str, prefix: str = "") -> dict[str, Found]:
        """A list that shows the fresh changes, or what it shows when they are not fresh any more.

        Args:
            look: asks for the list.
            what: what is listed.
            prefix: how the keys begin of what is in it.
        """
        answers: list[dict[str, Found]] = []

        def once() -> dict[str, Found]:
            answers[:] = [look()]
            return answers[0]

        try:
            return wait.until(
                once,
                lambda seen: not self._lacks(seen, prefix),
                what=f"{what} to show what was changed a moment ago",
                timeout=self._seconds,
                longest=2.0,
                describe=lambda seen: f"not up to date in {', '.join(self._lacks(seen, prefix))}",
            )
        except WaitTimeout:
            return answers[0]  # somebody else has changed it

    def _note(self, found: Found, there: bool) -> None:
        with self._lock:
            self._changes[found.key.partition("#")[0], found.id] = (there, time.monotonic())

    def _lacks(self, seen: Mapping[str, Found], prefix: str) -> list[str]:
        """Keys of what should be listed and is not, or is listed and should not be."""
        listed = {(key.partition("#")[0], found.id) for key, found in seen.items()}
        now = time.monotonic()
        with self._lock:
            self._changes = {
                one: (there, since) for one, (there, since) in self._changes.items() if now - since < self._seconds
            }
            return sorted(
                key
                for (key, id), (there, _) in self._changes.items()
                if key.startswith(prefix) and ((key, id) in listed) is not there
            )
