from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook_lib.lab import tools
from runbook_lib.lab.errors import LabError


def tool(name: str, package: str = "", how: str = "by hand", path: Path | None = None) -> tools.Tool:
    return tools.Tool(name, "a test", path, None, how, package)


def test_only_what_is_on_the_path_is_found(tmp_path: Path) -> None:
    (tmp_path / "nft").write_text("#!/bin/sh\n")
    (tmp_path / "nft").chmod(0o755)
    (tmp_path / "bwrap").write_text("not executable")
    found = {each.name: each.path for each in tools.find(system_path=str(tmp_path)) if each.package}
    assert found.pop("nft") == tmp_path / "nft"
    assert set(found.values()) == {None}


def test_every_tool_says_what_for_and_how_to_get_it() -> None:
    assert [each.name for each in tools.find() if not each.needed_for or not each.how_to_get] == []


def test_an_ordinary_user_needs_id_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for user in (0, 1000):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        names[user] = {each.name for each in tools.find()}
    assert names[1000] - names[0] == {"newuidmap"}


def test_one_apt_command_for_all_packages() -> None:
    lacking = [tool("ssh", "openssh-client"), tool("ssh-keygen", "openssh-client"), tool("nft", "nftables")]
    assert tools.debian_packages(lacking) == ["openssh-client", "nftables"]
    assert tools.remedy(lacking).endswith("install -y --no-install-recommends openssh-client nftables")


def test_other_sources_have_a_command_each() -> None:
    lacking = [tool("traefik", how="make setup"), tool("moto", how="make setup"), tool("consul", how="fetch it")]
    assert tools.remedy(lacking) == "make setup; fetch it"


def test_missing_are_those_without_a_path() -> None:
    here, gone = tool("here", path=Path("/bin/sh")), tool("gone")
    assert tools.missing([here, gone]) == (gone,)


def test_what_only_the_vpn_needs_is_dispensable(monkeypatch: pytest.MonkeyPatch) -> None:
    optional = {each.name for each in tools.find() if not each.essential}
    assert {"charon", "bird", "libstrongswan-vici.so"} <= optional
    gone = tools.Tool("charon", "a test", None, None, "by hand", "strongswan-charon", essential=False)
    assert tools.missing([gone]) == ()
    monkeypatch.setattr(tools, "find", lambda: (gone, tool("here", path=Path("/bin/sh"))))
    assert tools.dispensable() == (gone,)


def test_strongswans_daemon_is_found_beside_the_systems_folders(tmp_path: Path) -> None:
    charon = tmp_path / "lib/ipsec/charon"
    plugin = tmp_path / "lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"
    plugin.parent.mkdir(parents=True)
    charon.write_text("#!/bin/sh\n")
    charon.chmod(0o755)
    plugin.touch()
    found = {each.name: each.path for each in tools.find(system_path=str(tmp_path / "sbin"))}
    assert (found["charon"], found[plugin.name], found["bird"]) == (charon, plugin, None)


def test_a_lab_without_a_vpn_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    bird = tools.Tool("bird", "a test", None, None, "by hand", "bird2", essential=False)
    monkeypatch.setattr(tools, "find", lambda: (bird,))
    tun = tools.Ability("TUN devices", "tunnels", False, "", "modprobe tun", essential=False)
    monkeypatch.setattr(tools, "abilities", lambda: [tun])
    assert tools.require() == ("bird", "TUN devices")


def test_what_is_missing_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(tools, "missing", lambda: (tool("nft", "nftables"), tool("bwrap", "bubblewrap")))
    with pytest.raises(LabError) as caught:
        tools.require()
    assert "nft is missing (a test)" in str(caught.value)
    assert "nftables bubblewrap" in caught.value.remedy


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_the_lab_needs_linux(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    with pytest.raises(LabError, match=system) as caught:
        tools.require()
    assert "WSL 2" in caught.value.remedy
    # Set-up goes on: everything for the real clouds works there.
    done = CliRunner().invoke(tools.main, ["install"])
    assert done.exit_code == 0
    assert "needs Linux" in done.output


def test_a_path_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consul = tmp_path / "consul"
    consul.write_text("#!/bin/sh\n")
    consul.chmod(0o755)
    monkeypatch.setenv("RUNBOOK_CONSUL", str(consul))
    assert tools.path("consul") == consul
    with pytest.raises(KeyError):
        tools.path("no such tool")


def test_errors_of_the_command_line_have_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setenv("RUNBOOK_CONSUL", str(tmp_path / "none"))
    done = CliRunner().invoke(tools.main, ["install"])
    assert done.exit_code == 1
    assert "RUNBOOK_CONSUL" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1.0"),
        ("nftables v1.0.6 (Lester Gooch #5)", "1.0.6"),
        ("unknown option -- V\nOpenSSH_9.2p1 Debian-2, OpenSSL 3.0.17", "9.2p1"),
        ("Server version: Apache/2.4.71 (Debian)", "2.4.71"),
        ("OpenBSD netcat (Debian patchlevel 1.219-1)", "1.219-1"),
        ("usage: newuidmap <pid>", None),
        ("", None),
    ],
)
def test_version_in(text: str, expected: str | None) -> None:
    assert tools.version_in(text) == expected


@pytest.mark.lab
def test_versions_are_reported() -> None:
    versions = {each.name: each.version for each in tools.report()}
    assert versions["consul"] == "1.8.7" or os.environ.get("RUNBOOK_CONSUL")
    assert versions["traefik"]
    assert versions["systemctl"]
