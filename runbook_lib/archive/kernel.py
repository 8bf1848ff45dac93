"""Being a kernel of this interpreter, forked or started anew, that does not outlive the command which runs it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SESSION = "runbook-kernel-"  # how the folder of a command's kernels is called, in the temporary directory
PARENT = "JPY_PARENT_PID"  # in which jupyter_client tells the process that started the kernel
LAST_WORDS = 2.0  # seconds a kernel's ``finally`` blocks have once the command that runs it is gone


def serve(arguments: list[str], cwd: str, environment: dict[str, str], folders: Sequence[str]) -> None:
    """Be a kernel until told to end; runs in a forked process.

    Args:
        arguments: as for ``python -m ipykernel_launcher``.
        cwd: working directory.
        environment: environment variables, instead of those that the process was forked with.
        folders: what to take away should the command be gone that has made them.
    """
    with suppress(KeyboardInterrupt):  # told to end before it was one
        os.setsid()  # a Ctrl-C in the terminal is for the command, which passes it on in its own way
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        parent = multiprocessing.parent_process()
        assert parent is not None and parent.pid is not None
        _be_a_kernel(arguments, parent.sentinel, folders)


def main() -> None:
    """Be a kernel in a process of its own; jupyter_client has started it in a session of its own."""
    with suppress(KeyboardInterrupt):
        arguments = sys.argv[1:]
        folder = Path(arguments[arguments.index("-f") + 1]).parent
        session = folder.parent if folder.parent.name.startswith(SESSION) else folder
        _be_a_kernel(arguments, os.pidfd_open(int(os.environ[PARENT])), [str(session)])


def _be_a_kernel(arguments: list[str], parent: int, folders: Sequence[str]) -> None:
    sys.path[:] = [entry for entry in sys.path if entry]  # as ipykernel's own launcher does
    threading.Thread(target=_end_with, args=(parent, folders), daemon=True).start()

    from ipykernel.kernelapp import IPKernelApp

    application = IPKernelApp.instance()
    # An interrupted kernel loses its sockets before it ends; what it says of that helps nobody. Its own way of
    # noticing that its parent is gone leaves no time for last words.
    quiet = f"--IPKernelApp.log_level={logging.CRITICAL}"
    application.initialize([*arguments, "--IPKernelApp.parent_handle=0", quiet])
    try:
        application.start()
    finally:
        # A multiprocessing child leaves without the exit functions, an interpreter does not. ipykernel's own is left
        # out: now and then it waits seconds for a thread that in turn waits for output which nobody reads any more.
        atexit.unregister(application.close)
        atexit._run_exitfuncs()


def _end_with(parent: int, folders: Sequence[str]) -> None:
    """When the command is gone, killed perhaps: end, and take away the files that it made for its kernels.

    Args:
        parent: a file descriptor that becomes readable then.
        folders: with those files.
    """
    select.select([parent], [], [])
    # First, as an idle kernel ends at once when it is interrupted.
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(LAST_WORDS)
    os._exit(1)


if __name__ == "__main__":
    main()
