"""A walk whose command is killed at cells drawn by lot, and resumed each time, builds what an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.archive.record import RunRecord
from runbook_lib.params import Params, read_file
from runbook_lib.resources import STEPS
from runbook_lib.site import open_site
from tests.e2e.operators import CLONE, Operator

pytestmark = pytest.mark.e2e

DEPLOYMENT = "short"
SEED = int(os.environ.get("RUNBOOK_SEED", "20261125"))
KILLS = int(os.environ.get("RUNBOOK_KILLS", "3"))  # more of them by hand: each costs some seconds
WALK = STEPS[:-1]
PATIENCE = 180.0  # seconds


def code_cells(step: str) -> int:
    content = json.loads((CLONE / "notebooks" / f"{step}.ipynb").read_text())
    return sum(cell["cell_type"] == "code" for cell in content["cells"]) + 1  # and the injected parameters


def by_lot() -> list[tuple[str, int]]:
    """Steps and numbers of cells, in the order in which a walk comes to them."""
    every = [(step, number) for step in WALK for number in range(1, code_cells(step) + 1)]
    return sorted(random.Random(SEED).sample(every, KILLS))


def begun(runs: Path, known: set[Path]) -> tuple[dict[str, int], int]:
    """How many cells each step of the newest run has begun, and the process that runs it."""
    for folder in set(runs.glob("*")) - known:
        if (folder / "run.json").exists():
            record: dict[str, Any] = json.loads((folder / "run.json").read_text())
            return {step["step"]: len(step["cells"]) for step in record["steps"]}, record["identity"]["pid"]
    return {}, 0


def killed_at(operator: Operator, words: list[str], step: str, cell: int) -> int:
    """Run a command and kill it once that cell has begun; its exit status, which is -9 unless it ended before."""
    runs = operator.folder / "outputs" / DEPLOYMENT / "runs"
    known = set(runs.glob("*"))
    command = [sys.executable, "-m", "runbook_lib.cli", *words]
    with subprocess.Popen(
        command, cwd=CLONE, env=operator.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None:
            cells, pid = begun(runs, known)
            if cells.get(step, 0) >= cell:
                os.kill(pid, signal.SIGKILL)
                break
            assert time.monotonic() < deadline, f"{step} did not come to its cell {cell}"
            time.sleep(0.02)
        return process.wait(PATIENCE)


@pytest.fixture(scope="module")
def options(operator: Operator) -> Iterator[list[str]]:
    given = ["-f", str(operator.params), "-p", "deployment", DEPLOYMENT]
    given += ["--output", str(operator.folder / "outputs")]
    yield given
    done = operator.runbook("run", "05_teardown", *given)
    assert done.returncode == 0, done.stderr
    assert operator.resources(DEPLOYMENT) == set()


def test_it_comes_to_the_same_end(operator: Operator, options: list[str]) -> None:
    output = operator.folder / "outputs"
    words = ["run", *WALK, *options]
    for step, cell in by_lot():
        assert killed_at(operator, words, step, cell) == -signal.SIGKILL, (step, cell)
        words = ["run", "--resume", *options]
    done = operator.runbook(*words)
    assert done.returncode == 0, f"seed {SEED}: {done.stderr}"

    every = [RunRecord.read(folder) for folder in sorted((output / DEPLOYMENT / "runs").iterdir())]
    assert [record.outcome for record in every] == ["killed"] * KILLS + ["succeeded"]
    assert [record.resumes for record in every[1:]] == [record.run for record in every[:-1]]
    assert [record.steps[0].step for record in every[1:]] == [step for step, _ in by_lot()]
    # 04's own checks have just agreed on all that is built; and there is nothing that a further run would do.
    assert all(check["ok"] for step in every[-1].steps for check in step.checks)
    params = Params.parse({**read_file(operator.params), "deployment": DEPLOYMENT}, source="test")
    site = open_site(params)
    assert [plan.work for plan in map(site.plan, WALK)] == [()] * len(WALK)
    site.close()
