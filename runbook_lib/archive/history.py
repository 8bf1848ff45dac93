"""The runs there have been: all of them, one of them, and whether it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import RecordError
from .record import RunRecord

RUNS, LATEST, CUT_OFF = "runs", "latest", "cut off"
NAMED = 5  # so many runs are named where several are meant


def runs(
    outputs: Path, deployment: str | None = None, *, unreadable: Callable[[RecordError], object]
) -> list[RunRecord]:
    """Every run on record, newest first.

    Args:
        outputs: the folder in which each deployment has its own.
        deployment: only this one's runs; all by default.
        unreadable: called with the error of each run whose record cannot be read.
    """
    found = []
    for folder in reversed(folders(outputs, deployment)):
        try:
            found.append(RunRecord.read(folder))
        except RecordError as error:
            unreadable(error)
    return found


def find(outputs: Path, run: str, deployment: str | None = None) -> RunRecord:
    """One run.

    Args:
        outputs: the folder in which each deployment has its own.
        run: its id, the beginning of its id, or ``latest``.
        deployment: look among this one's runs only.

    Raises:
        RecordError: there is none, more than one is meant, or its record cannot be read.
    """
    every = folders(outputs, deployment)
    if run == LATEST:
        meant = every[-1:]
    else:
        meant = [f for f in every if f.name == run] or [f for f in every if run and f.name.startswith(run)]
    if len(meant) == 1:
        return RunRecord.read(meant[0])
    among = f" of {deployment}" if deployment else ""
    if meant:
        raise RecordError(
            f"several runs{among} begin with {run}",
            resource=run,
            expected="an id, or enough of its beginning to mean one run",
            seen=_named(meant),
            remedy="give more of the id",
        )
    raise RecordError(
        f"there is no run{among} called {run}" if run != LATEST else f"there is no run{among} yet",
        resource=str(outputs),
        expected="the id of a run, its beginning, or latest",
        seen=_named(every) or "no run at all",
        remedy="runbook history lists the runs",
    )


def resumable(outputs: Path, run: str, deployment: str, held: Callable[[Path], bool]) -> RunRecord:
    """The run that is to be gone on with.

    Args:
        outputs: the folder in which each deployment has its own.
        run: its id, the beginning of its id, or ``latest``: of those that were begun by ``runbook run``.
        deployment: whose.
        held: as for ``state``.

    Raises:
        RecordError: there is none, or it is going on.
    """
    if run == LATEST:
        own = [record for record in runs(outputs, deployment, unreadable=_refuse) if record.kind == "run"]
        if own:
            run = own[0].run
    record = find(outputs, run, deployment)
    if held(record.folder):
        raise RecordError(
            f"run {record.run} is going on",
            resource=str(record.folder),
            expected="a run that has ended",
            seen="a process that records it",
            remedy="wait until it has ended, or end it with Ctrl-C where it runs",
        )
    return record


def left(record: RunRecord) -> tuple[list[str], dict[str, Any]]:
    """What a run has left to do, and what it was told.

    Args:
        record: of a run that nobody records any more.

    Returns:
        The steps that did not succeed, in order, and the parameters that were given.

    Raises:
        RecordError: every step has succeeded, or it is no run of several steps.
    """
    steps = [step.step for step in record.steps if step.outcome != "succeeded"]
    if record.kind == "interactive" or not steps:
        raise RecordError(
            f"there is nothing left to do of run {record.run}",
            resource=str(record.folder),
            expected="a run of `runbook run` that did not reach its end",
            seen=f"{record.outcome}, {record.kind}",
            remedy="name the run to resume: runbook run --resume RUN; runbook history lists them",
        )
    given = {
        name: value for name, value in record.parameters.items() if record.sources.get(name, "default") != "default"
    }
    return steps, given


def state(record: RunRecord, held: Callable[[Path], bool]) -> str:
    """The outcome; of a run that its record calls running, whether it is, or was ``cut off``.

    Args:
        record: the run.
        held: tells whether somebody holds the lock of a run's folder, as every recorder does to its end.
    """
    if record.outcome != "running":
        return record.outcome
    return "running" if held(record.folder) else CUT_OFF


def folders(outputs: Path, deployment: str | None = None) -> list[Path]:
    """The folders of the runs, oldest first: ids sort by time."""
    return sorted(_folders(outputs, deployment), key=lambda folder: folder.name)


def _refuse(error: RecordError) -> None:
    raise error


def _folders(outputs: Path, deployment: str | None) -> Iterator[Path]:
    if not outputs.is_dir():
        return
    for own in outputs.iterdir() if deployment is None else [outputs / deployment]:
        if (own / RUNS).is_dir():
            yield from (f for f in (own / RUNS).iterdir() if f.is_dir() and not f.name.startswith("."))


def _named(found: list[Path]) -> str:
    newest = [f"{folder.name} ({folder.parent.parent.name})" for folder in reversed(found)]
    more = f" and {len(newest) - NAMED} more" if len(newest) > NAMED else ""
    return ", ".join(newest[:NAMED]) + more
