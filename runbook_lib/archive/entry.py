"""One line of a ledger, and the hashes that it keeps of a run's folder."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import durable
from .lock import RUN_LOCK
from .signing import canonical

EntryKind = Literal["begun", "ended", "note"]
NOTHING_BEFORE = "0" * 64  # what the first line names as the line before it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Args:
        number: its place, from 0.
        previous: SHA-256 of the line before it without its newline, hex; 64 zeros in the first.
        kind: a run has begun, a run has ended, or a remark.
        at: when it was written; UTC, ISO 8601.
        run: the run's id; empty for a remark.
        outcome: the run's outcome so far, as its record has it.
        identity: who ran it, as its record has it.
        parameters: the run's, as its record has them.
        files: SHA-256 of each file in the run's folder by its path there, once the run has ended.
        note: the remark.
    """

    number: int
    previous: str
    kind: EntryKind
    at: str
    run: str = ""
    outcome: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def line(self) -> bytes:
        """As the ledger has it, without the newline.

        Raises:
            TypeError, ValueError: a parameter is no JSON.
        """
        return canonical(asdict(self))

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """The entry of a line without its newline.

        Raises:
            ValueError: it is none, or not written in the one way in which entries are.
        """
        try:
            entry = cls(**json.loads(line))
            same = entry.line() == line
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if not same:
            raise ValueError("not canonical JSON")
        return entry

    def says(self, other: Entry) -> bool:
        """Whether both say the same, wherever and whenever they were written."""
        return (self.kind, self.run, self.outcome, canonical([self.identity, self.parameters, self.files])) == (
            other.kind,
            other.run,
            other.outcome,
            canonical([other.identity, other.parameters, other.files]),
        )


def sha256(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def digests(folder: Path, *, settle: bool = False) -> dict[str, str]:
    """What identifies each file under a run's folder, by its path there: its SHA-256.

    A link counts as the place it names and anything else that is no file as what it is, so neither can take a file's
    place. The run's lock is left out; folders without files, times and modes are no evidence either.

    Args:
        folder: the run's.
        settle: wait until each file is on the disk; for those who are about to sign.

    Raises:
        OSError: a file cannot be read.
    """
    found = {}
    for path, folders, names in os.walk(folder, onerror=_fail):
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        for name in [*names, *links]:
            file = Path(path) / name
            relative = file.relative_to(folder).as_posix()
            if relative != RUN_LOCK:
                found[relative] = _identity(file, settle)
        if settle:
            durable.sync(Path(path))
    return dict(sorted(found.items()))


def _identity(file: Path, settle: bool) -> str:
    mode = file.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {os.readlink(file)}"
    if not stat.S_ISREG(mode):
        return f"no file: {stat.filemode(mode)[0]}"
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if settle:
            os.fsync(stream.fileno())
    return digest


def _fail(error: OSError) -> None:
    raise error
