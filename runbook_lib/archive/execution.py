"""Executing a notebook's cells in a kernel, and telling truly how that ended.

One loop watches four things at once: the cell, the kernel's process, the clock and requests to stop. Whichever comes
first decides what the ending is called. papermill and nbclient watch the cell alone, so that a dead kernel, a timeout
or a Ctrl-C leaves a notebook that calls itself completed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from .record import Outcome

CLEAN_UP = 30.0  # seconds that an interrupted cell has for its ``finally`` blocks
LOOK_EVERY = 2.0  # seconds between two looks at a cell that prints while it runs
STOPS: Mapping[int, tuple[Outcome, str]] = {
    signal.SIGINT: ("interrupted", "interrupted by Ctrl-C (SIGINT)"),
    signal.SIGTERM: ("terminated", "told to end (SIGTERM)"),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a notebook, or one of its cells, ended.

    Args:
        outcome: in a word.
        message: in a sentence; empty for a success.
        cell: index of the cell that it ended in; ``None`` if that was before the first, or after the last.
        error: class of the exception that a cell raised, if so.
    """

    outcome: Outcome
    message: str = ""
    cell: int | None = None
    error: str = ""


class Watcher(Protocol):
    """Told about a notebook while it is executed; what it has to save it saves before it returns."""

    def cell_started(self, index: int) -> None:
        """A cell begins, code or not."""

    def cell_printed(self, index: int, stream: str, text: str) -> None:
        """A code cell wrote to ``stdout`` or ``stderr``."""

    def cell_changed(self, index: int) -> None:
        """A code cell has new output; said at most every ``LOOK_EVERY`` seconds."""

    def cell_ended(self, index: int, ending: Ending) -> None:
        """A cell has ended."""


class Executor(NotebookClient):
    """nbclient's reading of a kernel's messages, under a loop of our own.

    Args:
        nb: the notebook; its cells take up what they print.
        watcher: told as it goes.
        cell_timeout: seconds that each cell has; ``None`` for as long as it takes.
        clean_up: seconds that an interrupted cell has to end by itself before its kernel is killed.
        options: as for ``NotebookClient``.
    """

    def __init__(
        self,
        nb: NotebookNode,
        watcher: Watcher,
        *,
        cell_timeout: float | None = None,
        clean_up: float = CLEAN_UP,
        **options: Any,
    ) -> None:
        super().__init__(nb, **options)
        self._watcher = watcher
        self._cell_timeout = cell_timeout
        self._clean_up = clean_up
        self._looked = 0.0

    def run(self, environment: Mapping[str, str], readers: Mapping[int, Callable[[], None]]) -> Ending:
        """Execute every cell until one does not succeed, and end the kernel.

        Args:
            environment: the kernel's.
            readers: what to call when a file descriptor has become readable.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._run(environment, readers))
        # Called from a notebook, where this thread's loop is at work already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._run(environment, readers)).result()

    async def _run(self, environment: Mapping[str, str], readers: Mapping[int, Callable[[], None]]) -> Ending:
        loop = asyncio.get_running_loop()
        for descriptor, take in readers.items():
            loop.add_reader(descriptor, take)
        self.km = self.create_kernel_manager()
        try:
            async with stops() as stop:
                return await self._start(environment, stop) or await self._cells(stop)
        finally:
            for descriptor in readers:
                loop.remove_reader(descriptor)
            if self.km is not None:  # as nbclient leaves it when a kernel does not start
                await self._async_cleanup_kernel()

    async def _start(self, environment: Mapping[str, str], stop: Stop) -> Ending | None:
        async def start() -> None:
            await self.async_start_new_kernel(env=dict(environment))
            await self.async_start_new_kernel_client()

        task = asyncio.ensure_future(start())
        await first_of(task, stop.first)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            outcome, message = STOPS[stop.first.result()]
            return Ending(outcome, f"{message} while the kernel was starting")
        if isinstance(
            error := task.exception(), RuntimeError
        ):  # jupyter_client's word for a kernel that does not come up
            return Ending("kernel died", f"the kernel did not start: {error}")
        task.result()
        return None

    async def _cells(self, stop: Stop) -> Ending:
        for index, cell in enumerate(self.nb.cells):
            if stop.first.done():
                outcome, message = STOPS[stop.first.result()]
                return Ending(outcome, f"{message} before this cell", index)
            self._watcher.cell_started(index)
            ending = await self._execute(cell, index, stop)
            self._watcher.cell_ended(index, ending)
            if ending.outcome != "succeeded":
                return ending
        return Ending("succeeded")

    async def _execute(self, cell: NotebookNode, index: int, stop: Stop) -> Ending:
        kills = oom_kills()
        task = asyncio.ensure_future(self.async_execute_cell(cell, index))
        await first_of(task, stop.first, timeout=self._cell_timeout)
        if task.done():
            return await self._natural(task, index, kills)
        if stop.first.done():
            outcome, message = STOPS[stop.first.result()]
        else:
            outcome, message = "timed out", f"the cell took longer than the {self._cell_timeout:g} s that it was given"
        assert isinstance(self.km, AsyncKernelManager)
        await self.km.interrupt_kernel()
        await first_of(task, stop.second, timeout=self._clean_up)
        if not task.done():
            why = "it was told so twice" if stop.second.done() else f"it did not end within {self._clean_up:g} s"
            message += f"; its clean-up was cut off, as {why}"
            await self.km.shutdown_kernel(now=True)
            await asyncio.wait({task})
        elif task.exception() is None:
            message += "; the cell took no notice and ran to its end"
        task.exception()  # seen: what the interruption raised is in the cell's output
        return Ending(outcome, message, index)

    async def _natural(self, task: asyncio.Future[Any], index: int, kills: int) -> Ending:
        """How a cell ended that was not told to."""
        error = task.exception()
        if error is None:
            return Ending("succeeded", cell=index)
        if isinstance(error, DeadKernelError):
            assert self.km is not None
            status = await self.km.provisioner.poll() if self.km.provisioner else None
            return Ending(*death(status, oom_kills() - kills), cell=index)
        if isinstance(error, CellExecutionError):
            words: Mapping[str, Outcome] = {"MemoryError": "out of memory", "KeyboardInterrupt": "interrupted"}
            outcome = words.get(error.ename, "failed")
            return Ending(outcome, f"{error.ename}: {error.evalue}".rstrip(": "), index, error.ename)
        if isinstance(error, CellTimeoutError):
            return Ending("kernel died", f"the kernel stopped telling what the cell prints: {error}", index)
        raise error

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take up one message of the kernel's, and tell the watcher what was printed."""
        output = super().process_message(msg, cell, cell_index)
        if output is not None and output.output_type == "stream":
            self._watcher.cell_printed(cell_index, output.name, output.text)
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._looked = time.monotonic()
            self._watcher.cell_changed(cell_index)
        return output


