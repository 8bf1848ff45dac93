"""What the command line shows: progress, tables, errors. Results go to stdout, everything else to stderr."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from .archive.record import RunRecord, StepRecord

LONG_WAIT = 15.0  # seconds between two lines about one wait, where they stay
MARKS = {"succeeded": "[green]✓[/]", "failed": "[red]✗[/]", "interrupted": "[yellow]![/]"}


class Steps:
    """A progress bar for the step that runs, and a line for each that has ended.

    Where there is no terminal to draw a bar in, a long wait is a line now and then.

    Args:
        live: whether what cells print is shown, too.
    """

    def __init__(self, *, live: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = live
        self._bar = Progress(
            TextColumn("{task.fields[step]:<13}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._heading = ""
        self._told: dict[str, float] = {}

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def step_started(self, step: StepRecord, cells: int) -> None:
        """Show the bar of a step."""
        self._task = self._bar.add_task("", total=cells, step=step.step)

    def cell_started(self, index: int, heading: str) -> None:
        """Move the bar."""
        self._heading = heading
        self._told.clear()
        if self._task is not None:
            self._bar.update(self._task, completed=index, description=escape(heading))

    def printed(self, text: str) -> None:
        """Show what a cell printed, if that is wanted."""
        if self._live:
            self._console.print(text.rstrip("\n"), markup=False, soft_wrap=True)

    def waiting(self, what: str, seconds: float, seen: str) -> None:
        """Say what the cell waits for, since when, and what it last saw: it is slow, not stuck."""
        line = f"waiting for {what} for {seconds:.0f} s, last seen: {seen}" if what else ""
        if self._task is not None:
            self._bar.update(self._task, description=escape(f"{self._heading}: {line}" if line else self._heading))
        if what and not self._console.is_terminal and seconds - self._told.get(what, 0.0) >= LONG_WAIT:
            self._told[what] = seconds
            self._console.print(f"  {line}", markup=False, soft_wrap=True)

    def step_ended(self, step: StepRecord) -> None:
        """Replace the bar by a line that stays."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        word = "" if step.outcome in MARKS else f"  {step.outcome}"
        self._console.print(f"{MARKS.get(step.outcome, '[red]✗[/]')} {step.step:<13} {step.seconds:6.1f} s{word}")


def complain(message: str) -> None:
    """Say on stderr what went wrong."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True, style="red")


def summary(record: RunRecord) -> None:
    """Say where a successful run is on record."""
    steps = f"{len(record.steps)} step{'' if len(record.steps) == 1 else 's'}"
    Console(highlight=False).print(
        f"{steps} in {record.seconds:.1f} s, on record in {record.folder}", markup=False, soft_wrap=True
    )


def ways(rows: Iterable[tuple[str, str]]) -> None:
    """Print ways to look around: what one sees, and under it the command, alone on its line for pasting."""
    out = Console(highlight=False)
    out.print("\nEverything is still standing. To look around:", soft_wrap=True)
    for what, command in rows:
        out.print(f"  {what}", markup=False, soft_wrap=True, style="dim")
        out.print(f"    {command}", markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    drawn = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        drawn.add_row(*(escape(_text(cell)) for cell in row))
    Console().print(drawn)


def doctor(tools: Iterable[Any], abilities: Iterable[Any]) -> int:
    """Print what the lab's tools and the kernel's abilities are; return how many needed ones are missing.

    Args:
        tools: records with ``name``, ``needed_for``, ``path`` (``None`` if missing), ``version``, ``how_to_get`` and
            ``essential``.
        abilities: records with ``name``, ``needed_for``, ``ok``, ``detail``, ``how_to_get`` and ``essential``.
    """
    known, able = list(tools), list(abilities)
    table(
        "Tools",
        ("", "tool", "needed for", "version", "path, or how to get it"),
        [("✓" if t.path else "✗", t.name, t.needed_for, t.version, t.path or t.how_to_get) for t in known],
    )
    table(
        "Kernel",
        ("", "ability", "needed for", "what was seen", "how to get it"),
        [("✓" if a.ok else "✗", a.name, a.needed_for, "" if a.ok else a.detail, a.how_to_get) for a in able],
    )
    return sum(t.path is None and t.essential for t in known) + sum(not a.ok and a.essential for a in able)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
