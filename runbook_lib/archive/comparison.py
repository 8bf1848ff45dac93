"""What differs between two runs: decided on loaded data; ``diff`` alone reads files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, unified_diff
from typing import Any, Literal

from .record import RunRecord, StepRecord

CONTEXT, LINES = 1, 12  # of a text's difference: lines around each change, and so many lines in all
CellChange = Literal["added", "removed", "source", "outputs"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; ``None`` is not there.

    Args:
        name: what.
        before: in the first run, as text.
        after: in the second.
    """

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name}: {self.after} (new)"
        return (
            f"{self.name}: {self.before} (gone)" if self.after is None else f"{self.name}: {self.before} → {self.after}"
        )


@dataclass(frozen=True, slots=True)
class CellDiff:
    """A cell that differs.

    Args:
        kind: ``added``, ``removed``, its ``source``, or its ``outputs`` alone.
        before: its place in the first notebook, from 0.
        after: its place in the second.
        lines: a unified difference of the sources or the outputs; of a cell that both do not have, its source.
        left: so many more lines there are.
    """

    kind: CellChange
    before: int | None
    after: int | None
    lines: tuple[str, ...] = ()
    left: int = 0


@dataclass(frozen=True, slots=True)
class StepDiff:
    """A step of either run.

    Args:
        step: its name.
        seconds: how long it took, in the first and in the second; ``None`` where it was not run.
        outcome: how it ended, if that differs.
        source: the notebook's file was another.
        checks: those that appeared, vanished, or saw or expected something else.
        cells: those that differ, in the executed notebooks.
        unread: why the cells were not compared, if they were not.
    """

    step: str
    seconds: tuple[float | None, float | None]
    outcome: Change | None = None
    source: bool = False
    checks: tuple[Change, ...] = ()
    cells: tuple[CellDiff, ...] = ()
    unread: str = ""

    @property
    def same(self) -> bool:
        """Nothing differs but the time."""
        return not (self.outcome or self.source or self.checks or self.cells or self.unread)


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two runs.

    Args:
        a: the first run's record.
        b: the second's.
        facts: outcome, deployment, commit and the like.
        parameters: those added, removed or changed.
        versions: of packages and of services.
        steps: every step of either run, the same ones too, for their times.
    """

    a: RunRecord
    b: RunRecord
    facts: tuple[Change, ...]
    parameters: tuple[Change, ...]
    versions: tuple[Change, ...]
    steps: tuple[StepDiff, ...]

    @property
    def same(self) -> bool:
        """Nothing differs but the times."""
        return not (self.facts or self.parameters or self.versions) and all(step.same for step in self.steps)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run with its executed notebooks.

    Args:
        record: the run's record.
        notebooks: the notebooks' content by step, of those that could be read.
        unread: by step, why one could not.
    """

    record: RunRecord
    notebooks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def diff(a: RunRecord, b: RunRecord) -> Diff:
    """What differs between two runs; a notebook that cannot be read is named."""
    return compare(load(a), load(b))


def load(record: RunRecord) -> Loaded:
    """Read a run's executed notebooks, of the steps that began."""
    books: dict[str, Mapping[str, Any]] = {}
    unread: dict[str, str] = {}
    for step in record.steps:
        if step.outcome != "pending":
            file = record.folder / step.notebook
            try:
                book = json.loads(file.read_text(encoding="utf-8"))
                [_source(cell) for cell in book["cells"]]
                books[step.step] = book
            except (OSError, ValueError, KeyError, TypeError) as error:
                unread[step.step] = f"{file} cannot be read: {type(error).__name__}: {error}"
    return Loaded(record, books, unread)


# ---- pure ----------------------------------------------------------------------------------------------------


