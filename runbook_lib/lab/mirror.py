"""A mirror of the publishers' releases in the lab's internet, with archives of the very programs that this lab has.

Paths are the publishers'. An archive is made when it is first asked for, and stays the same as long as the lab is up,
so its checksum can be pinned. It is not the publisher's checksum: the publisher packed the program otherwise.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import platform
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import tools
from .errors import LabError

# Debian's names of the architectures.
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}
LOG = "mirror.log"
_PATHS: Mapping[str, str] = {
    "consul": "consul/{version}/consul_{version}_linux_{architecture}.zip",
    "traefik": "traefik/traefik/releases/download/v{version}/traefik_v{version}_linux_{architecture}.tar.gz",
}
# Fast: what is packed here travels no further than to the next namespace.
_LEVEL = 1
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """One release on the mirror.

    Args:
        program: ``consul`` or ``traefik``.
        version: what the program says of itself.
        path: where it is on the mirror, without a slash at the front.
        file: where it is (or will be) on this machine.
    """

    program: str
    version: str
    path: str
    file: Path

    @property
    def sha256(self) -> str:
        """Its checksum."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Mirror:
    """The mirror of one lab.

    Args:
        home: the lab's folder; archives and the log of requests are kept there.
        programs: name -> path of the programs that are published.
    """

    def __init__(self, home: Path, programs: Mapping[str, str]) -> None:
        self._folder = home / "releases"
        self._log = home / LOG
        self._programs = programs
        self._lock = threading.Lock()
        self._archives: tuple[Archive, ...] = ()

    def archives(self) -> tuple[Archive, ...]:
        """Every release, packed. The first call takes some seconds; one at a time packs, in this process or another.

        Raises:
            LabError: a program does not tell its version, or is of another processor than those that are published for.
        """
        with self._lock:
            if not self._archives:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                with (self._folder / "lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self._archives = tuple(self._pack(name) for name in _PATHS)
            return self._archives

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The mirror, as a WSGI application."""
        path = environ.get("PATH_INFO", "").lstrip("/")
        archive = next((one for one in self.archives() if one.path == path), None)
        status = "200 OK" if archive else "404 Not Found"
        with self._log.open("a") as log:
            log.write(f"{time.time():.3f} {environ.get('REMOTE_ADDR', '')} {status[:3]} {path}\n")
        if archive is None:
            start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        length = str(archive.file.stat().st_size)
        start_response(status, [("Content-Type", "application/octet-stream"), ("Content-Length", length)])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else _chunks(archive.file)

    def _pack(self, name: str) -> Archive:
        program = Path(self._programs[name])
        version = tools.version_of(name)
        architecture = ARCHITECTURES.get(platform.machine())
        if version is None or architecture is None:
            raise LabError(
                f"{program} cannot be published on the lab's mirror: version {version}, {platform.machine()} processor",
                remedy=f"use a {name} that runs on this machine, whose processor is one of: {', '.join(ARCHITECTURES)}",
            )
        path = _PATHS[name].format(version=version, architecture=architecture)
        archive = Archive(name, version, path, self._folder / Path(path).name)
        if not archive.file.exists():
            fresh = archive.file.with_suffix(".new")
            with fresh.open("wb") as file:
                (_zip if path.endswith(".zip") else _tar)(program, name, file)
            fresh.replace(archive.file)
        return archive


def _zip(program: Path, name: str, file: io.BufferedWriter) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o755 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, program.read_bytes(), zipfile.ZIP_DEFLATED, _LEVEL)


def _tar(program: Path, name: str, file: io.BufferedWriter) -> None:
    with (
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
        program.open("rb") as source,
    ):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        archive.addfile(entry, source)


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk
