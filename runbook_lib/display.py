"""Tables, texts and progress for notebooks; in a terminal the same objects print as plain text."""

from __future__ import annotations

import html
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import TracebackType
from typing import Any

from . import events, markup, onlooker, wait
from .plan import Plan
from .provision import Progress as Sign

_NOTHING = "\N{EN DASH}"


class Table:
    """Rows under titles.

    Args:
        titles: one a column.
        rows: cells; anything that prints.
        caption: what the table shows.
        marked: numbers of rows that are to be seen first, in a notebook.
    """

    def __init__(
        self,
        titles: Sequence[str],
        rows: Iterable[Sequence[Any]],
        caption: str = "",
        marked: Collection[int] = (),
    ) -> None:
        self.titles = tuple(titles)
        self.rows = tuple(tuple(map(cell, row)) for row in rows)
        self.caption = caption
        self.marked = frozenset(marked)

    def __repr__(self) -> str:
        every = [self.titles, *self.rows]
        widths = [max(len(row[column]) for row in every) for column in range(len(self.titles))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in every
        ]
        return "\n".join([*([self.caption] if self.caption else []), *lines])

    def _repr_html_(self) -> str:
        return markup.table(self.titles, self.rows, self.caption, self.marked)


class Text:
    """A file or an output, shown as it is.

    Args:
        content: the text.
        caption: where it is from.
    """

    def __init__(self, content: str, caption: str = "") -> None:
        self.content = content.rstrip("\n")
        self.caption = caption

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.content}" if self.caption else self.content

    def _repr_html_(self) -> str:
        caption = f"<p><b>{html.escape(self.caption)}</b></p>" if self.caption else ""
        return f"{caption}{markup.pre(self.content)}"


class Progress:
    """The progress of applying a plan: one line that is renewed, and stays as the last word.

    Args:
        step: what is being done.
    """

    def __init__(self, step: str) -> None:
        self._step = step
        self._since = time.monotonic()
        self._busy: dict[str, tuple[str, float]] = {}
        self._told: set[str] = set()
        self._last: Sign | None = None
        self._spot = onlooker.Spot()
        self._shown = 0.0
        self._quiet: Any = None

    def __call__(self, sign: Sign) -> None:
        """Take in one sign of life."""
        self._last = sign
        if sign.state in ("begun", "running"):
            self._busy[sign.key] = (sign.verb, time.monotonic() - sign.seconds)
        else:
            self._busy.pop(sign.key, None)
        self._record(sign)
        if time.monotonic() - self._shown > 0.25:
            self._show(self._line(), passing=True)

    def __enter__(self) -> Progress:
        self._quiet = wait.LISTENER.set(None)  # this line is enough
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._quiet:
            wait.LISTENER.reset(self._quiet)
        done, total = (self._last.done, self._last.total) if self._last else (0, 0)
        word = "stopped" if error else "done"
        self._show(
            f"{self._step}: {word}, {done} of {total} jobs after {time.monotonic() - self._since:.1f} s", passing=False
        )

    def _record(self, sign: Sign) -> None:
        """Tell whoever records the notebook of jobs that take a while: not all of them poll, which would tell."""
        what = f"{sign.key} ({sign.verb})"
        if sign.state == "running":
            self._told.add(what)
            seen = f"{sign.done} of {sign.total} jobs done"
            events.emit(events.WAITING, what=what, seconds=round(sign.seconds, 1), seen=seen)
        elif sign.state != "begun" and what in self._told:
            self._told.remove(what)
            events.emit(events.ARRIVED, what=what)

    def _line(self) -> str:
        assert self._last is not None
        now, seconds = "", time.monotonic() - self._since
        if self._busy:
            key, (verb, since) = min(self._busy.items(), key=lambda one: one[1][1])  # what takes longest
            more = f" and {len(self._busy) - 1} more" if len(self._busy) > 1 else ""
            now = f"; {verb} {key} since {time.monotonic() - since:.0f} s{more}"
        return f"{self._step}: {self._last.done} of {self._last.total} jobs after {seconds:.0f} s{now}"

    def _show(self, line: str, *, passing: bool) -> None:
        self._shown = time.monotonic()
        self._spot.show(Text(line), passing=passing)


def show(what: Any, caption: str = "") -> Any:
    """A plan, a record, or several records of one kind, as a table; anything else as it is.

    Args:
        what: the thing; several may be a list, or a mapping from what each is called.
        caption: a title for it.
    """
    if isinstance(what, Plan):
        return _plan(what)
    if isinstance(what, (list, tuple)) and not what:
        return Text("none", caption)
    if isinstance(what, Mapping):
        if what and all(map(_is_record, what.values())):
            rows = [{"": name, **_record(item)} for name, item in what.items()]
            return Table(tuple(rows[0]), [tuple(row.values()) for row in rows], caption)
        return Table(("name", "value"), what.items(), caption)
    if _is_record(what):
        return Table(("what", "value"), _record(what).items(), caption)
    if isinstance(what, (list, tuple)) and what and all(_is_record(item) or isinstance(item, Mapping) for item in what):
        rows = [_record(item) for item in what]
        return Table(tuple(rows[0]), [tuple(row.values()) for row in rows], caption)
    return what


def tell(line: str) -> None:
    """Show a line now, while a cell goes on."""
    from IPython.display import display

    display(Text(line))


def text(content: str, caption: str = "") -> Text:
    """A file or an output, shown as it is."""
    return Text(content, caption)


def cell(value: Any) -> str:
    """One value as a table shows it."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {cell(item)}" for name, item in value.items()) or _NOTHING
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(cell, value)) or _NOTHING
    return str(value)


def _is_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _record(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {f.name: getattr(value, f.name) for f in fields(value)}


def _plan(plan: Plan) -> Table:
    rows = [(action.verb, *action.key.split(":", 2), action.reason) for action in plan.work]
    return Table(("verb", "cloud", "kind", "name", "why"), rows, str(plan))
