"""An entry has one form, and every file of a run's folder its hash."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runbook_lib.archive import lock
from runbook_lib.archive.entry import NOTHING_BEFORE, Entry, digests, sha256

ENTRY = Entry(3, "ab" * 32, "ended", "2026-01-02T03:04:05.000+00:00", "r1", "failed", {"user": "µ"}, {"n": (1, 2.5)})


def test_the_lock_of_a_run_is_no_evidence_and_links_are_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "file").write_text("x")
    (tmp_path / "part" / ".lock").write_text("x")
    (tmp_path / "file link").symlink_to("part/file")
    (tmp_path / "folder link").symlink_to("part")
    with lock.hold(tmp_path):
        found = digests(tmp_path)
    text = sha256(b"x")
    links = {"file link": "link to part/file", "folder link": "link to part"}
    assert found == {**links, "part/.lock": text, "part/file": text}


def test_what_is_no_file_has_no_hash_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert digests(tmp_path, settle=True) == {"pipe": "no file: p"}
    with pytest.raises(FileNotFoundError):
        digests(tmp_path / "none")


def test_an_entry_is_read_as_it_was_written() -> None:
    read = Entry.parse(ENTRY.line())
    assert read.line() == ENTRY.line()
    assert read.says(ENTRY) and read.parameters == {"n": [1, 2.5]}
    assert b"\n" not in replace(ENTRY, note="two\nlines").line()
    assert len(NOTHING_BEFORE) == len(sha256(b""))


@pytest.mark.parametrize("field", ["kind", "run", "outcome", "identity", "parameters", "files"])
def test_entries_that_say_something_else_differ(field: str) -> None:
    other: dict[str, object] = {field: {"x": "y"} if field in ("identity", "parameters", "files") else "begun"}
    assert not ENTRY.says(replace(ENTRY, **other))  # type: ignore[arg-type]
    assert ENTRY.says(replace(ENTRY, number=9, previous="", at="later"))


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line + b" ",
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"at":', b'"more":1,"at":'),
        lambda line: line.replace(b'"at":', b'"at":"x","at":'),
        lambda line: line.replace(b'"note":"",', b""),
        lambda line: line.replace(b"2.5", b"2.50"),
        lambda line: line.replace(b"\\u00b5", "µ".encode()),
        lambda line: b"[]",
        lambda line: b"",
        lambda line: b"[" * 100_000,
    ],
)
def test_another_form_is_no_entry(change: object) -> None:
    assert callable(change)
    changed = change(ENTRY.line())
    assert changed != ENTRY.line()
    with pytest.raises(ValueError):
        Entry.parse(changed)
