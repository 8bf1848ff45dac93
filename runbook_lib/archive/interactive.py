"""Runs by hand, in JupyterLab or any other frontend, kept as every other run is.

The recorder is a thread in the kernel. It listens to the channel on which the kernel tells every frontend what it
does, so it sees what they see, and to the library's events. It runs beside the cells: whatever happens to it, they go
on, and the notebook is told once.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from .. import events, onlooker
from ..params import Params
from .entry import sha256
from .frontend import SUBSCRIBED, Frontend
from .notebooks import headings_of, outputs
from .record import Outcome, RunRecord, StepRecord, utc_now
from .transcript import Transcript

SESSION = "JPY_SESSION_NAME"  # Jupyter's server puts the notebook's path into it
UNNAMED = "notebook"
PATIENCE = 2.0  # seconds after which what a long cell has shown so far is saved, too
QUIET, LAST_MESSAGES = 0.1, 1.0  # when a kernel ends: so long without a message, and in all, its last ones may take
LAST_WORDS = 30.0  # seconds an ending kernel waits for its record


class Operation(Protocol):
    """How a run is kept; the recorder decides nothing of it."""

    @property
    def record(self) -> RunRecord:
        """The run's record."""

    def heard(self, event: Mapping[str, Any], /) -> None:
        """Take in one of the library's events."""

    def save(self, step: StepRecord, notebook: Mapping[str, Any], /) -> object:
        """Write the notebook, which is plain JSON content, and the record, secrets taken out."""

    def end(self, outcome: Outcome, /) -> None:
        """Close the record."""


# Begins to keep a run: makes its folder and its record. Given the folder for all deployments, the parameters, the
# notebook and where each parameter is from.
Open = Callable[[Path, Params, StepRecord, Mapping[str, str]], Operation]


def begin(params: Params, open_operation: Open, output: Path | None = None) -> Recorder | None:
    """Record this kernel from now on, unless it is none, or somebody records it already.

    What ran before is kept without its outputs. A kernel has one record, under the deployment that it opened first.
    Never raises: what goes wrong is told on stderr.

    Args:
        params: the deployment's parameters.
        open_operation: begins to keep a run.
        output: folder in which each deployment has its own; what RUNBOOK_OUTPUT says by default, or the clone's.

    Returns:
        The recorder; ``None`` if there is nothing to do or it could not begin.
    """
    shell = onlooker.shell()
    if shell is None or os.environ.get(events.ADDRESS):
        return None
    step = _step()
    defaults = Params().recorded()
    sources = {name: "default" if value == defaults[name] else "notebook" for name, value in params.recorded().items()}

    def opened() -> Operation:
        return open_operation(output or outputs(), params, step, sources)

    try:
        transcript = Transcript(_headings())
        _catch_up(transcript, shell)
        recorder = Recorder(step, transcript, opened)
        recorder.start()
    except Exception as error:  # noqa: BLE001 - a cell must not fail because its record does
        _warn("this session is not recorded", error)
        return None
    return recorder


