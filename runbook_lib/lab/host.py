"""The lab seen from the machine: start its world, find it, enter it, end it.

A lab is one process tree in namespaces of its own. Three listening sockets on this machine's loopback are
opened first and handed in; they are the only door. Ending the tree's first process ends everything.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import abilities, tools
from .errors import LabError
from .mirror import Archive, Mirror
from .vpn.control import describe

# Where labs keep their status, consoles and credentials; params/lab.yaml points here.
HOME = Path("~/.cache/runbook/labs")
# The default lab's ports, which params/lab.yaml names; other labs take free ones.
DEFAULT_NAME = "lab"
DEFAULT_PORTS: Mapping[str, int] = {"aws": 4560, "gcp": 4561, "socks": 4562}
DEFAULTS: Mapping[str, Any] = {
    "aws_region": "us-west-2",
    "aws_zones": ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"],
    "gcp_project": "runbook-lab",
}
_START_SECONDS = 60
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is (or was) up.

    Args:
        name: its name.
        home: its folder.
        pid: the process that holds its namespaces open, as this machine numbers it.
        started: that process's start time in clock ticks, which tells it from a later one of the same number.
        aws_endpoint: where AWS's API answers.
        gcp_endpoint: where Compute Engine's API answers.
        internet_proxy: the way to the lab's public addresses.
        vpn: what carries packets between the clouds: real tunnels, or what stands in for them and why.
    """

    name: str
    home: str
    pid: int
    started: int
    aws_endpoint: str
    gcp_endpoint: str
    internet_proxy: str
    vpn: str

    @property
    def alive(self) -> bool:
        """Whether the lab is up."""
        return _start_time(self.pid) == self.started

    def nodes(self) -> list[dict[str, Any]]:
        """Every instance: name, cloud, zone, addresses, state."""
        file = Path(self.home) / "nodes.json"
        return json.loads(file.read_text()) if file.exists() else []

    def networks(self) -> list[dict[str, Any]]:
        """Every network: id, cloud, subnets, and the namespace that is its router."""
        file = Path(self.home) / "networks.json"
        return json.loads(file.read_text()) if file.exists() else []

    def node(self, name: str) -> dict[str, Any]:
        """One instance, by its name or by its name without the deployment's prefix.

        Raises:
            LabError: none or several are called so.
        """
        nodes = self.nodes()
        found = [n for n in nodes if n["name"] == name or n["id"] == name]
        found = found or [n for n in nodes if n["name"].endswith(f"-{name}")]
        if len(found) == 1:
            return found[0]
        names = ", ".join(n["name"] for n in (found or nodes)) or "none"
        many = "more than one instance is" if found else "no instance is"
        raise LabError(f"{many} called {name} in the lab {self.name}", remedy=f"name one of: {names}")

    def releases(self) -> tuple[Archive, ...]:
        """What the lab's mirror has; packed now, if nobody has asked for it yet.

        Raises:
            LabError: as ``Mirror.archives``.
        """
        return Mirror(Path(self.home), {name: str(tools.path(name)) for name in ("consul", "traefik")}).archives()

    def inside(self) -> list[str]:
        """The words before a command that shall run in the lab's world (its internet)."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(_first_child(self.pid)), *user, "--net", "--mount", "--pid", "--"]

    def enter(self, node: Mapping[str, Any]) -> list[str]:
        """The words before a command that shall run inside an instance, as its root.

        Raises:
            LabError: the instance is not running.
        """
        if node["state"] != "running" or not node["pid"]:
            raise LabError(
                f"{node['name']} is {node['state']}",
                remedy=f"see its console: runbook lab logs {node['name']} --name {self.name}",
            )
        kinds = ("--net", "--mount", "--uts", "--ipc", "--pid", "--root", "--wd")
        clean = ("env", "-i", "HOME=/root", f"TERM={os.environ.get('TERM', 'dumb')}", f"PATH={_PATH}", "LANG=C.UTF-8")
        return [*self.inside(), "nsenter", "--target", str(node["pid"]), *kinds, "--", *clean]


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def up(name: str = DEFAULT_NAME, settings: Mapping[str, Any] = DEFAULTS) -> tuple[Lab, bool]:
    """Start a lab, or find the one that is up.

    Returns:
        the lab, and whether it was started just now.

    Raises:
        LabError: a bad name, a missing tool or kernel ability, a port in use, or a world that does not start.
    """
    home = _home(name)
    lacking = tools.require()
    with _locked(home):
        lab = _read(home)
        if lab is not None and lab.alive:
            return lab, False
        _clean(home)
        return _start(name, home, {**settings, "lacking": lacking}), True


def down(name: str = DEFAULT_NAME) -> bool:
    """End a lab and take its folder away.

    Returns:
        whether there was anything to end.
    """
    home = _home(name)
    if not home.exists():
        return False
    with _locked(home):
        _clean(home)
    shutil.rmtree(home, ignore_errors=True)
    return True


def find(name: str = DEFAULT_NAME) -> Lab:
    """The lab of that name, up.

    Raises:
        LabError: it is not up.
    """
    home = _home(name)
    lab = _read(home) if home.exists() else None
    if lab is None or not lab.alive:
        option = "" if name == DEFAULT_NAME else f" --name {name}"
        raise LabError(f"the lab {name} is not up", remedy=f"start it: runbook lab up{option}")
    return lab


def at(endpoint: str) -> Lab:
    """The lab whose AWS endpoint this is, up: how a parameter file names its lab.

    Raises:
        LabError: there is none.
    """
    for lab in labs():
        if lab.alive and lab.aws_endpoint == endpoint:
            return lab
    raise LabError(
        f"no lab that is up answers at {endpoint or 'AWS itself'}",
        remedy="this works in a lab only: runbook lab up, and parameters that lead to it (runbook lab params)",
    )


def labs() -> list[Lab]:
    """Every lab of this user that left a trace, up or not."""
    folder = HOME.expanduser()
    found = [_read(home) for home in sorted(folder.iterdir())] if folder.exists() else []
    return [lab for lab in found if lab is not None]


# ---- starting --------------------------------------------------------------------------------------------


def _start(name: str, home: Path, settings: Mapping[str, Any]) -> Lab:
    doors = _open_doors(name)
    ports = {door: listener.getsockname()[1] for door, listener in doors.items()}
    read, write = os.pipe()
    try:
        handed = {door: listener.fileno() for door, listener in doors.items()}
        world = {**settings, "home": str(home), "doors": handed, "ready": write, "gcp_port": ports["gcp"]}
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
        with (home / "world.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *("unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *(sys.executable, "-m", "runbook_lib.lab.world", json.dumps(world)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[*handed.values(), write],
                # An ordinary user's PATH often lacks the folders that ip, nft and dnsmasq are in.
                env=os.environ | {"PATH": os.pathsep.join([abilities.SYSTEM_PATH, os.environ.get("PATH", "")])},
                start_new_session=True,
            )
        lab = Lab(
            name=name,
            home=str(home),
            pid=process.pid,
            started=_start_time(process.pid) or 0,
            aws_endpoint=f"http://127.0.0.1:{ports['aws']}",
            gcp_endpoint=f"http://127.0.0.1:{ports['gcp']}",
            internet_proxy=f"socks5h://127.0.0.1:{ports['socks']}",
            vpn=describe(settings["lacking"]),
        )
        # Written before the world is ready, so that a starter that dies now leaves something to find.
        (home / "lab.json").write_text(json.dumps(asdict(lab)))
    finally:
        os.close(write)
        for listener in doors.values():
            listener.close()
    try:
        _await_ready(read, home)
    except BaseException:
        _clean(home)
        raise
    finally:
        os.close(read)
    return lab


def _open_doors(name: str) -> dict[str, socket.socket]:
    doors: dict[str, socket.socket] = {}
    for door, port in DEFAULT_PORTS.items():
        wanted = port if name == DEFAULT_NAME else 0
        try:
            doors[door] = socket.create_server(("127.0.0.1", wanted), backlog=256)
        except OSError as error:
            for opened in doors.values():
                opened.close()
            raise LabError(
                f"port {wanted} of 127.0.0.1, the lab's {door} endpoint, is taken ({error.strerror})",
                remedy="end what listens there (ss -ltnp shows it), or use a lab of another name: "
                "runbook lab up --name NAME",
            ) from None
    return doors


def _await_ready(read: int, home: Path) -> None:
    """Wait for the world's word; end of file means that it died."""
    ready, _, _ = select.select([read], [], [], _START_SECONDS)
    if ready and os.read(read, 16).startswith(b"ready"):
        return
    log = (home / "world.log").read_text(errors="replace").strip().splitlines()
    why = "it ended" if ready else f"it was not ready after {_START_SECONDS} s"
    raise LabError(
        f"the lab did not start: {why}\n  " + "\n  ".join(log[-12:]),
        remedy="runbook doctor shows what this machine lacks",
    )


