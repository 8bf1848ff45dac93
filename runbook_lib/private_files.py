"""Files that only their owner can read: made once, never replaced, refused when they are open to others."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from .errors import PrerequisiteError


def folder(path: Path) -> None:
    """Make a folder for its owner alone, unless it is there."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)


def create(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, unless there is one: of two writers the first wins.

    Raises:
        OSError: the folder cannot be written.
    """
    folder(path.parent)
    # mkstemp gives mode 0600; linking it into place never replaces what another process made meanwhile.
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def read(path: Path, what: str) -> str:
    """The content of a file that nobody else can read.

    Args:
        path: the file.
        what: what it is, for the error message.

    Raises:
        PrerequisiteError: it is open to other accounts.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise PrerequisiteError(
            f"{what} is open to other accounts",
            resource=str(path),
            expected="mode 600",
            seen=f"mode {mode:o}",
            remedy=f"chmod 600 {path}",
        )
    return path.read_text(encoding="ascii")