class Recorder:
    """Records a kernel until it ends.

    Args:
        step: the notebook's place in the record.
        transcript: what was run so far.
        opened: begins to keep the run; called in the recorder's thread.
    """

    def __init__(self, step: StepRecord, transcript: Transcript, opened: Callable[[], Operation]) -> None:
        self._step, self._transcript, self._opened = step, transcript, opened
        self._folder = Path(tempfile.mkdtemp(prefix="runbook-events-"))  # its owner's alone
        try:
            self._listener = events.Listener(self._folder / "events")
        except OSError:  # a path that is too long for a socket, for example
            self._folder.rmdir()
            raise
        self._waker, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="runbook recorder", daemon=True)
        self._process = os.getpid()
        self._ready = threading.Event()
        self._since = time.monotonic()
        self._saved = 0.0
        self._told = False
        self._ending = False
        self._end_as: Outcome | None = None

    def start(self) -> None:
        """Start the thread; afterwards no message is missed."""
        os.environ[events.ADDRESS] = str(self._listener.path)
        self._thread.start()
        atexit.register(self.end)
        if threading.current_thread() is threading.main_thread() and _is_free(signal.getsignal(signal.SIGTERM)):
            signal.signal(signal.SIGTERM, self._on_term)
        self._ready.wait(SUBSCRIBED)

    def end(self, outcome: Outcome | None = None) -> None:
        """Close the record; called when the kernel ends, by itself.

        Args:
            outcome: how it ended; by default as its cells did.
        """
        if os.getpid() != self._process or self._ending:  # a fork of the kernel is not the kernel
            return
        self._end_as, self._ending = outcome, True
        with suppress(OSError):  # it has ended already
            os.write(self._wake, b".")
        self._thread.join(LAST_WORDS)

    # ---- in the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        operation = None
        try:
            with Frontend() as client:
                operation = self._record(client)
        except Exception as error:  # noqa: BLE001 - the cells go on
            self._complain("this session is not recorded from here on", error)
        finally:
            self._ready.set()
            # Whoever waits to be heard is let go, and nobody else tries.
            if os.environ.get(events.ADDRESS) == str(self._listener.path):
                del os.environ[events.ADDRESS]
            self._listener.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            ends, self._waker, self._wake = (self._waker, self._wake), -1, -1  # the numbers are soon somebody else's
            for end in ends:
                os.close(end)
        # Last of all, as whoever ends kernels may have no patience for it: what is not closed, the next run closes.
        if operation is not None:
            self._close(operation)

    def _record(self, client: Frontend) -> Operation:
        """Begin to keep what the kernel does, and take it in until it ends."""
        client.wait_until_subscribed()
        self._ready.set()
        operation = self._opened()
        self._step.outcome, self._step.started = "running", utc_now()
        self._try("what ran so far", self._save, operation)
        ears: list[Any] = [self._listener, client]
        while not self._ending:
            select.select([*ears, self._waker], [], [], PATIENCE)
            self._take(operation, client)
        deadline = time.monotonic() + LAST_MESSAGES
        while self._take(operation, client) or (self._transcript.running and time.monotonic() < deadline):
            select.select(ears, [], [], QUIET)
        return operation

    def _take(self, operation: Operation, client: Frontend) -> bool:
        """Take in what has come, and save if a cell has ended or enough time has passed; whether anything had come."""
        # Events first: a secret is known before what it may be printed in is saved.
        messages = list(client.messages())
        heard = list(self._listener.take())
        for event in heard:
            self._try("an event", self._hear, operation, event)
        ended = [self._try("a message of the kernel", self._transcript.take, message) for message in messages]
        if any(ended) or (self._transcript.changed and time.monotonic() - self._saved > PATIENCE):
            self._try("the last cells", self._save, operation)
        return bool(messages or heard)

    def _hear(self, operation: Operation, event: Mapping[str, Any]) -> None:
        if event.get("kind") == events.CHECKS and self._step.step == UNNAMED and event.get("step"):
            self._step.step = str(event["step"])
        operation.heard(event)

    def _save(self, operation: Operation) -> None:
        self._saved = time.monotonic()
        self._transcript.tell(self._step)
        self._step.seconds = round(time.monotonic() - self._since, 3)
        operation.save(self._step, self._transcript.notebook())
        self._transcript.changed = False

    def _close(self, operation: Operation) -> None:
        self._transcript.stop(self._end_as or "interrupted")
        self._step.outcome = self._end_as or self._transcript.outcome()
        self._try("the last cells", self._save, operation)
        self._try("the end", operation.end, self._step.outcome)

    def _try(self, what: str, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except Exception as error:  # noqa: BLE001 - one thing that cannot be recorded is not the end of the record
            self._complain(f"{what} could not be recorded", error)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._told:
            self._told = True
            _warn(what, error)

    # ---- in the kernel's main thread -------------------------------------------------------------------------

    def _on_term(self, number: int, frame: object) -> None:
        """What a server sends to a kernel that does not end in time: the record is closed, then it ends as told."""
        if self._ending:  # then it does end, and whoever loses patience has SIGKILL
            return
        self.end("terminated")
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _is_free(handler: object) -> bool:
    """Whether a signal's handler is the usual one, or that of a recorder that came to its end before its kernel."""
    return handler is signal.SIG_DFL or isinstance(getattr(handler, "__self__", None), Recorder)


def _catch_up(transcript: Transcript, shell: Any) -> None:
    """What ran before, from the kernel's memory, and the cell that runs now."""
    history = shell.history_manager
    before = list(enumerate(history.input_hist_raw))[1:]
    request = shell.kernel.get_parent("shell")
    source = request.get("content", {}).get("code")
    number = before.pop()[0] if before and source is not None and before[-1][1].strip() == source.strip() else None
    for count, text in before:
        transcript.before(text, count, history.exceptions.get(count))
    if source is not None:
        transcript.begun(request["header"]["msg_id"], source, number, utc_now())


def _step() -> StepRecord:
    name = re.sub(r"[^\w.-]", "_", Path(os.environ.get(SESSION, "")).stem).lstrip(".") or UNNAMED
    file = _file()
    digest = sha256(file.read_bytes()) if file else ""
    return StepRecord(name, f"{name}.ipynb", source_sha256=digest)


def _file() -> Path | None:
    """The notebook's own file, if the server told of one that is there."""
    told = os.environ.get(SESSION, "")
    file = Path(told)
    return file if told.endswith(".ipynb") and file.is_file() else None


def _headings() -> dict[str, str]:
    """The heading above each code cell of the notebook's file, by source; a cell changed since has none."""
    file = _file()
    if file is None:
        return {}
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    cells = [{**cell, "source": "".join(cell["source"])} for cell in cells]
    found = zip(headings_of(cells), cells, strict=True)
    return {cell["source"].strip(): heading for heading, cell in found if cell["cell_type"] == "code"}


def _warn(what: str, error: Exception) -> None:
    """One line in the notebook, under the cell that ran last."""
    sys.stderr.write(f"runbook: {what}: {type(error).__name__}: {error}\n")
    sys.stderr.flush()