# ---- ending ----------------------------------------------------------------------------------------------


def _clean(home: Path) -> None:
    """End whatever a lab's folder tells of, and empty the folder (the lock stays until the folder goes)."""
    lab = _read(home)
    if lab is not None and lab.alive:
        # The world's first process takes everything in its namespaces with it.
        for pid in (_first_child(lab.pid), lab.pid):
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _STOP_SECONDS
        while lab.alive:
            _reap(lab.pid)
            if time.monotonic() > deadline:
                raise LabError(f"the lab {lab.name} does not end", remedy=f"look at process {lab.pid}")
            time.sleep(0.02)
    for entry in home.iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One starter or ender of a lab at a time."""
    import fcntl  # Windows has none; there the lab says what it needs before it gets here

    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- looking ---------------------------------------------------------------------------------------------


def _home(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise LabError(f"a lab cannot be called {name!r}", remedy="use up to 31 of a-z, 0-9 and '-'")
    return HOME.expanduser() / name


def _read(home: Path) -> Lab | None:
    try:
        return Lab(**json.loads((home / "lab.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _start_time(pid: int) -> int | None:
    """A process's start time in clock ticks since boot (proc(5), field 22); ``None`` if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _first_child(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return int(children[0]) if children else 0


def _reap(pid: int) -> None:
    """Collect the process if it is this one's own child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
