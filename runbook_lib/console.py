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

MARKS = {"succeeded": "[green]✓[/]", "failed": "[red]✗[/]", "interrupted": "[yellow]![/]"}


class Steps:
    """A progress bar for the step that runs, and a line for each that has ended."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
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
        if self._task is not None:
            self._bar.update(self._task, completed=index, description=escape(heading))

    def step_ended(self, step: StepRecord) -> None:
        """Replace the bar by a line that stays."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._console.print(f"{MARKS.get(step.outcome, '?')} {step.step:<13} {step.seconds:6.1f} s")


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
