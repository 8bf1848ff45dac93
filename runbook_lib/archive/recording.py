"""One notebook while it is executed: what happens in its kernel goes into the notebook, the record and the progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, from_dict

from .. import errors, events
from . import kernels
from .execution import Ending, Executor
from .notebooks import headings_of
from .operation import Operation
from .progress import Progress
from .record import CellRecord, StepRecord, utc_now


class Recording:
    """Watches one notebook's execution.

    Args:
        notebook: filled as it goes.
        operation: the run that it is part of.
        step: its step there.
        progress: told as it goes.
        saved: called with the notebook, free of secrets, each time that it has been saved.
        copies: what gets the texts that cells print, by stream: each is written to, and flushed.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        operation: Operation,
        step: StepRecord,
        progress: Progress,
        *,
        saved: Callable[[NotebookNode], None] = lambda notebook: None,
        copies: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.notebook = notebook
        self.result = notebook
        self._operation = operation
        self._step = step
        self._progress = progress
        self._saved = saved
        self._copies = copies or {}
        self._headings = headings_of(notebook.cells)
        self._began = self._cell_began = time.monotonic()
        self._rest: dict[str, str] = {}  # what is not shown yet, by stream
        self._listen: Callable[[], None] = lambda: None

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

                self._listen = hear
                try:
                    executor = Executor(self.notebook, self, **options)
                    environment = {**os.environ, events.ADDRESS: str(listener.path)}
                    ending = self._settled(executor.run(environment, {listener.fileno(): hear}))
                    hear()
                finally:
                    self._listen = lambda: None
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
        heading = self._operation.redactor.text(self._headings[index])
        self._progress.cell_started(index, heading)
        cell.metadata.papermill.update(start_time=_now(), status="running", exception=False)
        if cell.cell_type == "code":
            self._step.cells.append(CellRecord(index, "running", utc_now(), heading=heading))
            self._save(index)

    def cell_printed(self, index: int, stream: str, text: str) -> None:
        """A code cell wrote to stdout or stderr."""
        self._listen()  # a secret is told before it is printed, but on another way
        text = self._rest.get(stream, "") + text
        end = self._operation.redactor.whole_lines(text)
        self._rest[stream] = text[end:]
        if end:
            self._tell(stream, text[:end])

    def cell_changed(self, index: int) -> None:
        """A code cell has new output."""
        self._listen()
        self._save(index)

    def cell_ended(self, index: int, ending: Ending) -> None:
        """A cell has ended."""
        cell, seconds = self.notebook.cells[index], round(time.monotonic() - self._cell_began, 3)
        ending = self._settled(ending)
        self._listen()
        for stream, rest in self._rest.items():
            if rest:
                self._tell(stream, rest)
        self._rest.clear()
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
            longest = max(self._operation.waiting.values(), key=lambda wait: wait["seconds"], default={})
            step.waiting = dict(longest)
        book.metadata.papermill.update(
            end_time=_now(), duration=step.seconds, exception=True if ending.outcome != "succeeded" else None
        )
        self._save(None)
        self._progress.step_ended(step)

    def _settled(self, ending: Ending) -> Ending:
        """An ending as it was meant: a cell may end its notebook early and call that a success, as papermill does."""
        if ending.error != "SystemExit" or ending.message not in ("SystemExit", "SystemExit: 0"):
            return ending
        self._operation.note(f"{self._step.step} ended itself in cell {ending.cell} by SystemExit")
        return Ending("succeeded", cell=ending.cell)

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
            if longest is None:
                self._progress.waiting("", 0.0, "")
            else:
                self._progress.waiting(longest["what"], longest["seconds"], str(longest["seen"]))

    def _tell(self, stream: str, lines: str) -> None:
        clean = self._operation.redactor.text(lines)
        self._progress.printed(clean if clean.endswith("\n") else f"{clean}\n")
        for copy in self._copies.get(stream, ()):
            copy.write(clean)
            copy.flush()


def words(ending: Ending) -> str:
    """Why a notebook did not run to its end, for someone who will not read a traceback."""
    return ending.message.removeprefix(f"{ending.error}: ") if is_ours(ending.error) else ending.message


def is_ours(error: str) -> bool:
    """Whether a class of that name is one of our errors, which say themselves what to do."""
    found = getattr(errors, error, None) if error else None
    return isinstance(found, type) and issubclass(found, errors.RunbookError)


def _now() -> str:
    return datetime.now(UTC).isoformat()
