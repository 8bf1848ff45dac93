"""papermill's engine ``runbook``: records every ending truly, and never saves a secret.

``runbook run`` gives it the operation that a notebook belongs to. Under ``papermill --engine runbook`` it begins one of
its own, in the same format and place, and keeps papermill's output up to date as well.
"""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, writes
from papermill.engines import Engine
from papermill.iorw import LocalHandler, papermill_io, write_ipynb
from papermill.log import logger

from ..params import Params
from .durable import replace
from .entry import sha256
from .execution import Ending
from .notebooks import outputs
from .operation import Operation
from .progress import Progress, Silent
from .record import StepRecord
from .recording import Recording

PAPERMILLS_OWN = "PAPERMILL_"  # how parameters begin that papermill adds with --inject-paths
OWN_KERNELS = ("", "python3", None)


class RunbookEngine(Engine):
    """The engine, as papermill knows one."""

    @classmethod
    def execute_notebook(  # noqa: PLR0917 - papermill's signature
        cls,
        nb: NotebookNode,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | Mapping[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        *,
        input_path: str = "",
        start_timeout: int = 60,
        execution_timeout: float | None = None,
        stdout_file: Any = None,
        stderr_file: Any = None,
        operation: Operation | None = None,
        step: StepRecord | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> NotebookNode:
        """Execute a notebook.

        Args:
            nb: the notebook, with its parameters set; it is filled.
            kernel_name: ``python3`` is this interpreter; another one is looked up among the machine's kernels.
            output_path: where papermill wants the notebook after each cell; nowhere if ``None``.
            progress_bar: whether progress is shown.
            log_output: whether what cells print goes to papermill's log.
            autosave_cell_every: not used: the notebook is saved at each cell, and every 2 s while one prints.
            input_path: where the notebook is from.
            start_timeout: seconds for the kernel to start.
            execution_timeout: seconds for each cell; ``None`` for as long as it takes.
            stdout_file: a text file that gets what cells print there.
            stderr_file: the same.
            operation: the run that this is part of; one of its own by default.
            step: the step of that run.
            progress: told as it goes; a progress bar in the terminal by default.
            options: more for nbclient.

        Returns:
            The notebook as saved. If a cell raised an error it is in there, and papermill raises its own for it.

        Raises:
            ParameterError: the notebook's parameters are not acceptable; nothing was run.
            KeyboardInterrupt, SystemExit: after SIGINT, SIGTERM; the kernel has ended and the record says so.
            CellTimeoutError, DeadKernelError: as nbclient does.
        """
        if kernel_name in OWN_KERNELS:
            kernel_name = ""
        else:
            from jupyter_client.manager import AsyncKernelManager

            options.setdefault("kernel_manager_class", AsyncKernelManager)
        own = operation is None or step is None
        if operation is None or step is None:
            operation, step = begin(nb, input_path)
        with _shown(progress, bool(progress_bar) and own, log_output) as shown:
            recording = Recording(
                nb,
                operation,
                step,
                shown,
                saved=_saver(output_path if own else None),
                copies=_copies(log_output and progress is None and not progress_bar, stdout_file, stderr_file),
            )
            try:
                ending = recording.run(
                    fork=not own,
                    kernel_name=kernel_name,
                    startup_timeout=start_timeout,
                    cell_timeout=execution_timeout,
                    **options,
                )
            finally:
                if own:
                    operation.end(step.outcome)
        _raise(ending, step.message)
        return recording.result


def begin(nb: NotebookNode, input_path: object) -> tuple[Operation, StepRecord]:
    """An operation for a notebook that belongs to none.

    Args:
        nb: the notebook, with its parameters set by papermill.
        input_path: where it is from, as papermill was told: a path or address, ``-``, or a notebook itself.

    Raises:
        ParameterError: a parameter that there is not, or a value that cannot be.
    """
    given = {
        name: value
        for name, value in nb.metadata.get("papermill", {}).get("parameters", {}).items()
        if not name.startswith(PAPERMILLS_OWN)
    }
    params = Params.parse(given, source="papermill")
    source = _local(input_path)
    digest = sha256(source.read_bytes()) if source and source.is_file() else ""
    name = name_of(input_path)
    step = StepRecord(name, f"{name}.ipynb", digest)
    sources = {field: "papermill" if field in given else "default" for field in Params.model_fields}
    return Operation.open(outputs(), params, [step], kind="papermill", sources=sources), step


def name_of(input_path: object) -> str:
    """What a notebook's step is called, from where papermill has it from; ``notebook`` if that has no name."""
    text = input_path if isinstance(input_path, str) else ""
    path = urlsplit(text).path if "://" in text else text
    stem = "" if path.lstrip().startswith("{") else Path(path).stem  # papermill takes a notebook's JSON as well
    return re.sub(r"[^\w.-]", "_", stem).strip(".-") or "notebook"


def _local(path: object) -> Path | None:
    """A file of this machine that papermill knows by this path; ``None`` if it is none.

    papermill reads paths against the folder that it was called in, whatever folder the notebook runs in.
    """
    if not isinstance(path, str) or not path or path.lstrip().startswith("{"):
        return None
    handler = papermill_io.get_handler(path)
    if not isinstance(handler, LocalHandler):
        return None
    folder = handler.cwd(None)  # the only way to ask is to exchange it
    handler.cwd(folder)
    return Path(folder or "", path)


def _saver(output_path: str | None) -> Callable[[NotebookNode], None]:
    """Where the notebook goes besides the record; a local file is replaced whole."""
    file = _local(output_path)

    def save(notebook: NotebookNode) -> None:
        if not output_path:
            return
        if file and file.parent.is_dir() and (file.is_file() or not file.exists()):
            replace(file.resolve(), writes(notebook).encode())
        else:  # elsewhere; or a device or pipe, which is written to and stays
            write_ipynb(notebook, output_path)

    return save


def _copies(log: bool, stdout: TextIO | None, stderr: TextIO | None) -> dict[str, list[Any]]:
    """What gets the texts that cells print: the files that papermill was given, and its log, with its levels."""
    files = {"stdout": (stdout, logging.INFO), "stderr": (stderr, logging.WARNING)}
    return {
        stream: [*([file] if file else []), *([_Log(level)] if log else [])] for stream, (file, level) in files.items()
    }


@contextmanager
def _shown(progress: Progress | None, bar: bool, log_output: bool) -> Iterator[Progress]:
    if progress is not None:
        yield progress
    elif bar:
        from ..console import Steps

        with Steps(live=log_output) as steps:
            yield steps
    else:
        yield _Logged() if log_output else Silent()


class _Logged(Silent):
    """Says in papermill's log, and words, that a cell begins."""

    def cell_started(self, index: int, heading: str) -> None:
        """One line."""
        logger.info(f"Executing Cell {index + 1:-<40}")


class _Log:
    """papermill's log, to write to."""

    def __init__(self, level: int) -> None:
        self._level = level

    def write(self, text: str) -> None:
        """One message."""
        logger.log(self._level, text.rstrip("\n"))

    def flush(self) -> None:
        """Nothing is kept back."""


def _raise(ending: Ending, message: str) -> None:
    """Let the caller know as papermill's own engine would; for a cell's error papermill does so itself.

    Args:
        ending: what came of it.
        message: its own, free of secrets.
    """
    if ending.outcome == "interrupted" and not ending.error:
        raise KeyboardInterrupt(message)
    if ending.outcome == "terminated":
        raise SystemExit(128 + signal.SIGTERM)
    if ending.outcome == "timed out":
        raise CellTimeoutError(message)
    if ending.outcome in ("kernel died", "out of memory") and not ending.error:
        raise DeadKernelError(message)
