"""Closing a run's record: by the one who made it, or later, when whoever made it ended without a word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import lock, origin, report
from .durable import replace
from .entry import Entry
from .ledger import RUNS, Ledger, entries, unended
from .notebooks import as_file
from .record import RECORD, Outcome, RunRecord, StepRecord, utc_now


def seal(record: RunRecord, ledger: Ledger) -> None:
    """Write the pages that show a run whose record is complete, and enter its ending into the ledger.

    Raises:
        OSError, RecordError: something cannot be written.
    """
    for step in record.steps:
        notebook = record.folder / step.notebook
        if notebook.is_file() and not notebook.with_suffix(".html").exists():
            report.export(notebook)
    report.write(record)
    ledger.end(record)


def close(folder: Path, ledger: Ledger) -> list[RunRecord]:
    """Close every run of a deployment that nobody records any more; the caller has the deployment's opening lock.

    Args:
        folder: the deployment's.
        ledger: its ledger.

    Returns:
        Those that were closed.

    Raises:
        RecordError: a record cannot be read.
        OSError: something cannot be written.
    """
    ledger.mend()
    closed = []
    for entry in unended(entries(folder)):
        run = folder / RUNS / entry.run
        if run.is_dir() and not lock.is_held(run):
            with lock.hold(run):
                record = _record(run, entry)
                for page in run.glob("*.html"):  # of before the end was known
                    page.unlink()
                finish(record, origin.machine())
                seal(record, ledger)
            closed.append(record)
    return closed


def _record(folder: Path, entry: Entry) -> RunRecord:
    """A run's record; if it was cut off before it had one, what the ledger knows of it."""
    if (folder / RECORD).exists():
        return RunRecord.read(folder)
    started, identity = entry.at, entry.identity
    return RunRecord(
        entry.run, folder.parents[1].name, folder, entry.parameters, [], started=started, identity=identity
    )


def finish(record: RunRecord, here: Mapping[str, str]) -> None:
    """Let a record that was left open say how it ended, as far as that can be known.

    Args:
        record: of a run whose lock is free.
        here: this machine, as ``origin.machine`` tells it.
    """
    if record.outcome == "running":
        outcome, message = ending(record.identity, here)
        for step in record.steps:
            if step.outcome == "running":
                step.outcome, step.message = outcome, message
                for cell in step.cells:
                    if cell.outcome == "running":
                        cell.outcome, step.cell = outcome, cell.index
                mark(record.folder / step.notebook, step)
        record.outcome = outcome
        record.notes.append(f"{utc_now()} closed by a later operation: {message}")
    else:
        record.notes.append(f"{utc_now()} closed by a later operation: the run was cut off while it wrote its record")
    record.write()


def ending(then: Mapping[str, Any], here: Mapping[str, str]) -> tuple[Outcome, str]:
    """What ended a run whose own process did not say.

    Args:
        then: the machine that it ran on.
        here: this one.
    """
    if then.get("host") != here["host"]:
        return "machine gone", f"{then.get('host')} recorded nothing more and no longer holds the run"
    if then.get("boot") != here["boot"]:
        return "machine gone", "the machine was started again meanwhile"
    if then.get("world") != here["world"] and not origin.world_lives(str(then.get("world"))):
        return "machine gone", "the container or namespace that it ran in is gone"
    return "killed", "the process that ran it ended without a word: SIGKILL, or no memory left for it"


def mark(notebook: Path, step: StepRecord) -> None:
    """Let an executed notebook say how its step ended.

    Args:
        notebook: its file; nothing is done if it was never saved.
        step: what is known of it.
    """
    if not notebook.is_file():
        return
    book = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        told = cell["metadata"].get("papermill", {})
        if told.get("status") == "running":
            told.update(status="failed", exception=True)
    book["metadata"].setdefault("papermill", {})["exception"] = True
    book["metadata"].setdefault("runbook", {}).update(outcome=step.outcome, message=step.message, cell=step.cell)
    replace(notebook, as_file(book))
