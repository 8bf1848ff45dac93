"""Running notebooks one after the other, and keeping the record of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .. import errors
from ..errors import RunFailed
from ..params import Params
from . import kernels, notebooks, origin
from .record import RunRecord, StepRecord, new_run_id, utc_now


class Progress(Protocol):
    """Told about a run as it goes; see ``Silent`` for one that does nothing."""

    def step_started(self, step: StepRecord, cells: int) -> None:
        """A step begins; it has so many cells."""

    def cell_started(self, index: int, heading: str) -> None:
        """A cell begins; ``heading`` is the notebook's last heading before it."""

    def step_ended(self, step: StepRecord) -> None:
        """A step has ended; its record says how."""


class Silent:
    """No progress shown."""

    def step_started(self, step: StepRecord, cells: int) -> None:
        """Nothing."""

    def cell_started(self, index: int, heading: str) -> None:
        """Nothing."""

    def step_ended(self, step: StepRecord) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run.

    Args:
        steps: full names, in order.
        params: the parameters as resolved; they were checked before anything runs.
        given: those among them that were given, which each notebook is told; it has the defaults itself.
        output: folder in which each deployment has its own.
        notebooks: where the notebooks are; the clone's by default.
    """

    steps: Sequence[str]
    params: Params
    given: Mapping[str, Any]
    output: Path
    notebooks: Path | None = None


def run(job: Job, progress: Progress | None = None) -> RunRecord:
    """Execute the steps' notebooks into a new folder of ``<output>/<deployment>/runs``.

    Stops at the first step that does not succeed. ``run.json`` is written before the first step and after each.

    Raises:
        RunFailed: a notebook failed; the message is the notebook's own, ``resource`` the executed notebook.
        PrerequisiteError: a notebook is not there; nothing was run.
        KeyboardInterrupt: after the kernel has ended and the interruption is on record.
    """
    kernels.warm_up()
    files = {step: notebooks.notebook(step, job.notebooks) for step in job.steps}
    run_id = new_run_id()
    folder = job.output / job.params.deployment / "runs" / run_id
    folder.mkdir(parents=True)
    record = RunRecord(
        run=run_id,
        deployment=job.params.deployment,
        folder=folder,
        parameters=job.params.model_dump(mode="json"),
        steps=[StepRecord(step, f"{step}.ipynb") for step in job.steps],
        identity=origin.identity(),
        code=origin.code(),
        versions=origin.versions(),
    )
    record.write()
    for step in record.steps:
        try:
            _run_step(step, files[step.step], folder, job.given, progress or Silent())
        except BaseException:
            record.outcome, record.ended = step.outcome, utc_now()
            raise
        finally:
            record.write()
    record.outcome, record.ended = "succeeded", utc_now()
    record.write()
    return record


def _run_step(step: StepRecord, source: Path, folder: Path, given: Mapping[str, Any], progress: Progress) -> None:
    target = folder / step.notebook
    began = time.monotonic()
    step.started, step.outcome = utc_now(), "running"
    try:
        _execute(source, target, given, lambda cells: progress.step_started(step, cells), progress.cell_started)
        step.outcome = "succeeded"
    except KeyboardInterrupt:
        step.outcome, step.message = "interrupted", "interrupted by the operator"
        notebooks.mark_cut_off(target, step.message)
        raise
    except Exception as error:
        step.outcome, step.message = "failed", reason(error)
        if not _is_cell_error(error):
            notebooks.mark_cut_off(target, step.message)
        raise RunFailed(
            step.message,
            step=step.step,
            resource=str(target),
            remedy="" if _told(error) else "open the executed notebook; the traceback is under the cell that failed",
        ) from error
    finally:
        step.seconds = round(time.monotonic() - began, 3)
        progress.step_ended(step)


def _execute(
    source: Path,
    target: Path,
    given: Mapping[str, Any],
    started: Callable[[int], None],
    cell_started: Callable[[int, str], None],
) -> None:
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    headings: list[str] = []

    def on_notebook_start(notebook: Any) -> None:
        headings.extend(headings_of(notebook.cells))
        started(len(headings))

    def on_cell_start(cell: Any, cell_index: int) -> None:
        cell_started(cell_index, headings[cell_index])

    with kernels.session() as manager:
        papermill.execute_notebook(
            source,
            target,
            parameters={name: list(v) if isinstance(v, tuple) else v for name, v in given.items()},
            progress_bar=False,
            kernel_manager_class=manager,
            on_notebook_start=on_notebook_start,
            on_cell_start=on_cell_start,
        )


def headings_of(cells: Sequence[Any]) -> list[str]:
    """For each cell, the text of the last heading at or before it."""
    found, last = [], ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in cell["source"].splitlines():
                if line.startswith("#"):
                    last = line.lstrip("#").strip()
        found.append(last)
    return found


def reason(error: Exception) -> str:
    """Why a notebook did not run to its end, for someone who will not read a traceback."""
    if not _is_cell_error(error):
        return f"the notebook was cut off: {type(error).__name__}: {error}"
    name, value = str(getattr(error, "ename", "")), str(getattr(error, "evalue", ""))
    return value if _told(error) else f"{name}: {value}".rstrip(": ")


def _is_cell_error(error: Exception) -> bool:
    from papermill.exceptions import PapermillExecutionError

    return isinstance(error, PapermillExecutionError)


def _told(error: Exception) -> bool:
    """Whether the notebook stopped with one of our errors, which say themselves what to do."""
    ours = getattr(errors, str(getattr(error, "ename", "")), None)
    return isinstance(ours, type) and issubclass(ours, errors.RunbookError)
