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
        "user": _user(),
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return ""


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
