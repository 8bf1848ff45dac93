"""A file has its old content or the new one; what a killed writer left is taken over."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook_lib.archive import durable


def test_a_file_is_replaced_whole_and_a_draft_that_was_left_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "file"
    durable.draft_of(file).write_bytes(b"a much longer draft that was left")
    durable.replace(file, b"one")
    assert file.read_bytes() == b"one"
    durable.replace(file, b"two")
    assert file.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_replaced_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(OSError):
        durable.replace(tmp_path / "folder", b"x")
    assert (tmp_path / "folder" / "kept").exists()


def test_appending_makes_a_file_and_adds_to_it(tmp_path: Path) -> None:
    durable.append(tmp_path / "file", b"one ")
    durable.append(tmp_path / "file", b"x" * 1_000_000)
    assert (tmp_path / "file").read_bytes() == b"one " + b"x" * 1_000_000


def test_what_is_not_there_cannot_be_waited_for(tmp_path: Path) -> None:
    durable.sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        durable.sync(tmp_path / "none")
