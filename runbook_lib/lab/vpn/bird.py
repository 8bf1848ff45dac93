"""One gateway's BIRD: started, configured anew and asked through its control socket."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from .. import netns
from ..errors import LabError
from . import daemon

_DOOR = "bird.ctl"
_START_SECONDS = 30
_ANSWER_SECONDS = 5


class Bird:
    """A BIRD in a gateway's namespace.

    Args:
        program: bird.
        namespace: the gateway's.
        folder: a folder for it alone, in a memory file system.
    """

    def __init__(self, program: Path, namespace: str, folder: Path) -> None:
        self._program = program
        self._namespace = namespace
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._text = ""

    def configure(self, text: str) -> None:
        """Have it do what a configuration says; it keeps the sessions that stay as they are.

        Raises:
            LabError: BIRD does not start, or does not accept the configuration.
        """
        if text == self._text:
            return
        file = self._folder / "bird.conf"
        if self._process is None:
            self._folder.mkdir(parents=True, mode=0o700)
            file.write_text(text)
            self._start(file)
        else:
            file.write_text(text)
            answer = self.ask("configure")
            if "Reconfigur" not in answer:
                raise LabError(f"BIRD does not accept its configuration: {answer}")
        self._text = text

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process is not None and self._process.poll() is not None

    def ask(self, command: str) -> str:
        """The answer to one command of its command line, without the reply codes.

        Raises:
            OSError: it does not answer.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self._folder / _DOOR))
            _receive(connection)  # its greeting
            connection.sendall(command.encode() + b"\n")
            return _receive(connection)

    def stop(self) -> None:
        """End it; its routes go with its namespace."""
        daemon.end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, file: Path) -> None:
        files = ("-c", str(file), "-s", str(self._folder / _DOOR), "-P", str(self._folder / "bird.pid"))
        self._process = subprocess.Popen(
            [*netns.enter(self._namespace), str(self._program), "-f", *files], stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self.ended or time.monotonic() > deadline:
                raise LabError("BIRD did not start; the lab's log has its words")
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self.ask("show status")
                return
            time.sleep(0.02)


def _receive(connection: socket.socket) -> str:
    """Lines up to one that starts with a code and a space: nothing more follows it."""
    received = b""
    while not re.search(rb"^\d{4} .*\n\Z", received, re.MULTILINE):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError("BIRD has ended")
        received += piece
    return re.sub(r"^(\d{4}[- ]| )", "", received.decode(), flags=re.MULTILINE)
