"""Where a record comes from, asked of a real repository and of this interpreter."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_lib.archive import origin


def git(folder: Path, *words: str) -> str:
    config = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *config, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "kept").write_text("1\n")
    git(tmp_path, "add", "kept")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_the_commit_is_named_and_what_differs_from_it(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert origin.code(repository) == {"commit": head, "clean": True}
    (repository / "kept").write_text("2\n")
    (repository / "naïve file").write_text("")
    assert origin.code(repository)["changed"] == ["kept", '"naïve file"']
    assert origin.code(repository)["clean"] is False


def test_no_commit_is_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in str(origin.code(tmp_path)["unknown"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.code(tmp_path) == {"unknown": "git is not installed here"}


def test_every_package_is_there_with_its_version() -> None:
    found = origin.versions()
    assert found["python"] == platform.python_version()
    assert {"papermill", "boto3", "multi-cloud-runbook", "pytest"} <= set(found)


def test_who_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/runbook", "run", "a b"])
    monkeypatch.delenv("SUDO_USER", raising=False)
    found = origin.identity()
    assert found["command"] == "runbook run 'a b'"
    assert (found["pid"], found["host"]) == (os.getpid(), platform.node())
    assert "login" not in found
    monkeypatch.setenv("SUDO_USER", "ada")
    assert origin.identity()["login"] == "ada"


def test_another_process_namespace_is_another_machine() -> None:
    here = origin.machine()
    assert all(here.values())
    assert origin.machine() == here
