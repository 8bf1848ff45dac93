"""Notebook kernels that start in a fraction of a second, always with the interpreter that runs the command.

The machine's kernelspecs are not asked: whatever a ``python3`` kernelspec in a home folder points to, the kernel
is this interpreter with this environment's packages. Where the platform has ``multiprocessing``'s fork server,
kernels are forked from one process that has the heavy packages loaded; elsewhere they are started as usual.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

T = TypeVar("T")
WARM_MODULE = "runbook_lib.archive.warm"
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
LAST_WORDS = 2.0  # seconds a kernel's ``finally`` blocks have once the command that runs it is gone


@contextmanager
def session() -> Iterator[type[KernelManager]]:
    """A kernel manager class for one run; afterwards none of its kernels and none of their files are left.

    However the run ended: a kernel that was interrupted while it started would otherwise outlive it.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-kernel-", ignore_cleanup_errors=True) as folder:
        try:
            yield type("RunKernelManager", (KernelManager,), {"sockets": folder})
        finally:
            left = multiprocessing.active_children()
            for child in left:
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGINT)
            for child in left:
                child.join(LAST_WORDS)
                child.kill()


def warm_up() -> None:
    """Start loading the heavy packages in the background, so that the first kernel finds them loaded."""
    if CAN_FORK:
        forkserver = importlib.import_module("multiprocessing.forkserver")
        forkserver.set_forkserver_preload([WARM_MODULE])
        forkserver.ensure_running()


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Call a module's function where the heavy packages are loaded already; all that passes must be picklable."""
    if not CAN_FORK:
        return function(*arguments)
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(function, *arguments).result()


class KernelManager(AsyncKernelManager):
    """A kernel manager for nbclient's ``kernel_manager_class``: this interpreter, forked where possible.

    Where it forks, it also talks over Unix sockets in a private folder instead of open TCP ports.
    """

    sockets = ""  # a folder for the sockets; the system's temporary one by default

    def __init__(self, **kwargs: Any) -> None:
        if CAN_FORK:
            self._folder = tempfile.TemporaryDirectory(dir=self.sockets or None, ignore_cleanup_errors=True)
            kwargs |= {"transport": "ipc", "connection_file": os.path.join(self._folder.name, "kernel.json")}
        super().__init__(**kwargs)

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter's own kernel."""
        return KernelSpec(resource_dir="", **get_kernel_dict())

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        if CAN_FORK and self.provisioner is None:
            self.provisioner = ForkedProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**kw)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if CAN_FORK and not restart:
            self._folder.cleanup()

    cleanup_resources = _async_cleanup_resources


class ForkedProvisioner(LocalProvisioner):
    """Starts the kernel as a fork of the warm process instead of as a new interpreter."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with the arguments that ``cmd`` would have given to a new interpreter."""
        context = multiprocessing.get_context("forkserver")
        arguments = cmd[cmd.index("-m") + 2 :]
        cwd = str(kwargs.get("cwd") or os.getcwd())
        # A daemon in multiprocessing's sense: ended with this process instead of waited for.
        environment = dict(kwargs.get("env") or os.environ)
        process = context.Process(target=serve, args=(arguments, cwd, environment), daemon=True)
        process.start()
        forked = Forked(process)
        self.process, self.pid, self.pgid = forked, forked.pid, forked.pid  # type: ignore[assignment]
        self.cwd = cwd
        return self.connection_info


class Forked:
    """A forked kernel with the methods of ``subprocess.Popen`` that a provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid

    def poll(self) -> int | None:
        """The exit status, or ``None`` while it runs."""
        status: int | None = self._process.exitcode
        return status

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and give the exit status."""
        self._process.join(timeout)
        return self.poll()

    def send_signal(self, signum: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def serve(arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    """Be a kernel until told to end; runs in the forked process."""
    with suppress(KeyboardInterrupt):  # told to end before it was one
        _serve(arguments, cwd, env)


def _serve(arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    os.setsid()  # a Ctrl-C in the terminal is for the command, which passes it on in its own way
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:] = [entry for entry in sys.path if entry]  # as ipykernel's own launcher does
    folder = Path(arguments[arguments.index("-f") + 1]).parent
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()

    from ipykernel.kernelapp import IPKernelApp

    application = IPKernelApp.instance()
    # An interrupted kernel loses its sockets before it ends; what it says of that helps nobody.
    quiet = f"--IPKernelApp.log_level={logging.CRITICAL}"
    application.initialize([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}", quiet])
    try:
        application.start()
    finally:
        # A multiprocessing child leaves without the exit functions, an interpreter does not. ipykernel's own is left
        # out: now and then it waits seconds for a thread that in turn waits for output which nobody reads any more.
        atexit.unregister(application.close)
        atexit._run_exitfuncs()


def _end_with_parent(folder: Path) -> None:
    """When the command is gone, killed perhaps: end, and take away the files that it made for this kernel."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(LAST_WORDS)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()  # the run's own, if this was its last kernel
        os._exit(1)
