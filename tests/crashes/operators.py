"""The process that is killed: it does what the notebooks' creating cells do, or the teardown's."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, context, get_context
from pathlib import Path
from typing import Any, Literal

from runbook_lib.clouds import connect
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import apply, destroy_all
from runbook_lib.topology import topology

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
STEPS = ("00_provision", "01_bootstrap", "03_traefik", "04_test")
LIMIT = 120.0  # seconds after which a process hangs
# What every process would otherwise load anew, as the library does so where it needs it.
_SLOW = (
    "boto3",
    "google.cloud.compute_v1",
    "google.api_core.retry",
    "runbook_lib.clouds.aws.access",
    "runbook_lib.clouds.aws.instance",
    "runbook_lib.clouds.aws.network",
    "runbook_lib.clouds.aws.vpn",
    "runbook_lib.clouds.gcp.credentials",
)

Deed = Literal["provision", "teardown"]
DEEDS: tuple[Deed, ...] = ("provision", "teardown")


def work(params: Params, deed: Deed) -> None:
    """Make all that every step wants, or unmake all that exists."""
    wanted, clouds = topology(params, public_key=KEY), connect(params)
    if deed == "teardown":
        destroy_all(wanted, clouds)
        return
    for step in STEPS:
        apply(plan(wanted, clouds.inventory(), step), clouds)


def _child(pipe: connection.Connection, params: Params, log: str) -> None:
    """The process: it begins when it is told what to do."""
    deed = pipe.recv()
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        work(params, deed)


class Operator:
    """A process that works on the clouds, and can be killed at any moment.

    Args:
        process: not yet started.
        pipe: this end of what it is told its deed through.
        log: where it writes why it failed.
    """

    def __init__(self, process: Any, pipe: connection.Connection, log: Path) -> None:
        self._process = process
        self._pipe = pipe
        self._log = log
        self._started = threading.Event()

    def begin(self, deed: Deed) -> None:
        """Let it work."""
        self._process.start()
        self._started.set()
        self._pipe.send(deed)

    def kill(self) -> None:
        """End it by SIGKILL, and return once it is dead. May be called from any thread."""
        self._started.wait()
        os.kill(self._process.pid, signal.SIGKILL)
        connection.wait([self._process.sentinel], LIMIT)

    def end(self) -> str:
        """How it ended: empty if well, ``killed``, or why it failed."""
        self._process.join(LIMIT)
        code = self._process.exitcode
        if code is None:
            self.kill()
            self._process.join()
            return f"it hung: {self._said()}"
        if code == -signal.SIGKILL:
            return "killed"
        return f"it failed with {code}: {self._said()}" if code else ""

    def _said(self) -> str:
        return self._log.read_text()[-3000:] if self._log.exists() else ""


def forks() -> context.ForkServerContext:
    """What processes are forked from: one that has imported all and runs nothing."""
    server = get_context("forkserver")
    server.set_forkserver_preload([__name__, *_SLOW])
    return server


@contextmanager
def operator(server: context.ForkServerContext, params: Params, log: Path) -> Iterator[Operator]:
    """A process about to work; it is dead afterwards."""
    here, there = server.Pipe()
    process = server.Process(target=_child, args=(there, params, str(log)), daemon=True)
    one = Operator(process, here, log)
    try:
        yield one
    finally:
        if process.is_alive():
            one.kill()
        process.join()
        process.close()
        here.close()
        there.close()
