"""Starting notebook kernels, always with the interpreter that runs the command.

The machine's kernelspecs are not asked: whatever a ``python3`` kernelspec in a home folder points to, the kernel
is this interpreter with this environment's packages. The runbook's own command has its kernels forked from one process
that has the heavy packages loaded, in a fraction of a second; a program of somebody else's, which may not bear being
imported once more, gets kernels started as usual.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.util
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from .kernel import LAST_WORDS, SESSION, serve

T = TypeVar("T")
WARM_MODULE, KERNEL_MODULE = "runbook_lib.archive.warm", "runbook_lib.archive.kernel"
UNIX = hasattr(socket, "AF_UNIX") and hasattr(os, "pidfd_open")
CAN_FORK = UNIX and "forkserver" in multiprocessing.get_all_start_methods()


@contextmanager
def session(*, fork: bool = True) -> Iterator[type[KernelManager]]:
    """A kernel manager class for one notebook; afterwards none of its kernels and none of their files are left.

    However it ended: a kernel that was interrupted while it started would otherwise outlive it.

    Args:
        fork: from the warm process, where the platform can; the calling program's main module must bear being
            imported by it.
    """
    forked: list[Any] = []
    with tempfile.TemporaryDirectory(prefix=SESSION, ignore_cleanup_errors=True) as folder:
        own = {"sockets": folder, "fork": fork and CAN_FORK, "forked": forked}
        try:
            yield type("OwnKernelManager", (KernelManager,), own)
        finally:
            left = [kernel for kernel in forked if kernel.is_alive()]
            for kernel in left:
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(kernel.pid, signal.SIGINT)
            for kernel in left:
                kernel.join(LAST_WORDS)
                kernel.kill()


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
    """A kernel manager for nbclient's ``kernel_manager_class``: this interpreter, forked where that is wanted.

    On Unix it talks over sockets in a private folder instead of open TCP ports.
    """

    sockets = ""  # a folder for the sockets; the system's temporary one by default
    fork = False
    forked: list[Any]  # the processes that were forked, which the session ends if they are left

    def __init__(self, **kwargs: Any) -> None:
        if UNIX:
            self._folder = tempfile.TemporaryDirectory(dir=self.sockets or None, ignore_cleanup_errors=True)
            kwargs |= {"transport": "ipc", "connection_file": os.path.join(self._folder.name, "kernel.json")}
        super().__init__(**kwargs)

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter's own kernel."""
        found = KernelSpec(resource_dir="", **get_kernel_dict())
        if UNIX:
            found.argv[found.argv.index("-m") + 1] = KERNEL_MODULE
        return found

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        if self.fork and self.provisioner is None:
            self.provisioner = ForkedProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**kw)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if UNIX and not restart:
            self._folder.cleanup()

    cleanup_resources = _async_cleanup_resources


class ForkedProvisioner(LocalProvisioner):
    """Starts the kernel as a fork of the warm process instead of as a new interpreter."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with the arguments that ``cmd`` would have given to a new interpreter."""
        assert isinstance(self.parent, KernelManager)
        context = multiprocessing.get_context("forkserver")
        arguments = cmd[cmd.index("-m") + 2 :]
        cwd = str(kwargs.get("cwd") or os.getcwd())
        # A daemon in multiprocessing's sense: ended with this process instead of waited for.
        environment = dict(kwargs.get("env") or os.environ)
        folders = [self.parent.sockets, multiprocessing.util.get_temp_dir()]  # of the kernels, and the fork server's
        process = context.Process(target=serve, args=(arguments, cwd, environment, folders), daemon=True)
        self.parent.forked.append(process)  # first: whoever interrupts its start ends it, too
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
