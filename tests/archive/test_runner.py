"""Runs made for real: each way in which a notebook can end, by papermill and a kernel of this interpreter."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook_lib.archive.progress import Silent
from runbook_lib.archive.runner import Job, run
from runbook_lib.errors import PrerequisiteError, RunFailed
from runbook_lib.params import Params

Write = Callable[..., Path]


def job(folder: Path, tmp_path: Path, *steps: str, **given: Any) -> Job:
    params = Params.parse({"keys": str(tmp_path / "keys"), **given}, source="test")
    return Job(steps, params, given, tmp_path / "outputs", folder)


def only_run(tmp_path: Path, deployment: str = "demo") -> Path:
    (folder,) = (tmp_path / "outputs" / deployment / "runs").iterdir()
    return folder


def outcomes(folder: Path) -> dict[str, str]:
    kept = json.loads((folder / "run.json").read_text())
    return {"run": kept["outcome"]} | {step["step"]: step["outcome"] for step in kept["steps"]}


def outputs_of(file: Path) -> list[Any]:
    return [output for cell in nbformat.read(file, as_version=4).cells for output in cell.get("outputs", [])]


def text_of(file: Path) -> str:
    return "".join(output.get("text", "") for output in outputs_of(file))


def test_a_run_keeps_each_notebook_and_tells_it_what_was_given(write_notebook: Write, tmp_path: Path) -> None:
    write_notebook("00_provision", "import sys; print(deployment, timeout, sys.executable)")
    folder = write_notebook("01_bootstrap", "import os; print('in', os.getcwd())")
    seen: list[tuple[str, int]] = []

    class Watch(Silent):
        def step_started(self, step: Any, cells: int) -> None:
            seen.append((step.step, cells))

    record = run(job(folder, tmp_path, "00_provision", "01_bootstrap", deployment="blue"), Watch())

    assert record.outcome == "succeeded"
    kept = only_run(tmp_path, "blue")
    pages = ["00_provision.html", "00_provision.ipynb", "01_bootstrap.html", "01_bootstrap.ipynb"]
    assert sorted(f.name for f in kept.iterdir()) == [*pages, "index.html", "run.json"]
    assert outcomes(kept) == {"run": "succeeded", "00_provision": "succeeded", "01_bootstrap": "succeeded"}
    assert text_of(kept / "00_provision.ipynb").split() == ["blue", "600", sys.executable]
    assert text_of(kept / "01_bootstrap.ipynb").strip() == f"in {os.getcwd()}"
    assert json.loads((kept / "run.json").read_text())["parameters"]["deployment"] == "blue"
    # The injected parameters are one more cell than the three that were written.
    assert seen == [("00_provision", 4), ("01_bootstrap", 4)]


def test_the_first_failure_ends_the_run_with_the_library_s_own_message(write_notebook: Write, tmp_path: Path) -> None:
    write_notebook(
        "00_provision",
        "from runbook_lib.errors import CheckFailed",
        "raise CheckFailed('a check failed', expected='six', seen='five', remedy='look at the log')",
        "print('never')",
    )
    folder = write_notebook("01_bootstrap", "print('never')")

    with pytest.raises(RunFailed) as failed:
        run(job(folder, tmp_path, "00_provision", "01_bootstrap"))

    kept = only_run(tmp_path)
    assert outcomes(kept) == {"run": "failed", "00_provision": "failed", "01_bootstrap": "pending"}
    assert failed.value.message.startswith("a check failed\n  expected:")
    assert failed.value.resource == str(kept / "00_provision.ipynb")
    assert failed.value.remedy == ""
    assert "never" not in text_of(kept / "00_provision.ipynb")
    [shown] = [out.traceback for out in outputs_of(kept / "00_provision.ipynb") if out.output_type == "error"]
    assert shown == [f"CheckFailed: {failed.value.message}"], "of the library's inside a reader sees nothing"
    assert not (kept / "01_bootstrap.ipynb").exists()


def test_any_other_error_sends_the_reader_to_the_traceback(write_notebook: Write, tmp_path: Path) -> None:
    folder = write_notebook("00_provision", "1 / 0")
    with pytest.raises(RunFailed) as failed:
        run(job(folder, tmp_path, "00_provision"))
    assert failed.value.message == "ZeroDivisionError: division by zero"
    assert "open the executed notebook" in failed.value.remedy


def test_nothing_runs_when_a_notebook_is_missing(write_notebook: Write, tmp_path: Path) -> None:
    folder = write_notebook("00_provision", "print('never')")
    with pytest.raises(PrerequisiteError, match="01_bootstrap"):
        run(job(folder, tmp_path, "00_provision", "01_bootstrap"))
    assert not (tmp_path / "outputs").exists()
