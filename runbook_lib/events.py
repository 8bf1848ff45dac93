"""What the library tells whoever records a notebook while its cells run: a secret's value, a wait, a check.

The recorder listens at a Unix datagram socket in a private folder and puts its path into the environment variable
``RUNBOOK_EVENTS``. Where nobody records, nothing is sent. Secrets pass here so that the recorder can take them out of
what it saves; they pass through the kernel's memory alone, never through a file or a log.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ADDRESS = "RUNBOOK_EVENTS"
LARGEST = 64 * 1024  # bytes of one event
_BUFFER = 4 * LARGEST  # bytes; systems other than Linux begin with two or four thousand
_BUSY = 0.01  # seconds before a full buffer is tried again

# Kinds of event and their fields. Whoever adds one adds it here.
SECRET = "secret"  # name, value: take the value out of everything that is saved from now on
WAITING = "waiting"  # what, seconds, seen: the polling loop is waiting for something, since so long
ARRIVED = "arrived"  # what: and now it is there, or was given up
CHECKS = "checks"  # step, checks: what `require` compared, each with name, expected, seen, ok
SERVICE = "service"  # name, version: a program that answered, and what it calls itself
APPROVAL = "approval"  # plan, by, at, expires, way: a plan was approved, and how


def emit(kind: str, *, must_arrive: bool = False, **facts: Any) -> None:
    """Tell the recorder, if there is one.

    Args:
        kind: one of the above.
        must_arrive: wait while the recorder is busy; otherwise the event is lost rather than waited with.
        facts: the kind's fields; what is no JSON is sent as its text.

    Raises:
        ValueError: it is longer than ``LARGEST``, which whoever tells it has to see to.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        return
    message = json.dumps({"kind": kind, **facts}, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass")
    flags = 0 if must_arrive else socket.MSG_DONTWAIT
    if len(message) > LARGEST:
        raise ValueError(f"an event of {len(message)} bytes, of which the recorder would hear {LARGEST}: {kind}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        _widen(sender, socket.SO_SNDBUF)
        while True:
            try:
                sender.sendto(message, flags, address)
                return
            except OSError as error:
                # Linux waits by itself for room; others say that there is none. Any other error: nobody listens.
                if not must_arrive or error.errno != errno.ENOBUFS:
                    return
            time.sleep(_BUSY)


class Listener:
    """The recorder's end. Readable for ``select`` when there is something to take.

    Args:
        path: where the socket is to be; its folder is its listener's alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        _widen(self._socket, socket.SO_RCVBUF)
        self._socket.bind(str(path))

    def fileno(self) -> int:
        """For ``select`` and event loops."""
        return self._socket.fileno()

    def take(self) -> Iterator[Mapping[str, Any]]:
        """Every event that has come, in the order sent."""
        while True:
            try:
                message = self._socket.recv(LARGEST)
            except BlockingIOError:
                return
            with contextlib.suppress(ValueError):
                yield json.loads(message.decode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def _widen(end: socket.socket, buffer: int) -> None:
    """Let a socket's buffer hold a few of the largest events, where it does not by itself and the system lets it."""
    with contextlib.suppress(OSError):
        if end.getsockopt(socket.SOL_SOCKET, buffer) < _BUFFER:
            end.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER)
