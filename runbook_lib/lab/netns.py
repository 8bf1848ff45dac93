"""Network namespaces: the few commands that make, wire and enter them. Thin; nothing is decided here."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterable
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, stdin: str | None = None) -> str:
    """Run one command to its end.

    Raises:
        LabError: with the command's own words when it fails.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def batch(lines: Iterable[str], namespace: str = "", *, force: bool = False) -> None:
    """Many ``ip`` commands in one process, each given as the words after ``ip``.

    Args:
        namespace: where; empty for the current one.
        force: go on after a failing line (for taking away what may be gone already).
    """
    text = "\n".join(lines)
    if not text:
        return
    command = ["ip", *(["-n", namespace] if namespace else []), *(["-force"] if force else []), "-batch", "-"]
    if force:
        subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    else:
        run(*command, stdin=text)


def add(name: str) -> None:
    """Make a namespace with its loopback up and forwarding as a router's."""
    run("ip", "netns", "add", name)
    batch(["link set lo up"], name)


def delete(name: str) -> None:
    """Take a namespace away, with every interface that lives in it."""
    run("ip", "netns", "delete", name)


def exists(name: str) -> bool:
    """Tell whether a namespace of that name is there."""
    return os.path.exists(_path(name))


def sysctl(settings: Iterable[tuple[str, str]], namespace: str = "") -> None:
    """Set kernel values (``net/ipv4/ip_forward``) inside a namespace."""

    def write() -> None:
        for name, value in settings:
            with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
                file.write(value)

    inside(namespace, write) if namespace else write()


def load(ruleset: str, namespace: str) -> None:
    """Load nftables rules into a namespace in one transaction."""
    run("nsenter", f"--net={_path(namespace)}", "nft", "-f", "-", stdin=ruleset)


def listen(namespace: str, address: str, port: int) -> socket.socket:
    """A TCP socket listening inside a namespace, usable from this one."""

    def opened() -> socket.socket:
        return socket.create_server((address, port), backlog=128)

    return inside(namespace, opened) if namespace else opened()


def inside(namespace: str, act: Callable[[], T]) -> T:
    """Call ``act`` with this thread in another network namespace; sockets it opens stay there."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(_path(namespace), "rb") as away:
        _setns(away.fileno())
        try:
            return act()
        finally:
            _setns(home.fileno())


def enter(namespace: str) -> list[str]:
    """The words before a command that shall run inside a namespace."""
    return ["nsenter", f"--net={_path(namespace)}", "--"]


def _path(name: str) -> str:
    return f"/run/netns/{name}"


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise LabError(f"cannot enter a network namespace: {os.strerror(error)}")
