"""Real kernels, with the part of a frontend, and of whoever sits before it, played by a client of theirs."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from runbook_lib import events
from tests.conftest import ROOT

LONG = 60  # seconds that anything may take before a test gives up on it


class Session:
    """A kernel and somebody who runs cells in it.

    Args:
        environment: more variables for the kernel.
    """

    def __init__(self, **environment: str) -> None:
        self.sockets = tempfile.TemporaryDirectory(prefix="k")  # sockets' paths may not be as long as pytest's are
        self.manager = KernelManager(
            transport="ipc", connection_file=f"{self.sockets.name}/kernel.json", shutdown_wait_time=LONG
        )
        arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager._kernel_spec = KernelSpec(argv=arguments, display_name="this one", language="python")
        mine = {"TMPDIR": self.sockets.name, "PYTHONPATH": str(ROOT)} | environment
        self.environment = {k: v for k, v in os.environ.items() if k != events.ADDRESS} | mine
        self.shown: list[str] = []  # texts of what was displayed and renewed, in order
        self.start()

    def start(self) -> None:
        self.manager.start_kernel(env=self.environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LONG)

    def run(self, source: str, *, watched: bool = False, timeout: float = LONG) -> list[Any]:
        """Run a cell to its end; the outputs that the frontend was sent.

        Args:
            source: the cell.
            watched: by somebody who could be asked for input, as in JupyterLab.
            timeout: seconds.
        """
        outputs: list[Any] = []
        kinds = ("stream", "display_data", "execute_result", "error")

        def hear(message: Any) -> None:
            self._note(message)
            if message["header"]["msg_type"] in kinds:
                outputs.append(nbformat.v4.output_from_msg(message))

        self.client.execute_interactive(source, output_hook=hear, timeout=timeout, allow_stdin=watched)
        return outputs

    def interrupted(self, source: str, *, when: Callable[[], object]) -> list[Any]:
        """Run a cell that somebody watches and interrupts as soon as something is so.

        Args:
            source: the cell.
            when: asked again and again, beside the cell.
        """

        def interrupt() -> None:
            until(when)
            os.kill(self.pid, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            return self.run(source, watched=True)
        finally:
            thread.join()

    def until_shown(self, *words: str, timeout: float = LONG) -> str:
        """What is displayed, or renewed, from now on until it holds all the words; seconds until giving up."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            text = self._note(self.client.get_iopub_msg(timeout=LONG))
            if text and all(word in text for word in words):
                return text
        raise AssertionError(f"waited in vain for {words}; last shown: {self.shown[-1:]}")

    def shows_at_last(self, so: Callable[[str], bool]) -> None:
        """What is displayed becomes so: threads of a cell may show something after it has ended."""
        deadline = time.monotonic() + LONG
        while not so(self.shown[-1]):
            assert time.monotonic() < deadline, f"waited in vain; last shown: {self.shown[-1]}"
            self._note(self.client.get_iopub_msg(timeout=LONG))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *about: object) -> None:
        if self.manager.has_kernel:
            self.client.stop_channels()
            self.manager.shutdown_kernel(now=True)
        self.sockets.cleanup()

    def _note(self, message: Any) -> str:
        if message["header"]["msg_type"] not in ("display_data", "update_display_data"):
            return ""
        self.shown.append(message["content"]["data"].get("text/plain", ""))
        return self.shown[-1]


def until(done: Callable[[], object]) -> None:
    """Bounded waiting; what is asserted is that it happens."""
    deadline = time.monotonic() + LONG
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
