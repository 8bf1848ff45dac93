"""Where a record comes from: who ran the operation, on which machine, from which commit, with which packages."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

from .notebooks import CLONE

GIT_SECONDS = 20.0  # a repository on a slow disk may take this long to tell what was changed


def identity(command: Sequence[str] | None = None) -> dict[str, object]:
    """Who runs this, where and how.

    Args:
        command: the command line; this process's by default.

    Returns:
        ``user`` and ``uid`` of the process; ``login``, the account that became it by sudo, if so; ``host``, ``boot``
        and ``world``, which together tell this machine, as long as it runs, from every other; ``pid``; ``command``.
    """
    login = os.environ.get("SUDO_USER", "")
    return {
        "user": user(),
        "uid": os.getuid() if hasattr(os, "getuid") else None,
        **({"login": login} if login else {}),
        **machine(),
        "pid": os.getpid(),
        "command": shlex.join(command or [Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def machine() -> dict[str, str]:
    """This machine until it is next started: its name, the kernel's boot id and the process namespace (a container
    is a machine of its own). What the platform does not tell is empty."""
    return {
        "host": platform.node(),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "world": _link("/proc/self/ns/pid"),
    }


def world_lives(world: str) -> bool:
    """Whether any process that can be seen from here runs in that process namespace; a dead one's remains do not."""
    processes = (f"/proc/{number}" for number in os.listdir("/proc") if number.isdigit())
    alive = (path for path in processes if not _text(f"{path}/stat").rpartition(")")[2].startswith((" Z", " X")))
    return any(_link(f"{path}/ns/pid") == world for path in alive)


def process() -> str:
    """This process, told from every other that ever ran on a machine: boot id, process namespace, process id and start
    (clock ticks since the boot), between slashes. Empty where the platform does not tell."""
    here, start = machine(), _started(os.getpid())
    known = (here["boot"], _digits(here["world"]), str(os.getpid()), start or "")
    return "/".join(known) if all(known) else ""


def process_ended(known: str) -> bool:
    """Whether a process, as ``process`` tells it, is known to have ended: it was this machine's, and is no more."""
    boot, world, number, start = known.split("/") if known.count("/") == 3 else ("", "", "", "")
    here = machine()
    if not boot or (boot, world) != (here["boot"], _digits(here["world"])):
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's
        pass
    except ValueError:
        return False
    now = _started(int(number))
    return now is not None and now != start


def code(folder: Path = CLONE) -> dict[str, object]:
    """The commit that a folder is at, and what differs from it.

    Returns:
        ``commit`` (40 hex digits), ``clean`` (nothing was changed or added since) and ``changed`` (paths, if not
        clean); or ``unknown``, which says why there is no commit to name.
    """
    head = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=normal")
    for done in (head, status):
        if isinstance(done, str):
            return {"unknown": done}
        if done.returncode:
            return {"unknown": done.stderr.strip() or f"git ended with {done.returncode}"}
    assert not isinstance(head, str) and not isinstance(status, str)
    changed = [line[3:] for line in status.stdout.splitlines()]
    return {"commit": head.stdout.strip(), "clean": not changed, **({"changed": changed} if changed else {})}


def versions() -> Mapping[str, str]:
    """Versions of Python and of every package that this interpreter could import, by name."""
    found = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {"python": platform.python_version(), **dict(sorted(found.items(), key=lambda item: item[0].lower()))}


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str] | str:
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except OSError:
        return "git is not installed here"
    except subprocess.TimeoutExpired:
        return f"git did not answer within {GIT_SECONDS:g} s"


def user() -> str:
    """The name of the account that this process runs under; empty if it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return ""


def _started(number: int) -> str | None:
    """When a process was started, in clock ticks since the boot: empty if it has ended, ``None`` if nobody tells."""
    fields = _text(f"/proc/{number}/stat").rpartition(")")[2].split()  # the name before it may hold anything
    if len(fields) <= 19:
        return None
    return "" if fields[0] in ("Z", "X") else fields[19]


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
