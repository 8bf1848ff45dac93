"""What was made and removed a moment ago, which a cloud's lists may not show yet."""

from __future__ import annotations

import threading
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
    """Remembers this process's own changes. Methods may be called from several threads.

    Args:
        seconds: how long a list may need to show them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changes: dict[tuple[str, str], bool] = {}
        self._lock = threading.Lock()

    def made(self, found: Found) -> Found:
        """Something was made; it is given back."""
        self._note(found, True)
        return found

    def removed(self, found: Found) -> None:
        """Something was removed."""
        self._note(found, False)

    def agree(self, look: Callable[[], dict[str, Found]], what: str, prefix: str = "") -> dict[str, Found]:
        """A list that shows the changes, or the last one if it still does not: then somebody else changed it back.

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
            self._lacks(answers[0], prefix, forget=True)
            return answers[0]

    def _note(self, found: Found, there: bool) -> None:
        with self._lock:
            self._changes[found.key.partition("#")[0], found.id] = there

    def _lacks(self, seen: Mapping[str, Found], prefix: str, *, forget: bool = False) -> list[str]:
        """Keys of what should be listed and is not, or is listed and should not be."""
        listed = {(key.partition("#")[0], found.id) for key, found in seen.items()}
        with self._lock:
            lacking = [
                change
                for change, there in self._changes.items()
                if change[0].startswith(prefix) and (change in listed) is not there
            ]
            for change in lacking if forget else ():
                del self._changes[change]
        return sorted(key for key, _ in lacking)