@dataclass(frozen=True, slots=True)
class Stop:
    """Requests to stop: futures of the first signal and of one that insists."""

    first: asyncio.Future[int]
    second: asyncio.Future[int]

    def heard(self, number: int) -> None:
        """A signal has come."""
        for future in (self.first, self.second):
            if not future.done():
                future.set_result(number)
                return


async def first_of(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Wait until one is done, or so many seconds."""
    await asyncio.wait(set(futures), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


@contextlib.asynccontextmanager
async def stops() -> AsyncIterator[Stop]:
    """Turn SIGINT and SIGTERM into futures for a while; outside the main thread there are none to turn."""
    loop = asyncio.get_running_loop()
    stop = Stop(loop.create_future(), loop.create_future())
    before = {}
    try:
        for number in STOPS:
            before[number] = signal.getsignal(number)
            with contextlib.suppress(RuntimeError, ValueError):  # not the main thread
                loop.add_signal_handler(number, stop.heard, number)
        yield stop
    finally:
        for number, handler in before.items():
            with contextlib.suppress(RuntimeError, ValueError):
                if loop.remove_signal_handler(number):
                    signal.signal(number, handler)


def death(status: int | None, kills: int) -> tuple[Outcome, str]:
    """What the end of a kernel's process says.

    Args:
        status: its exit status, or minus the signal that ended it; ``None`` if it is not known.
        kills: how often the kernel of this machine has killed for want of memory meanwhile.
    """
    if status == -signal.SIGKILL and kills > 0:
        return "out of memory", "the machine had no memory left and killed the kernel's process"
    if status is not None and status < 0:
        return "kernel died", f"the kernel's process was ended by {signal.Signals(-status).name}"
    return "kernel died", f"the kernel's process ended with status {'unknown' if status is None else status}"


def oom_kills() -> int:
    """How many processes this machine has killed for want of memory since it started, in whatever control group.

    From ``oom_kill`` in ``/proc/vmstat`` (Linux 4.13 and later); 0 where that is not told.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
