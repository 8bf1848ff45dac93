"""What the command line shows: progress, tables, errors. Results go to stdout, everything else to stderr."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from .archive import words
from .archive.record import REPORT, RunRecord, StepRecord

if TYPE_CHECKING:
    from .archive.comparison import CellDiff, Change, Diff
    from .archive.evidence import Report
    from .doctor import Finding

BROKEN = ("failed", "timed out", "out of memory", "kernel died", "killed", "machine gone", "cut off")
MARKS = {
    "succeeded": "[green]✓[/]",
    "pending": "[dim]·[/]",
    "running": "[blue]…[/]",
    "interrupted": "[yellow]![/]",
    "terminated": "[yellow]![/]",
    **dict.fromkeys(BROKEN, "[red]✗[/]"),
}
LONG_WAIT = 15.0  # seconds between two lines about one wait, where they stay


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
        word = "" if step.outcome == "succeeded" else f"  {step.outcome}"
        self._console.print(f"{MARKS[step.outcome]} {step.step:<13} {step.seconds:6.1f} s{word}")


def complain(message: str) -> None:
    """Say on stderr what went wrong."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True, style="red")


def summary(record: RunRecord) -> None:
    """Say where a successful run is on record."""
    steps = f"{len(record.steps)} step{'' if len(record.steps) == 1 else 's'}"
    Console(highlight=False).print(
        f"{steps} in {record.seconds:.1f} s, on record in {record.folder}", markup=False, soft_wrap=True
    )


def history(rows: Iterable[tuple[RunRecord, str]]) -> None:
    """Print one line a run.

    Args:
        rows: each run's record, and its state as ``archive.history.state`` tells it.
    """
    drawn = Table(box=None, pad_edge=False)
    for column in ("", "run", "deployment", "took", "state", "steps", "by"):
        drawn.add_column(column, overflow="fold", no_wrap=column in ("", "run", "took"))
    for record, state in rows:
        at = words.ended_in(record)
        where = f" in {at.step}" if at and len(record.steps) > 1 else ""
        took, steps = words.duration(words.elapsed(record)), [step.step for step in record.steps]
        # By their numbers: a line is not to be wider than a terminal.
        names = words.listed([step.partition("_")[0] for step in steps] if len(steps) > 1 else steps)
        user = str(record.identity.get("user", ""))
        drawn.add_row(
            MARKS.get(state, "?"), *map(escape, (record.run, record.deployment, took, state + where, names, user))
        )
    _out().print(drawn if drawn.rows else "No run is on record.")


def show(record: RunRecord, state: str) -> None:
    """Print one run: its outcome in a sentence, its steps, where it ended, its checks, and where to read on.

    Args:
        record: the run.
        state: as ``archive.history.state`` tells it.
    """
    out = _out()
    out.print(words.sentence(record, state), markup=False, soft_wrap=True, style="bold")
    for note in record.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    out.print()
    for step in record.steps:
        if step.outcome == "pending":
            out.print(f"{MARKS['pending']} {escape(step.step):<13} not run", soft_wrap=True)
            continue
        line = f"{step.step:<13} {step.seconds:8.1f} s  {words.tally(step.checks)}"
        out.print(f"{MARKS.get(step.outcome, '?')} {escape(line)}", soft_wrap=True)
        for check in step.checks:
            if not check["ok"]:
                seen = f"{check['name']}: expected {check['expected']}, saw {check['seen']}"
                out.print(f"    {seen}", markup=False, soft_wrap=True, style="red")
    if at := words.ended_in(record):
        for title, text in (("why", at.message), ("last printed", at.printed)):
            if text.strip():
                out.print(f"\n{title}:", style="dim")
                out.print(_indented(text), markup=False, soft_wrap=True)
    page = record.folder / REPORT
    where = f"full report: {page}" if page.is_file() else f"no report yet; the record is in {record.folder}"
    out.print(f"\n{where}", markup=False, soft_wrap=True)


def diff(found: Diff) -> None:
    """Print what differs between two runs."""
    out = _out()
    out.print(f"{found.a.run} → {found.b.run}", markup=False, style="bold")
    groups = (("the runs", found.facts), ("parameters", found.parameters), ("versions", found.versions))
    for title, some in groups:
        _changes(out, title, some)
    for step in found.steps:
        before, after = ("not run" if s is None else f"{s:.1f} s" for s in step.seconds)
        out.print(f"\n{step.step}: {before} → {after}{', otherwise the same' if step.same else ''}", markup=False)
        if step.source:
            out.print("  the notebook that was executed was another")
        if step.unread:
            out.print(f"  not compared: {step.unread}", markup=False, soft_wrap=True, style="yellow")
        _changes(out, "outcome", [step.outcome] if step.outcome else [], "  ")
        _changes(out, "checks", step.checks, "  ")
        for cell in step.cells:
            _cell(out, cell)
    if found.same:
        out.print("\nNothing differs but the time they took.")


def evidence(report: Report) -> None:
    """Print what a verification found.

    Args:
        report: as ``archive.evidence.verify`` gives it.
    """
    out = _out()
    if report.first is not None:
        out.print(f"{report.first.kind}: {report.first.where}", markup=False, soft_wrap=True, style="bold red")
        for label, value in (
            ("expected", report.first.expected),
            ("seen", report.first.seen),
            ("meaning", report.first.meaning),
        ):
            if value:
                out.print(f"  {label + ':':<10} {value}", markup=False, soft_wrap=True)
        out.print("What comes after it was not looked at.")
    verb = "were" if report.first is not None else "are all"
    counted = f"{report.entries} entries, {report.runs} ended runs and {report.files} files {verb} as recorded"
    out.print(f"{report.deployment or 'the deployment'}: {counted}", markup=False, soft_wrap=True)
    for title, some in (("going on", report.going_on), ("cut off, closed by the next run", report.cut_off)):
        for run in some:
            out.print(f"  {title}: {run}", markup=False, soft_wrap=True)
    for note in report.notes:
        out.print(f"  note: {note}", markup=False, soft_wrap=True)
    out.print(f"  key {report.key}", markup=False, soft_wrap=True)
    if report.intact and report.head:
        out.print(f"  head {report.head}", markup=False, soft_wrap=True)


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


def findings(found: Iterable[Finding]) -> int:
    """Print what a look at the clouds came to; return how many findings are amiss."""
    known = list(found)
    table(
        "Clouds",
        ("", "cloud", "check", "expected", "seen", "what to do"),
        [("✓" if one.ok else "✗", one.cloud, one.check, one.expected, one.seen, one.remedy) for one in known],
    )
    return sum(not one.ok for one in known)


def _out() -> Console:
    return Console(highlight=False)


def _changes(out: Console, title: str, changes: Sequence[Change], indent: str = "") -> None:
    if changes:
        out.print(f"{indent}{title}:" if indent else f"\n{title}:", style="dim")
    for change in changes:
        out.print(f"{indent}  {change}", markup=False, soft_wrap=True)


def _cell(out: Console, cell: CellDiff) -> None:
    place = cell.after if cell.before is None else cell.before
    moved = f", now {cell.after}" if None not in (cell.before, cell.after) and cell.before != cell.after else ""
    what = {"source": "another source", "outputs": "other output"}.get(cell.kind, cell.kind)
    out.print(f"  cell {place}{moved}: {what}", style="dim")
    for line in cell.lines:
        style = {"+": "green", "-": "red"}.get(line[:1], "")
        out.print(f"    {line}", markup=False, soft_wrap=True, style=style)
    if cell.left:
        out.print(f"    … and {cell.left} more lines", style="dim")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
