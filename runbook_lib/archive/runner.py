"""Running notebooks one after the other as one operation, and going on with one that did not reach its end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RecordError, RunFailed
from ..params import Params
from . import kernels, notebooks
from .entry import sha256
from .operation import Operation
from .progress import Progress, Silent
from .record import Outcome, RunRecord, StepRecord
from .recording import is_ours

TERMINATED = 128 + signal.SIGTERM  # the exit status that shells give a process which SIGTERM ended


@dataclass(frozen=True, slots=True)
class Job:
    """What to run.

    Args:
        steps: full names, in order.
        params: the parameters as resolved; they were checked before anything runs.
        given: those among them that were given, which each notebook is told; it has the defaults itself.
        output: folder in which each deployment has its own.
        notebooks: where the notebooks are; the clone's by default.
        sources: where each parameter is from, by name.
        resumes: id of the run that this one goes on with.
        cell_timeout: seconds that each cell has; ``None`` for as long as it takes.
    """

    steps: Sequence[str]
    params: Params
    given: Mapping[str, Any]
    output: Path
    notebooks: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    resumes: str = ""
    cell_timeout: float | None = None


def run(job: Job, progress: Progress | None = None) -> RunRecord:
    """Execute the steps' notebooks into a new folder of ``<output>/<deployment>/runs``.

    Stops at the first step that does not succeed. The record is written before the first step and at each cell.

    Raises:
        RunFailed: a notebook did not run to its end; the message says why, ``resource`` is the executed notebook.
        PrerequisiteError: a notebook is not there; nothing was run.
        RecordError: the deployment's ledger is not what it was, and nothing was run; or the record cannot be written,
            and no further cell was run.
        KeyboardInterrupt, SystemExit: after SIGINT, SIGTERM; the kernel has ended and the record says so.
    """
    try:
        return _run(job, progress or Silent())
    except OSError as error:
        raise RecordError(
            "the record of the run cannot be written",
            resource=str(error.filename or job.output),
            expected="a folder with room, that you may write to",
            seen=error.strerror or error,
            remedy="what was done so far stands; mend that, then go on with: runbook run --resume",
        ) from error


def _run(job: Job, progress: Progress) -> RunRecord:
    kernels.warm_up()
    files = {step: notebooks.notebook(step, job.notebooks) for step in job.steps}
    steps = [StepRecord(step, f"{step}.ipynb", sha256(file.read_bytes())) for step, file in files.items()]
    operation = Operation.open(job.output, job.params, steps, kind="run", sources=job.sources, resumes=job.resumes)
    outcome: Outcome = "failed"
    try:
        for step in steps:
            _run_step(operation, step, files[step.step], job, progress)
            operation.publish(step)
        outcome = "succeeded"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except SystemExit as ended:
        outcome = "terminated" if ended.code == TERMINATED else "failed"
        raise
    except RunFailed:
        outcome = _last_outcome(steps)
        raise
    finally:
        operation.end(outcome)
    return operation.record


def _run_step(operation: Operation, step: StepRecord, source: Path, job: Job, progress: Progress) -> None:
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)
    error = ""
    try:
        papermill.execute_notebook(
            source,
            None,  # the operation saves it
            parameters={name: list(v) if isinstance(v, tuple) else v for name, v in job.given.items()},
            engine_name="runbook",
            progress_bar=False,
            execution_timeout=job.cell_timeout,
            operation=operation,
            step=step,
            progress=progress,
        )
    except PapermillExecutionError as raised:
        error = raised.ename
    except (CellTimeoutError, DeadKernelError):
        pass
    if step.outcome != "succeeded":
        raise RunFailed(
            step.message,
            step=step.step,
            resource=str(operation.record.folder / step.notebook),
            seen="" if step.outcome == "failed" else step.outcome,
            remedy=""
            if is_ours(error)
            else "open the executed notebook; what happened is under the cell that it names",
        )


def _last_outcome(steps: Sequence[StepRecord]) -> Outcome:
    return next(step.outcome for step in reversed(steps) if step.outcome != "pending")
