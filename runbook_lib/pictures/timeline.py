"""The walk's own timeline, from the deployment's records: its steps and their cells over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..archive import history
from ..archive.notebooks import EVERY, outputs
from ..archive.record import RunRecord, StepRecord
from ..archive.words import duration, moment, when
from ..plan import TEARDOWN
from ..site import Site
from . import drawing as d
from .picture import Picture

_LANE, _LABEL, _RIGHT = 34.0, 92.0, 62.0
_GOOD, _BUSY = ("#1668a8", "#6aa5d3"), "#d98a00"
_SIGNS = {"succeeded": "✓", "running": "…"}
LONGEST = 3  # so many of the longest cells are named
MOST = 200  # records that are looked through for the walk's beginning


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell's execution.

    Args:
        left: seconds from the beginning of the picture's time.
        seconds: how long it took, or has taken.
        outcome: how it ended, or ``running``.
        heading: the heading above it.
    """

    left: float
    seconds: float
    outcome: str
    heading: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One step.

    Args:
        step: its name.
        run: the record that tells of it.
        started: when it began, as the record writes it.
        outcome: how it ended, or ``running``.
        left: seconds from the beginning of the picture's time.
        seconds: how long it took, or has taken.
        waiting: what it waited for, if it ended so.
        bars: its cells.
    """

    step: str
    run: str
    started: str
    outcome: str
    left: float
    seconds: float
    waiting: str
    bars: tuple[Bar, ...]


def timeline(site: Site) -> Picture:
    """Each step's latest run since the walk's beginning, with its cells, from the records in the outputs' folder.

    The run that is going on is among them, as far as it is on record: a cell is once it has begun.
    """
    unread: list[object] = []
    records = history.runs(outputs(), site.params.deployment, unreadable=unread.append)
    return drawn(lanes(records, datetime.now(UTC)), where=str(outputs() / site.params.deployment), unread=len(unread))


def lanes(records: Iterable[RunRecord], now: datetime) -> list[Lane]:
    """The walk's steps, in their order. Pure.

    The walk is what ran since the last teardown. Steps that one run did stand where they were in its time; where
    several runs did them, by hand for example, hours may lie between, so that each begins at the same place. The cells
    of a step that was done by hand stand one after another, without the time in which somebody read.

    Args:
        records: the newest first.
        now: until when what has not ended has taken.
    """
    latest: dict[str, tuple[RunRecord, StepRecord]] = {}
    for record in list(records)[:MOST]:
        done = [step for step in record.steps if when(step.started) and step.outcome != "pending"]
        if latest and any(map(_took_down, done)):
            break
        for step in done:
            if step.step in EVERY:
                latest.setdefault(step.step, (record, step))
    known = [latest[name] for name in EVERY if name in latest]
    begins = {step.step: when(step.started) for _, step in known}
    together = len({record.run for record, _ in known}) == 1
    first = min((at for at in begins.values() if at), default=now)
    lanes = []
    for record, step in known:
        lane = _lane(record.run, step, first if together else begins[step.step] or first, now)
        lanes.append(lane if record.kind != "interactive" else _condensed(lane, step))
    return lanes


def drawn(many: Sequence[Lane], *, where: str, unread: int = 0) -> Picture:
    """The picture of these steps. Pure.

    Args:
        many: the steps.
        where: the folder of the records.
        unread: how many records could not be read.
    """
    lost = f" {unread} records cannot be read: runbook verify." if unread else ""
    if not many:
        canvas = d.Canvas(60)
        lines = d.wrapped(f"There is no record of a walk in {where}.{lost}", d.WIDTH - 40)
        canvas.lines(d.WIDTH / 2, 30 - d.LEAD * (len(lines) - 1) / 2, lines, align="center", size=d.TEXT)
        return Picture(canvas.svg(), f"Timeline: there is no record of a walk in {where}.{lost}")
    whole = max(lane.left + lane.seconds for lane in many) or 1.0
    scale = (d.WIDTH - _LABEL - _RIGHT - 2 * d.MARGIN) / whole
    canvas = d.Canvas(24 + _LANE * len(many) + 36)
    _axis(canvas, whole, scale, 24 + _LANE * len(many))
    for place, lane in enumerate(many):
        _draw(canvas, lane, 24 + place * _LANE, scale)
    canvas.text(d.MARGIN, 12, f"The walk: {_total(many)}", size=d.TEXT, bold=True)
    legend = "a bar is a cell, two blues in turn;  ✗ red: not succeeded;  amber: running"
    canvas.text(d.MARGIN, 24 + _LANE * len(many) + 26, legend, colour=d.PALE)
    return Picture(canvas.svg(), f"Timeline of the walk: {_total(many)}.{lost}", "\n".join(map(_said, many)))


# ---- pure ------------------------------------------------------------------------------------------------


def _lane(run: str, step: StepRecord, origin: datetime, now: datetime) -> Lane:
    begun = when(step.started) or origin
    left = (begun - origin).total_seconds()
    bars = []
    for cell in step.cells:
        at = when(cell.started)
        if at is None:
            continue
        taken = (now - at).total_seconds() if cell.outcome == "running" else cell.seconds
        bars.append(Bar((at - origin).total_seconds(), taken, cell.outcome, cell.heading))
    seconds = step.seconds
    if step.outcome == "running":
        seconds = (now - begun).total_seconds()
    waiting = step.waiting
    waited = f"{waiting['what']}, {duration(float(waiting.get('seconds') or 0))}" if waiting.get("what") else ""
    return Lane(step.step, run, step.started, step.outcome, left, seconds, waited, tuple(bars))


def _took_down(step: StepRecord) -> bool:
    """Whether it was the teardown, and nothing was left: somebody may just have looked at its plan."""
    return step.step == TEARDOWN and bool(step.checks) and all(check["ok"] for check in step.checks)


def _condensed(lane: Lane, step: StepRecord) -> Lane:
    """The cells one after another, and nothing else: a session lasts as long as its notebook is open.

    While it is, it stands as it would if it ended now, which its record tells by the cell that went wrong.
    """
    bars, at = [], lane.left
    for bar in lane.bars:
        bars.append(replace(bar, left=at))
        at += bar.seconds
    outcome = lane.outcome
    if outcome == "running" and not any(bar.outcome == "running" for bar in bars):
        outcome = next((cell.outcome for cell in step.cells if cell.index == step.cell), "succeeded")
    return replace(lane, outcome=outcome, seconds=at - lane.left, bars=tuple(bars))


def _total(many: Sequence[Lane]) -> str:
    whole = duration(sum(lane.seconds for lane in many))
    runs = len({lane.run for lane in many})
    steps = f"{len(many)} step{'' if len(many) == 1 else 's'}"
    return f"{steps} in {whole}" + (f", of {runs} runs, each from its own beginning" if runs > 1 else "")


def _said(lane: Lane) -> str:
    cells = sorted(lane.bars, key=lambda bar: -bar.seconds)[:LONGEST]
    longest = ", ".join(f"“{bar.heading}” {duration(bar.seconds)}" for bar in cells)
    waited = f" Waiting for {lane.waiting}." if lane.waiting else ""
    return (
        f"{lane.step}: {lane.outcome}, {duration(lane.seconds)}, begun {moment(lane.started)}, {len(lane.bars)} cells; "
        f"longest: {longest or 'none'}.{waited}"
    )


# ---- drawing ---------------------------------------------------------------------------------------------


def _axis(canvas: d.Canvas, whole: float, scale: float, y: float) -> None:
    from matplotlib.ticker import MaxNLocator

    left = d.MARGIN + _LABEL
    for tick in MaxNLocator(8).tick_values(0, whole):
        if 0 <= tick <= whole:
            x = left + tick * scale
            canvas.bar(x, 24, 0.7, y - 22, "#dddddd")
            canvas.text(x, y + 10, f"{tick:g} s", align="center", colour=d.PALE)


def _draw(canvas: d.Canvas, lane: Lane, y: float, scale: float) -> None:
    """A step: its frame, its cells, its name and how long it took, and the heading of its longest cell."""
    left = d.MARGIN + _LABEL
    good = lane.outcome in ("succeeded", "running")
    canvas.text(d.MARGIN, y + 9, lane.step, bold=True)
    sign = _SIGNS.get(lane.outcome, "✗")
    canvas.text(d.MARGIN, y + 9 + d.LEAD, f"{sign} {lane.outcome}", colour=d.INK if good else d.BAD)
    canvas.box(left + lane.left * scale, y + 3, max(1.0, lane.seconds * scale), 12, fill=d.AREA, edge=d.LINE)
    for place, bar in enumerate(lane.bars):
        fill = _GOOD[place % 2] if bar.outcome == "succeeded" else _BUSY if bar.outcome == "running" else d.BAD
        canvas.bar(left + bar.left * scale, y + 4, max(0.5, bar.seconds * scale), 10, fill)
    end = left + (lane.left + lane.seconds) * scale
    canvas.text(end + 4, y + 9, duration(lane.seconds), bold=True)
    if lane.bars:
        longest = max(lane.bars, key=lambda bar: bar.seconds)
        told = (
            f"waiting for {lane.waiting}" if lane.waiting else f"longest: {longest.heading} {duration(longest.seconds)}"
        )
        wide = len(told) * 4.4
        x = min(left + longest.left * scale, d.WIDTH - d.MARGIN - wide)
        canvas.text(max(left, x), y + 21.5, told[:120], colour=d.BAD if lane.waiting else d.PALE)
