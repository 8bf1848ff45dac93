"""A view that a thread renews in place, and what it keeps of all it saw."""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .. import onlooker, wait
from ..display import Table
from ..errors import RunbookError

EVERY = 2.0  # seconds between two looks
LEAVING = 2.0  # seconds that `stop` waits for a look that is under way; it is not shown any more


@dataclass(frozen=True, slots=True)
class Row:
    """What one look sees of one thing.

    Args:
        state: what is compared with the last look.
        facts: more, which may change without being marked.
    """

    state: tuple[str, ...]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look sees.

    Args:
        rows: by key; a key's first part is the group that it was seen in.
        troubles: why groups could not be looked at, by group, or ``""`` for all; what was known of those stays.
    """

    rows: Mapping[tuple[str, ...], Row] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)


class Account:
    """What was seen up to now, and what changed when. Pure.

    Args:
        titles: of the key's columns, the state's and the facts'.
    """

    def __init__(self, *titles: str) -> None:
        self._titles = (*titles, "last change")
        self._rows: dict[tuple[str, ...], Row] = {}
        self._gone: set[tuple[str, ...]] = set()
        self._changes: dict[tuple[str, ...], str] = {}
        self._groups: set[str] = set()
        self._fresh: set[tuple[str, ...]] = set()
        self._troubles: Mapping[str, str] = {}

    def take(self, look: Look, clock: str) -> None:
        """Take in one look.

        Args:
            look: what was seen.
            clock: when, as it is to stand in the table.
        """
        self._fresh, self._troubles = set(), look.troubles
        for key, row in look.rows.items():
            if key[0] in self._groups and (change := self._change(key, row)):
                self._note(key, f"{clock} {change}")
            self._rows[key] = row
            self._gone.discard(key)
        for key in self._rows.keys() - look.rows.keys() - self._gone:
            if not {"", key[0]} & look.troubles.keys():
                self._gone.add(key)
                self._note(key, f"{clock} gone")
        self._groups |= {key[0] for key in look.rows}

    def table(self, caption: str) -> Table:
        """Everything seen, what changed at the last look marked; what is gone is told, too."""
        keys = sorted(self._rows)
        rows = [(*key, *self._rows[key].state, *self._rows[key].facts, self._told(key)) for key in keys]
        marked = {number for number, key in enumerate(keys) if key in self._fresh}
        width = len(self._titles)
        for group, trouble in sorted(self._troubles.items()):
            marked.add(len(rows))
            rows.append((group, trouble, *[""] * (width - 2)))
        return Table(self._titles, rows, caption, marked)

    def _change(self, key: tuple[str, ...], row: Row) -> str:
        before = self._rows.get(key)
        if before is None:
            return "new"
        if key in self._gone:
            return "back"
        different = [pair for pair in zip(before.state, row.state, strict=True) if pair[0] != pair[1]]
        return ", ".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in different)

    def _note(self, key: tuple[str, ...], change: str) -> None:
        self._fresh.add(key)
        self._changes[key] = change

    def _told(self, key: tuple[str, ...]) -> str:
        return f"{self._changes.get(key, '')}{' (just now)' if key in self._fresh else ''}"


class View:
    """One view. ``stop()`` ends it; its last state stays.

    Args:
        name: what it shows, and of which deployment.
        account: keeps what was seen.
        look: takes one look.
        minutes: after which it ends by itself.
    """

    def __init__(self, name: str, account: Account, look: Callable[[], Look], minutes: float) -> None:
        self.name = name
        self._account, self._take = account, look
        self._end = time.time() + 60 * minutes
        self._seen = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._spot = onlooker.Spot()
        self._thread = _Thread(self)

    @property
    def running(self) -> bool:
        """Whether it is being renewed."""
        return self._thread.is_alive() and not self._stop.is_set()

    def stop(self, why: str = "stopped") -> None:
        """Renew it no more; what it showed last stays, with the time of that look.

        Args:
            why: what is said of its end.
        """
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
            if self._thread.is_alive():
                self._show(why)
        atexit.unregister(self.stop)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(LEAVING)

    def __repr__(self) -> str:
        state = f"renewed until {_clock(self._end)}; stop() ends it" if self.running else "not renewed any more"
        return f"{self.name}: {state}"

    # ---- underneath ------------------------------------------------------------------------------------------

    def begin(self) -> View:
        """Show it, and go on if somebody looks on."""
        if not onlooker.present():
            self._look()
            self._stop.set()
            self._show("looked at once, as nobody looks on")
            return self
        for view in running():
            if view.name == self.name:
                view.stop("went on in a later cell")
        self._show("the first look is being taken", passing=True)
        atexit.register(self.stop, "ended with the kernel")
        self._thread.start()
        return self

    def run(self) -> None:
        """What the thread does."""
        while not self._stop.is_set() and time.time() < self._end:
            self._look()
            with self._lock:
                if not self._stop.is_set():
                    self._show(f"every {EVERY:g} s until {_clock(self._end)}, or stop()", passing=True)
            self._stop.wait(EVERY)
        self.stop("ended by itself")

    def _look(self) -> None:
        try:
            look = self._take()
        except Exception as error:  # noqa: BLE001 - it is shown, and the next look may go better
            look = Look(troubles={"": _said(error)})
        at = _clock(time.time())
        with self._lock:
            if not self._stop.is_set():
                self._account.take(look, at)
                self._seen = at

    def _show(self, state: str, *, passing: bool = False) -> None:
        when = f"as of {self._seen}" if self._seen else "not seen yet"
        self._spot.show(self._account.table(f"{self.name}, {when} ({state})"), passing=passing)


class _Thread(threading.Thread):
    """A view's thread; the list of running threads is the list of running views."""

    def __init__(self, view: View) -> None:
        super().__init__(name=f"runbook live {view.name}", daemon=True)
        self.view = view
        self._context = contextvars.copy_context()  # what it shows belongs to the cell that began it
        self._context.run(wait.LISTENER.set, None)  # what it waits for is none of that cell's business

    def run(self) -> None:
        self._context.run(self.view.run)


def running() -> list[View]:
    """The views of this process that are being renewed."""
    return [thread.view for thread in threading.enumerate() if isinstance(thread, _Thread)]


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}"
