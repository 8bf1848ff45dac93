"""JupyterLab's server for the notebooks: what it is started with, and its life.

Its settings, its kernel and its files of the moment are in a temporary folder that goes away with it, so that neither
the user's own JupyterLab nor kernels installed elsewhere have a say, and none of theirs is changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from .. import wait
from ..errors import PrerequisiteError, WaitTimeout

PORT = 8888  # Jupyter's own default; one after another is tried where it is taken
ADDRESS = "127.0.0.1"
WORKSPACE = "runbook"
LAST_LINES = 20
START, STOP = 180.0, 60.0  # seconds that a busy machine may take to start the server, and that it has to end kernels
KERNELS = 40.0  # seconds that kernels have to close their records when all end at once, instead of Jupyter's five
# What JupyterLab would else ask the internet for, or ask its user about.
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
# JupyterLab's state of a page: only the left side bar is given, with its own name for the table of contents.
CONTENTS = "@jupyterlab/toc:plugin"
LAYOUT = {"layout-restorer:data": {"left": {"collapsed": False, "visible": True, "current": CONTENTS}}}


@dataclass(frozen=True, slots=True)
class Desk:
    """What is served.

    Args:
        root: the folder that JupyterLab shows.
        notebook: the notebook it opens, in that folder.
        port: the port on this machine's loopback that is tried first.
        browser: whether a browser is opened on this machine.
    """

    root: Path
    notebook: Path
    port: int = PORT
    browser: bool = False

    @property
    def page(self) -> str:
        """The page's path, in a workspace that shows the table of contents."""
        return f"/lab/workspaces/{WORKSPACE}/tree/{quote(self.notebook.relative_to(self.root).as_posix())}"


def arguments(desk: Desk, folder: Path, *, root_user: bool) -> list[str]:
    """The server's command line, without a secret: it makes its own token.

    Args:
        desk: what is served.
        folder: the temporary folder.
        root_user: whether this process is root's, which Jupyter has to be told is meant.
    """
    given = {
        "ServerApp.root_dir": desk.root,
        "ServerApp.ip": ADDRESS,
        "ServerApp.port": desk.port,
        "ServerApp.open_browser": desk.browser,
        "ServerApp.allow_root": root_user,
        "LabApp.default_url": desk.page,
        "LabApp.app_settings_dir": folder / "settings",
        "LabApp.workspaces_dir": folder / "workspaces",
        "KernelSpecManager.allowed_kernelspecs": "python3",
        "KernelManager.shutdown_wait_time": KERNELS,
        "Application.log_level": "ERROR",
    }
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in given.items())]


def environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The server's environment, which its kernels and terminals inherit.

    Args:
        given: this process's.
        folder: the temporary folder: its kernel goes before any other, the connections' keys are kept in it.
    """
    own = Path(given.get("HOME") or Path.home()) / ".cache" / "runbook"
    # Where nothing else is said, the one cache folder that `make` names, too.
    usual = {
        "JUPYTER_CONFIG_DIR": own / "jupyter",
        "JUPYTER_DATA_DIR": own / "jupyter",
        "IPYTHONDIR": own / "ipython",
        "MPLCONFIGDIR": own / "matplotlib",
    }
    set_here = {
        "JUPYTER_PATH": folder / "share",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        # `!runbook ...` in a cell, and the same in a terminal of JupyterLab, are this environment's.
        "PATH": os.pathsep.join(filter(None, [str(Path(sys.executable).parent), given.get("PATH", "")])),
    }
    kept = {name: value for name, value in given.items() if not name.startswith(("JUPYTER_TOKEN", "JUPYTERHUB_"))}
    return {**{name: str(value) for name, value in usual.items()}, **kept, **{k: str(v) for k, v in set_here.items()}}


def furnish(folder: Path) -> None:
    """Write settings, the workspace and the kernel into the temporary folder."""
    from ipykernel.kernelspec import write_kernel_spec

    for name in ("settings", "workspaces", "runtime", "share/kernels"):
        (folder / name).mkdir(parents=True)
    (folder / "settings" / "overrides.json").write_text(json.dumps(SETTINGS))
    workspace = {"data": LAYOUT, "metadata": {"id": WORKSPACE}}
    # JupyterLab calls a workspace's file by its name and the beginning of that name's hash.
    digest = hashlib.sha256(WORKSPACE.encode()).hexdigest()[:4]
    (folder / "workspaces" / f"{WORKSPACE}-{digest}.jupyterlab-workspace").write_text(json.dumps(workspace))
    write_kernel_spec(folder / "share" / "kernels" / "python3")


@dataclass(slots=True)
class Server:
    """A server that answers.

    Args:
        process: its process; in a session of its own, so that a terminal's Ctrl-C is not its matter.
        desk: what it serves.
        port: the port that it got.
        base: its address, as it tells it itself: the user's configuration may have a say in it.
        token: what lets a browser in; empty if the user has set a password instead.
        said: the last lines that it printed.
    """

    process: subprocess.Popen[str]
    desk: Desk
    port: int
    base: str
    token: str = field(repr=False)
    said: deque[str] = field(repr=False)

    @property
    def url(self) -> str:
        """The page's address, with the token."""
        query = f"?{urlencode({'token': self.token})}" if self.token else ""
        return f"{self.base.rstrip('/')}{self.desk.page}{query}"


