"""A run that was killed, at whichever cell, is gone on with until the end is the same as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.archive import evidence, history, signing
from runbook_lib.archive.record import RunRecord, StepRecord
from runbook_lib.errors import RecordError

Write = Callable[..., Path]
# The command, with notebooks of its own instead of the clone's.
COMMAND = """
import sys
from pathlib import Path
import runbook_lib.archive.notebooks as places
from runbook_lib.archive import kernels
kernels.WARM_MODULE = "ipykernel.ipkernel"
places.CLONE = Path(sys.argv.pop(1))
from runbook_lib.cli import runbook
if __name__ == "__main__":
    runbook()
"""
# Finds, compares, changes the difference; and is killed with its command where the file "kill" says so.
WORK = """
import json, os, signal
from pathlib import Path
folder, name = Path({folder!r}), {name!r}
if not (folder / name).exists():
    (folder / name).write_text("made")
    with (folder / "log").open("a") as log:
        log.write(name + "\\n")
if (folder / "kill").exists() and (folder / "kill").read_text() == name:
    (folder / "kill").unlink()
    newest = max((folder.parent / "outputs/demo/runs").iterdir())
    os.kill(json.loads((newest / "run.json").read_text())["identity"]["pid"], signal.SIGKILL)
    signal.pause()
"""
STEPS = ("00_provision", "01_bootstrap", "02_federate")
CELLS = tuple(f"{step} {cell}" for step in STEPS[:2] for cell in ("a", "b"))


@pytest.fixture
def world(tmp_path: Path, write_notebook: Write) -> Path:
    folder = tmp_path / "world"
    folder.mkdir()
    for step in STEPS[:2]:
        write_notebook(step, *(WORK.format(folder=str(folder), name=f"{step} {cell}") for cell in ("a", "b")))
    return folder


def runbook(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "program.py"
    program.write_text(COMMAND)
    return subprocess.run(
        [sys.executable, program, tmp_path, *words, "-p", "keys", str(tmp_path / "keys")],
        env=os.environ | {"RUNBOOK_OUTPUT": str(tmp_path / "outputs")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def records(tmp_path: Path) -> list[RunRecord]:
    return [RunRecord.read(folder) for folder in sorted((tmp_path / "outputs/demo/runs").iterdir())]


def test_killed_at_each_cell_in_turn_it_comes_to_the_same_end(tmp_path: Path, world: Path) -> None:
    words = ["run", "00", "01", "-p", "web_servers", "3"]
    for cell in CELLS:
        (world / "kill").write_text(cell)
        assert runbook(tmp_path, *words).returncode == -9
        words = ["run", "--resume"]
    done = runbook(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    # Every cell's work is done, and each was done once.
    assert (world / "log").read_text().splitlines() == list(CELLS)
    assert sorted(file.name for file in world.iterdir()) == sorted([*CELLS, "log"])

    every = records(tmp_path)
    assert [record.outcome for record in every] == ["killed"] * len(CELLS) + ["succeeded"]
    assert [record.resumes for record in every] == ["", *(record.run for record in every[:-1])]
    first = [record.steps[0].step for record in every]
    assert first == ["00_provision", *(cell.split()[0] for cell in CELLS)]
    assert {record.parameters["web_servers"] for record in every} == {3}
    assert {record.sources["web_servers"] for record in every} == {"command line"}
    key = signing.public_key(tmp_path / "keys" / "demo" / "archive" / "signing-key.pub")
    report = evidence.verify(tmp_path / "outputs" / "demo", key)
    assert (report.first, report.runs, report.cut_off) == (None, len(every), [])

    again = runbook(tmp_path, "run", "--resume")
    assert again.returncode == 1
    assert "nothing left to do" in again.stderr


def test_what_cannot_be_resumed_is_told(tmp_path: Path, world: Path) -> None:
    nothing = runbook(tmp_path, "run", "--resume")
    assert (nothing.returncode, "no run of demo yet" in nothing.stderr) == (1, True)
    named = runbook(tmp_path, "run", "01", "--resume")
    assert (named.returncode, "either --resume, or steps" in named.stderr) == (2, True)
    assert not (tmp_path / "outputs").exists()


# ---- deciding ------------------------------------------------------------------------------------------------


def record(folder: Path, *outcomes: str, **facts: Any) -> RunRecord:
    steps = [StepRecord(step, f"{step}.ipynb", outcome=outcome) for step, outcome in zip(STEPS, outcomes, strict=True)]  # type: ignore[arg-type]
    return RunRecord("id", "demo", folder, {"timeout": 5, "test": True}, steps, **facts)


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        (("failed", "pending", "pending"), STEPS),
        (("succeeded", "running", "pending"), STEPS[1:]),
        (("succeeded", "succeeded", "machine gone"), STEPS[2:]),
    ],
)
def test_what_is_left_begins_with_the_step_that_did_not_succeed(
    tmp_path: Path, outcomes: tuple[str, ...], steps: tuple[str, ...]
) -> None:
    told = {"timeout": "params/lab.yaml", "test": "default"}
    assert history.left(record(tmp_path, *outcomes, sources=told)) == (list(steps), {"timeout": 5})


def test_a_session_at_a_notebook_is_not_resumed(tmp_path: Path) -> None:
    for one in (record(tmp_path, *["succeeded"] * 3), record(tmp_path, *["failed"] * 3, kind="interactive")):
        with pytest.raises(RecordError, match="nothing left to do"):
            history.left(one)


def test_the_latest_run_that_the_command_began_is_the_one_to_resume(tmp_path: Path) -> None:
    kinds = {"20260101T000000Z-a": "run", "20260102T000000Z-b": "interactive"}
    for run, kind in kinds.items():
        folder = tmp_path / "demo" / "runs" / run
        folder.mkdir(parents=True)
        one = record(folder, "failed", "pending", "pending", kind=kind)
        one.run = run
        one.write()
    free = lambda folder: False  # noqa: E731
    assert history.resumable(tmp_path, "latest", "demo", free).run == "20260101T000000Z-a"
    assert history.resumable(tmp_path, "20260102", "demo", free).run == "20260102T000000Z-b"
    with pytest.raises(RecordError, match="is going on"):
        history.resumable(tmp_path, "latest", "demo", lambda folder: True)
    assert json.loads((tmp_path / "demo/runs/20260101T000000Z-a/run.json").read_text())["outcome"] == "running"
