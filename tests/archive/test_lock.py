"""A run's lock tells "going on" from "cut off", whoever asks; the kernel releases it with its holder."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_lib.archive import lock
from runbook_lib.errors import RecordError

HOLDER = "import pathlib, sys, time; from runbook_lib.archive import lock\nwith lock.hold(pathlib.Path(sys.argv[1])):\n"
STAY = HOLDER + "    print('held', flush=True); time.sleep(600)"


def test_a_lock_is_held_within_its_block_and_gone_after_it(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path)
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_has_one_recorder(tmp_path: Path) -> None:
    with lock.hold(tmp_path):
        with pytest.raises(RecordError, match="another process"), lock.hold(tmp_path):
            pass
        assert lock.is_held(tmp_path)
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)


def test_a_holder_that_is_killed_holds_nothing_and_leaves_its_file(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STAY, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock.is_held(tmp_path)
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    assert not lock.is_held(tmp_path)
    assert (tmp_path / ".lock").exists()
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)


def test_a_file_that_the_holder_before_removes_meanwhile_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    calls: list[int] = []

    def flock(number: int, operation: int) -> None:
        if not calls:  # the moment between opening the file and locking it, too short to be hit by chance
            (tmp_path / ".lock").unlink()
        calls.append(operation)
        real(number, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.hold(tmp_path):
        assert lock.is_held(tmp_path)
        assert len(calls) == 3


def test_a_program_that_the_holder_starts_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with lock.hold(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.poll() is None
        with lock.hold(tmp_path):
            pass
    finally:
        child.communicate(b"\n")


def test_asking_writes_nothing_and_needs_no_permission_to(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch(0o444)
    folder.chmod(0o555)
    before = os.stat(folder / ".lock"), os.stat(folder)
    assert not lock.is_held(folder)
    with lock.reading(folder):
        pass
    assert (os.stat(folder / ".lock").st_mtime_ns, os.stat(folder).st_mtime_ns) == tuple(s.st_mtime_ns for s in before)
    assert [file.name for file in folder.iterdir()] == [".lock"]
    folder.chmod(0o755)


def test_a_folder_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path / "gone")
