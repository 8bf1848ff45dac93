from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runbook_lib.lab import apt
from runbook_lib.lab.errors import LabError

TARGETS = """\
bookworm|main|http://mirror.example/debian/
bookworm|contrib|http://mirror.example/debian/
bookworm-updates|main|http://mirror.example/debian/
bookworm-security|main|http://mirror.example/debian-security/
bookworm|stable|https://somebody.example/linux/debian/
nodistro|main|https://other.example/
bookworm|main|http://second.example/debian/
not a line of three
"""


@pytest.mark.parametrize(
    ("codename", "expected"),
    [
        ("bookworm", ("http://mirror.example/debian/", "http://second.example/debian/")),
        ("bookworm-security", ("http://mirror.example/debian-security/",)),
        ("trixie", ()),
        ("", ()),
    ],
)
def test_mirrors_are_those_of_the_systems_own_release(codename: str, expected: tuple[str, ...]) -> None:
    assert apt.mirrors(TARGETS, codename) == expected


@pytest.mark.parametrize(
    ("root", "sudo", "start"),
    [(True, None, "sh"), (True, "/usr/bin/sudo", "sh"), (False, "/usr/bin/sudo", "/usr/bin/sudo"), (False, None, None)],
)
def test_who_installs(root: bool, sudo: str | None, start: str | None) -> None:
    command = apt.install_command(["a", "b"], root=root, sudo=sudo)
    assert (command[0] if command else None) == start
    assert command is None or command[-2:] == ["a", "b"]


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="nftables, bubblewrap"):
        apt.install(["nftables", "bubblewrap"])


def test_without_apt_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="no mirror of Debian bullseye"):
        apt.download("consul", "bullseye", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_install_script_is_valid_shell() -> None:
    subprocess.run(["sh", "-n", "-c", apt.INSTALL], check=True)


def test_failures_say_what_the_command_said_last(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="sh failed: second"):
        apt._run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"], tmp_path)
