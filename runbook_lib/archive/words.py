"""A record in words, the same for the report, the terminal and whoever else tells of it: pure, nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .record import CellRecord, RunRecord, StepRecord

# How a run ended, after "Step 01_bootstrap … on deployment demo": with where, and after how long.
_ENDINGS = {
    "pending": "has not begun",
    "running": "is running{where}, since {after}",
    "cut off": "was cut off without a word{where}",
    "succeeded": "succeeded after {after}",
    "failed": "failed after {after}{where}",
    "timed out": "was given up after {after}: a cell took longer than it was given{where}",
    "out of memory": "ran out of memory after {after}{where}",
    "kernel died": "ended after {after} because the kernel died{where}",
    "interrupted": "was interrupted after {after}{where}",
    "terminated": "was told to end after {after}{where}",
    "killed": "was killed{where}",
    "machine gone": "ended when its machine went down{where}",
}


def sentence(record: RunRecord, state: str = "") -> str:
    """The outcome in one sentence: what ran, when, by whom, how it ended, where, why, what it waited for and said.

    Args:
        record: the run.
        state: what ``history.state`` tells of it; the record's outcome by default.
    """
    state = state or record.outcome
    at = ended_in(record)
    where = f" in {at.step}" if at and len(record.steps) > 1 else ""
    if at and (cell := cell_of(at)) is not None:
        where += f", at cell {cell.index}" + (f" under “{cell.heading}”" if cell.heading else "")
    elif at and at.cell is not None:
        where += f", at cell {at.cell}"
    ending = _ENDINGS.get(state, f"ended as “{state}”{{where}}").format(where=where, after=duration(elapsed(record)))
    words = (
        f"{what(record)} on deployment {record.deployment}, run by {who(record)} on {moment(record.started)}, {ending}"
    )
    if at and (why := first_line(at.message)):
        words += f": {why}"
    if at and at.waiting.get("what"):
        words += f"; it had been waiting {duration(float(at.waiting.get('seconds') or 0))} for {at.waiting['what']}"
        words += f" and last saw {at.waiting['seen']}" if at.waiting.get("seen") not in ("", None) else ""
    if at and (said := first_line("\n".join(reversed(at.printed.splitlines())))):
        words += f"; the last it printed was “{said}”"
    return words.rstrip(".") + "."


def what(record: RunRecord) -> str:
    """What ran: its steps, in a few words."""
    names = [step.step for step in record.steps]
    if record.kind == "interactive":
        return f"An interactive session in {listed(names)}" if names else "An interactive session"
    if len(names) == 1:
        return f"Step {names[0]}"
    return f"{len(names)} steps ({listed(names)})" if names else "A run without steps"


def listed(names: Sequence[str]) -> str:
    """Several names in a few words."""
    return " and ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"


def who(record: RunRecord) -> str:
    """Who ran it, and where."""
    user = str(record.identity.get("user") or "somebody unknown")
    login, host = record.identity.get("login"), record.identity.get("host")
    return user + (f", who is {login}," if login and login != user else "") + (f" at {host}" if host else "")


def ended_in(record: RunRecord) -> StepRecord | None:
    """The step that it did not get past; none if it succeeded or never began."""
    last = record.last
    return last if last is not None and last.outcome != "succeeded" else None


def cell_of(step: StepRecord) -> CellRecord | None:
    """The last execution of the cell that a step ended in."""
    return next((cell for cell in reversed(step.cells) if step.cell is not None and cell.index == step.cell), None)


def elapsed(record: RunRecord) -> float:
    """Seconds from its beginning to its end, or those of its steps while there is no end."""
    begun, ended = when(record.started), when(record.ended)
    return (ended - begun).total_seconds() if begun and ended else record.seconds


def tally(checks: Sequence[Mapping[str, Any]]) -> str:
    """How many checks there were and how many of them failed, in words."""
    failed = sum(not check["ok"] for check in checks)
    if not checks:
        return "no checks"
    number = f"{len(checks)} check{'' if len(checks) == 1 else 's'}"
    return f"{number}, {failed} failed" if failed else f"{number}, all as expected"


def when(text: str) -> datetime | None:
    """A time as records write it; none if it is empty or no time."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def moment(text: str) -> str:
    """A record's time for a reader: ``2026-01-02 03:04:05 UTC``."""
    at = when(text)
    return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname() or ''}".rstrip() if at else text or "an unknown day"


def duration(seconds: float) -> str:
    """``0.4 s``, ``5 min 12 s``, ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