def require() -> None:
    """Refuse to go on without JupyterLab.

    Raises:
        PrerequisiteError: it is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise PrerequisiteError(
            "JupyterLab is not installed beside this command",
            resource="the Python package jupyterlab",
            expected=f"in the environment of {sys.executable}",
            seen="no such package",
            remedy="make setup in the clone, or: pip install -e '.[lab]'",
        )


@contextmanager
def serving(desk: Desk) -> Iterator[Server]:
    """A server for as long as the block runs; it, its kernels and its temporary folder are gone afterwards.

    Raises:
        PrerequisiteError: JupyterLab is not installed, or its server does not start.
    """
    require()
    with tempfile.TemporaryDirectory(prefix="runbook-jupyter-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        furnish(folder)
        words = arguments(desk, folder, root_user=hasattr(os, "geteuid") and os.geteuid() == 0)
        process = subprocess.Popen(
            words,
            env=environment(os.environ, folder),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        said: deque[str] = deque(maxlen=LAST_LINES)
        listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
        listener.start()
        try:
            yield _answering(process, desk, folder, said)
        finally:
            _stop(process)
            listener.join(1)


def _listen(process: subprocess.Popen[str], said: deque[str]) -> None:
    """Take what the server prints, which is for whoever looks into a failure, and is kept in no file."""
    for line in process.stderr or ():
        said.append(line.rstrip())


def _answering(process: subprocess.Popen[str], desk: Desk, folder: Path, said: deque[str]) -> Server:
    """Wait until the server listens, where it tells in a file of its own."""
    file = folder / "runtime" / f"jpserver-{process.pid}.json"
    try:
        about = wait.until(
            lambda: _listening(file) or process.poll(),
            lambda seen: seen is not None,
            what="JupyterLab's server",
            timeout=START,
        )
    except WaitTimeout as error:
        raise _not_started(desk, error.message, said) from None
    if not isinstance(about, Mapping):
        raise _not_started(desk, f"it ended with exit status {about}", said)
    return Server(process, desk, about["port"], about["url"], about["token"], said)


def _not_started(desk: Desk, seen: str, said: Iterable[str]) -> PrerequisiteError:
    return PrerequisiteError(
        "JupyterLab did not start",
        resource=f"JupyterLab's server on {ADDRESS}, port {desk.port} or one after it",
        expected="that it tells its address",
        seen="\n    ".join([seen, *said]),
        remedy="make setup puts its packages right; runbook jupyter --port NUMBER tries another port",
    )


def _listening(file: Path) -> Mapping[str, Any] | None:
    """What the server tells of itself, once it listens; None before: it writes the file first."""
    try:
        about: Mapping[str, Any] = json.loads(file.read_text())
        socket.create_connection((ADDRESS, about["port"]), 1).close()
    except (OSError, json.JSONDecodeError):  # not there yet, half written, or not listening
        return None
    return about


def _stop(process: subprocess.Popen[str]) -> None:
    """End the server, and by that its kernels, each of which closes its record first."""
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when somebody cannot wait for that: kernels end by themselves once their server is gone.
        if process.poll() is None:
            process.kill()
            process.wait()
