"""What was expected and what was seen, side by side; a step goes on only when they agree."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import causes, events, markup
from .errors import CheckFailed

AGREES = "✓"
TOLD = 2000  # characters of what was expected and seen that the record keeps


class Comparable(Protocol):
    """Anything with an order."""

    def __ge__(self, other: Any, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Args:
        name: what is compared, in a reader's words.
        expected: what should be.
        seen: what is.
        ok: whether they agree.
    """

    name: str
    expected: object
    seen: object
    ok: bool

    def __str__(self) -> str:
        return f"{self.name}: expected {_show(self.expected)}, saw {_show(self.seen)}"


class Checks(tuple[Check, ...]):
    """Checks that show themselves as a table, in a notebook and in a terminal; below it what failed ones may mean."""

    __slots__ = ()

    @property
    def failed(self) -> Checks:
        """Those that did not see what they expected."""
        return Checks(check for check in self if not check.ok)

    @property
    def advice(self) -> tuple[causes.Advice, ...]:
        """Why those may have failed, and where to look."""
        return causes.advice(check.name for check in self.failed)

    def __repr__(self) -> str:
        return "\n".join([self.plain(), *map(str, self.advice)])

    def _repr_html_(self) -> str:
        return self.table() + "".join(advice._repr_html_() for advice in self.advice)

    def plain(self) -> str:
        """The table as text, without advice."""
        rows = [("", "check", "expected", "seen"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
            for row in rows
        )

    def table(self) -> str:
        """The table as HTML, without advice: one row for hosts that were all asked the same and agree."""
        agreeing: dict[tuple[str, str, str, str], list[str]] = {}
        for sign, name, expected, seen in self._rows():
            host, colon, what = name.partition(": ")
            if sign != AGREES or not colon:
                host, what = "", name
            agreeing.setdefault((sign, f"{colon if host else ''}{what}", expected, seen), []).append(host)
        rows = [(sign, f"{_named(hosts)}{what}", *values) for (sign, what, *values), hosts in agreeing.items()]
        return markup.table(("", "check", "expected", "seen"), rows)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(AGREES if c.ok else "✗", c.name, _show(c.expected), _show(c.seen)) for c in self]


def equal(name: str, expected: object, seen: object) -> Check:
    """Both are the same; lists, tuples and sets are compared without regard to order and kind."""
    if isinstance(expected, (list, tuple, set, frozenset)) and isinstance(seen, (list, tuple, set, frozenset)):
        left, right = sorted(map(repr, expected)), sorted(map(repr, seen))
        return Check(name, expected, seen, left == right)
    return Check(name, expected, seen, expected == seen)


def contains(name: str, expected: object, seen: Container[Any]) -> Check:
    """``expected``, or each item of it when it is a list, tuple or set, is in ``seen``."""
    wanted = expected if isinstance(expected, (list, tuple, set, frozenset)) else (expected,)
    return Check(name, expected, seen, all(item in seen for item in wanted))


def at_least(name: str, expected: object, seen: Comparable) -> Check:
    """``seen`` is ``expected`` or more."""
    return Check(name, f"at least {expected}", seen, seen >= expected)


def is_true(name: str, seen: object, expected: object = "yes") -> Check:
    """``seen`` is true, or not empty; ``expected`` says what that means to a reader."""
    return Check(name, expected, seen, bool(seen))


def require(*checks: Check | Iterable[Check], step: str = "") -> Checks:
    """Go on only if every check agrees; the return value is the table of them all.

    Args:
        checks: checks, or groups of them.
        step: the notebook, for the error message.

    Raises:
        CheckFailed: naming each check that failed, with what it expected and saw, likely causes and where to look.
        ValueError: there is nothing to check, which is a mistake in the notebook.
    """
    every = Checks(c for group in checks for c in ((group,) if isinstance(group, Check) else group))
    if not every:
        raise ValueError("require() was given no check at all")
    for check in every:
        texts = {"name": check.name, "expected": _show(check.expected), "seen": _show(check.seen)}
        told = {**{name: shortened(text) for name, text in texts.items()}, "ok": check.ok}
        events.emit(events.CHECKS, must_arrive=True, step=step, checks=[told])
    failed = every.failed
    if failed:
        lines = "".join([*(f"\n  ✗ {check}" for check in failed), *(f"\n{advice}" for advice in failed.advice)])
        raise CheckFailed(
            f"{len(failed)} of {len(every)} checks failed{lines}",
            step=step,
            resource=", ".join(check.name for check in failed),
            remedy="the cells above show what led here; every step may be run again",
        )
    return every


def shortened(text: str) -> str:
    """A text as the record keeps it: what is too long for that is in the notebook."""
    return text if len(text) <= TOLD else f"{text[: TOLD - 1]}…"


def _named(hosts: Iterable[str]) -> str:
    """Their names; where they differ in their number alone once, as ``web-1/2``."""
    series: dict[str, list[str]] = {}
    for host in dict.fromkeys(hosts):
        name, dash, number = host.rpartition("-")
        if number.isdecimal():
            series.setdefault(f"{name}{dash}", []).append(number)
        else:
            series.setdefault(host, [])
    return ", ".join(name + "/".join(numbers) for name, numbers in series.items())


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return ", ".join(map(_show, value)) or "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_show(item)}" for name, item in value.items()) or "nothing"
    return str(value) if value not in ("", None) else "nothing"
