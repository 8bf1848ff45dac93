"""Writing files so that neither a process that is killed nor a power cut leaves something half-done unnoticed."""

from __future__ import annotations

import os
from pathlib import Path


def draft_of(file: Path) -> Path:
    """Where the new content of a file is written before it takes the file's name. One writer at a time."""
    return file.with_name(f".{file.name}.new")


def replace(file: Path, content: bytes) -> None:
    """Give a file a new content, on the disk when this returns: whatever happens, it has the old one or the new.

    Raises:
        OSError: it cannot be written; the old content is untouched. A draft may be left; the next call takes it over.
    """
    draft = draft_of(file)
    _write(draft, os.O_CREAT | os.O_TRUNC, content)
    rename(draft, file)


def append(file: Path, content: bytes) -> None:
    """Add to a file, made when missing; it is on the disk when this returns.

    Raises:
        OSError: it cannot be written; a first part of the content may have been added.
    """
    _write(file, os.O_CREAT | os.O_APPEND, content)
    sync(file.parent)


def rename(old: Path, new: Path) -> None:
    """Let a file take the place of another one, on the disk when this returns.

    Raises:
        OSError: it cannot be done; both are as they were.
    """
    os.replace(old, new)
    sync(new.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk.

    Raises:
        OSError: it is not there, or the disk failed.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _write(file: Path, flags: int, content: bytes) -> None:
    number = os.open(file, os.O_WRONLY | flags, 0o666)
    try:
        while content:
            content = content[os.write(number, content) :]
        os.fsync(number)
    finally:
        os.close(number)
