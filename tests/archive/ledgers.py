"""Small archives made as a run makes them, to be recorded, verified and tampered with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nbformat

from runbook_lib.archive import signing
from runbook_lib.archive.head import HEAD, LEDGER, NEXT
from runbook_lib.archive.ledger import Ledger
from runbook_lib.archive.record import CellRecord, Outcome, RunRecord, StepRecord
from runbook_lib.archive.signing import Key

STEPS = ("00_provision", "01_bootstrap")


def key_in(folder: Path) -> Key:
    return signing.open_key(folder / "keys" / "demo" / "archive")


def started(folder: Path, run: str) -> RunRecord:
    """A run's folder, empty, and its record."""
    place = folder / "runs" / run
    place.mkdir(parents=True)
    steps = [StepRecord(step, f"{step}.ipynb") for step in STEPS]
    parameters = {"deployment": folder.name, "timeout": 600.0, "zones": ("a", "b"), "run": run}
    return RunRecord(run, folder.name, place, parameters, steps, identity={"user": "operator", "pid": 4711})


def finish(record: RunRecord, outcome: Outcome = "succeeded") -> None:
    """Write what a run leaves: executed notebooks, a page of each and of the whole, the record with its outcome."""
    for step in record.steps:
        cells = [nbformat.v4.new_markdown_cell(f"# {step.step}", id="heading")]
        for index in (1, 2, 3):
            source = f"require({index}, {step.step!r})\nprint({record.run!r})"
            output = nbformat.v4.new_output("stream", name="stdout", text=f"{step.step} {record.run} {index}\n")
            cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{index}", execution_count=index, outputs=[output]))
            digest = hashlib.sha256(source.encode()).hexdigest()
            step.cells.append(CellRecord(index, "succeeded", "2026-01-02T03:04:05.000+00:00", 0.5, "", digest))
        step.outcome = "succeeded"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), record.folder / step.notebook)
        (record.folder / step.notebook).with_suffix(".html").write_text(f"<p>{record.run} {step.step}</p>\n" * 3)
    (record.folder / "index.html").write_text(f"<h1>{record.run}</h1>\n")
    record.outcome, record.ended = outcome, "2026-01-02T03:05:05.000+00:00"
    record.write()


def recorded(ledger: Ledger, run: str, outcome: Outcome = "succeeded") -> RunRecord:
    """A whole run, from its begin to its end."""
    record = started(ledger.folder, run)
    ledger.begin(record)
    finish(record, outcome)
    ledger.end(record)
    return record


def archive(folder: Path, key: Key, runs: int = 3) -> Ledger:
    """A deployment's archive with so many runs and a remark."""
    ledger = Ledger(folder, key)
    for number in range(runs):
        recorded(ledger, f"2026010{number + 1}T030405Z-00000{number}", "failed" if number == 1 else "succeeded")
    ledger.note("a remark")
    return ledger


def change_json(file: Path, *path: str | int, value: object) -> None:
    """Set one value in a JSON file."""
    content = place = json.loads(file.read_text())
    for part in path[:-1]:
        place = place[part]
    assert place[path[-1]] != value
    place[path[-1]] = value
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def cut_off(ledger: Ledger, note: str, size: int) -> bytes:
    """Leave what a writer leaves that is killed when so many bytes of its line were there; return the line."""
    ledger_before, head_before = ((ledger.folder / name).read_bytes() for name in (LEDGER, HEAD))
    ledger.note(note)
    line = (ledger.folder / LEDGER).read_bytes().removeprefix(ledger_before)
    (ledger.folder / HEAD).rename(ledger.folder / NEXT)
    (ledger.folder / HEAD).write_bytes(head_before)
    (ledger.folder / LEDGER).write_bytes(ledger_before + line[:size])
    return line