def compare(a: Loaded, b: Loaded) -> Diff:
    """What differs between two loaded runs."""
    before, after = a.record, b.record
    names = list(dict.fromkeys(step.step for step in (*before.steps, *after.steps)))
    return Diff(
        before,
        after,
        tuple(changes(_facts(before), _facts(after))),
        tuple(changes(before.parameters, after.parameters)),
        tuple(changes({**before.versions, **before.services}, {**after.versions, **after.services})),
        tuple(_step(name, a, b) for name in names),
    )


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What was added, removed or changed between two mappings, by name."""
    for name in dict.fromkeys((*before, *after)):
        change = Change(
            name, _text(before[name]) if name in before else None, _text(after[name]) if name in after else None
        )
        if change.before != change.after:
            yield change


def cells(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[CellDiff]:
    """The cells that differ. Those with the same source belong together; between them, they are paired in order."""
    left, right = ([(cell["cell_type"], _source(cell)) for cell in some] for some in (before, after))
    for tag, i, i_end, j, j_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        paired = min(i_end - i, j_end - j)
        for step in range(paired):
            x, y = i + step, j + step
            if tag == "equal":
                kind, texts = "outputs", (outputs(before[x]), outputs(after[y]))
            else:
                kind, texts = "source", (left[x][1], right[y][1])
            if texts[0] != texts[1]:
                yield CellDiff(kind, x, y, *_shortened(_unified(*texts)))  # type: ignore[arg-type]
        for x in range(i + paired, i_end):
            yield CellDiff("removed", x, None, *_shortened([f"-{line}" for line in left[x][1].splitlines()]))
        for y in range(j + paired, j_end):
            yield CellDiff("added", None, y, *_shortened([f"+{line}" for line in right[y][1].splitlines()]))


def outputs(cell: Mapping[str, Any]) -> str:
    """What a cell printed, showed or failed with, as text; pictures are compared by their words only."""
    parts = []
    for output in cell.get("outputs", ()):
        if output.get("output_type") == "stream":
            parts.append(_joined(output.get("text", "")))
        elif output.get("output_type") == "error":
            parts.append(f"{output.get('ename')}: {output.get('evalue')}\n")
        else:
            parts.append(_joined(output.get("data", {}).get("text/plain", "")) + "\n")
    return "".join(parts)


def _step(name: str, a: Loaded, b: Loaded) -> StepDiff:
    first, second = (next((s for s in run.record.steps if s.step == name), None) for run in (a, b))
    seconds = tuple(None if s is None or s.outcome == "pending" else s.seconds for s in (first, second))
    ways = [None if s is None else s.outcome for s in (first, second)]
    books = a.notebooks.get(name), b.notebooks.get(name)
    return StepDiff(
        name,
        (seconds[0], seconds[1]),
        Change("outcome", ways[0], ways[1]) if ways[0] != ways[1] else None,
        bool(first and second and first.source_sha256 != second.source_sha256),
        tuple(changes(_checks(first), _checks(second))),
        tuple(cells(books[0]["cells"], books[1]["cells"])) if books[0] and books[1] else (),
        "; ".join(run.unread[name] for run in (a, b) if name in run.unread),
    )


def _checks(step: StepRecord | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for check in step.checks if step else ():
        # The same may be compared several times; the order tells which is which.
        number = sum(name.split(" (again", 1)[0] == check["name"] for name in found)
        name = f"{check['name']} (again {number})" if number else str(check["name"])
        found[name] = f"{'✓' if check['ok'] else '✗'} {check['seen']}, expected {check['expected']}"
    return found


def _facts(record: RunRecord) -> dict[str, Any]:
    code = record.code
    return {
        "deployment": record.deployment,
        "outcome": record.outcome,
        "kind": record.kind,
        "run by": record.identity.get("user", ""),
        "host": record.identity.get("host", ""),
        "commit": code.get("commit") or code.get("unknown", ""),
        "changed since the commit": code.get("changed", ()),
        "notes": record.notes,
    }


def _unified(before: str, after: str) -> list[str]:
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _shortened(lines: Sequence[str]) -> tuple[tuple[str, ...], int]:
    return tuple(lines[:LINES]), max(0, len(lines) - LINES)


def _source(cell: Mapping[str, Any]) -> str:
    return _joined(cell["source"])


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "nothing"
    return "nothing" if value in ("", None) else str(value)
