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


@pytest.mark.parametrize(
    ("packages", "refused", "started"),
    [
        (["nftables", "openssh-server"], ["ssh"], ["bird", "ipsec", "cron"]),
        (["strongswan-charon", "bird2"], ["bird", "ipsec", "strongswan-starter.service"], ["ssh", "cron"]),
    ],
)
def test_no_daemon_is_started(packages: list[str], refused: list[str], started: list[str], tmp_path: Path) -> None:
    # apt itself is replaced: what is tried is the policy that it would be given, by asking that very policy.
    policy, asked = tmp_path / "policy-rc.d", tmp_path / "asked"
    services = " ".join([*refused, *started])
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(
        f"#!/bin/sh\nfor service in {services}; do {policy} $service start || echo $service; done >{asked}\n"
    )
    apt_get.chmod(0o755)
    script = apt.INSTALL.replace("/usr/sbin/policy-rc.d", str(policy)).replace("/etc/init.d", str(tmp_path))
    script = script.replace("/run/systemd/system", str(tmp_path / "none"))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", script, "sh", *packages], check=True, env=environment)
    assert asked.read_text().split() == refused
    assert not policy.exists()


def test_failures_say_what_the_command_said_last(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="sh failed: second"):
        apt._run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"], tmp_path)
