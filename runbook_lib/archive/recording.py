"""One notebook while it is executed: what happens in its kernel goes into the notebook, the record and the progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, from_dict

from .. import errors, events
from . import kernels
from .execution import Ending, Executor
from .notebooks import headings_of
from .operation import PRINTED, Operation
from .progress import Progress
from .record import CellRecord, StepRecord, utc_now

# papermill's words for how a cell stands.
STATUS = {"pending": "pending", "running": "running", "succeeded": "completed"}


class Recording:
    """Watches one notebook's execution.

    Args:
        notebook: filled as it goes.
        operation: the run that it is part of.
        step: its step there.
        progress: told as it goes.
        saved: called with the notebook, free of secrets, each time that it has been saved.
        copies: text files that get what cells print, by stream.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        operation: Operation,
        step: StepRecord,
        progress: Progress,
        *,
        saved: Callable[[NotebookNode], None] = lambda notebook: None,
        copies: Mapping[str, Any] | None = None,
    ) -> None:
        self.notebook = notebook
        self.result = notebook
        self._operation = operation
        self._step = step
        self._progress = progress
        self._saved = saved
        self._copies = {name: file for name, file in (copies or {}).items() if file is not None}
        self._headings = headings_of(notebook.cells)
        self._began = self._cell_began = time.monotonic()
        self._line = ""

    def run(self, *, fork: bool, **options: Any) -> Ending:
        """Execute the notebook; afterwards its record says how that ended.

        Args:
            fork: as for ``kernels.session``.
            options: as for ``Executor``.
        """
        self._begin()
        ending = Ending("failed", "the recording itself failed")
        try:
            with kernels.session(fork=fork) as manager:
                options.setdefault("kernel_manager_class", manager)
                listener = events.Listener(Path(manager.sockets) / "events")

                def hear() -> None:
                    for event in listener.take():
                        self._hear(event)

                try:
                    executor = Executor(self.notebook, self, **options)
                    environment = {**os.environ, events.ADDRESS: str(listener.path)}
                    ending = executor.run(environment, {listener.fileno(): hear})
                    hear()
                finally:
                    listener.close()
        except BaseException as error:
            ending = Ending("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            self._end(ending)
        return ending

    # ---- told by the executor ------------------------------------------------------------------------------

    def cell_started(self, index: int) -> None:
        """A cell begins, code or not."""
        cell = self.notebook.cells[index]
        self._cell_began = time.monotonic()
        self._operation.waiting.clear()
        self._progress.cell_started(index, self._headings[index])
        cell.metadata.papermill.update(start_time=_now(), status="running", exception=False)
        if cell.cell_type == "code":
            self._step.cells.append(CellRecord(index, "running", utc_now(), heading=self._headings[index]))
            self._save(index)

    def cell_printed(self, index: int, stream: str, text: str) -> None:
        """A code cell wrote to stdout or stderr."""
        lines, end, rest = (self._line + text).rpartition("\n")
        self._line = rest
        if end:
            self._tell(stream, lines + end)

    def cell_changed(self, index: int) -> None:
        """A code cell has new output."""
        self._save(index)

    def cell_ended(self, index: int, ending: Ending) -> None:
        """A cell has ended."""
        cell, seconds = self.notebook.cells[index], round(time.monotonic() - self._cell_began, 3)
        if self._line:
            self._tell("stdout", self._line + "\n")
            self._line = ""
        good = ending.outcome == "succeeded"
        status = "completed" if good else "failed"
        cell.metadata.papermill.update(end_time=_now(), duration=seconds, status=status, exception=not good)
        if cell.cell_type == "code":
            record = self._step.cells[-1]
            record.outcome, record.seconds = ending.outcome, seconds
            self._save(index)

    # ---- the notebook as a whole ---------------------------------------------------------------------------

    def _begin(self) -> None:
        step, book = self._step, self.notebook
        step.started, step.outcome, step.cells = utc_now(), "running", []
        book.metadata.setdefault("papermill", {}).update(
            start_time=_now(), end_time=None, duration=None, exception=None
        )
        for cell in book.cells:
            cell.metadata["papermill"] = {
                "exception": None,
                "start_time": None,
                "end_time": None,
                "duration": None,
                "status": "pending",
            }
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self._progress.step_started(step, len(book.cells))
        self._save(None)

    def _end(self, ending: Ending) -> None:
        step, book = self._step, self.notebook
        step.outcome, step.seconds = ending.outcome, round(time.monotonic() - self._began, 3)
        if ending.outcome != "succeeded":
            step.message, step.cell = self._operation.redactor.text(words(ending)), ending.cell
            if ending.cell is not None:
                step.printed = self._operation.redactor.text(last_printed(book.cells[ending.cell]))
            longest = max(self._operation.waiting.values(), key=lambda wait: wait["seconds"], default={})
            step.waiting = dict(longest)
        book.metadata.papermill.update(
            end_time=_now(), duration=step.seconds, exception=True if ending.outcome != "succeeded" else None
        )
        self._save(None)
        self._progress.step_ended(step)

    def _save(self, index: int | None) -> None:
        step = self._step
        self.notebook.metadata["runbook"] = {
            "run": self._operation.record.run,
            "step": step.step,
            "outcome": step.outcome,
            "message": step.message,
            "cell": step.cell,
        }
        saved = self._operation.save(step, self.notebook, None if index is None else (index,))
        self.result = from_dict(saved)
        self._saved(self.result)

    def _hear(self, event: Mapping[str, Any]) -> None:
        self._operation.heard(event)
        if event["kind"] in (events.WAITING, events.ARRIVED):
            longest = max(self._operation.waiting.values(), key=lambda wait: wait["seconds"], default=None)
            clean = self._operation.redactor.text
            if longest is None:
                self._progress.waiting("", 0.0, "")
            else:
                self._progress.waiting(clean(longest["what"]), longest["seconds"], clean(str(longest["seen"])))

    def _tell(self, stream: str, lines: str) -> None:
        clean = self._operation.redactor.text(lines)
        self._progress.printed(clean)
        if stream in self._copies:
            self._copies[stream].write(clean)
            self._copies[stream].flush()


def words(ending: Ending) -> str:
    """Why a notebook did not run to its end, for someone who will not read a traceback."""
    return ending.message.removeprefix(f"{ending.error}: ") if is_ours(ending.error) else ending.message


def is_ours(error: str) -> bool:
    """Whether a class of that name is one of our errors, which say themselves what to do."""
    found = getattr(errors, error, None) if error else None
    return isinstance(found, type) and issubclass(found, errors.RunbookError)


def last_printed(cell: NotebookNode) -> str:
    """The end of what a cell has printed."""
    text = "".join(output["text"] for output in cell.get("outputs", ()) if output["output_type"] == "stream")
    return text[-PRINTED:].strip("\n")


def _now() -> str:
    return datetime.now(UTC).isoformat()
