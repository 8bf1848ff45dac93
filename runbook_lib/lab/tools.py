"""The programs that the lab runs: what they are for, which are here, and how to get the others.

``python -m runbook_lib.lab.tools install`` gets all that is missing, and does nothing where nothing is.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click

from runbook_lib.lab import apt, consul_release
from runbook_lib.lab.abilities import NEED_LINUX, SYSTEM_PATH, Ability, abilities
from runbook_lib.lab.errors import LabError

__all__ = ["Ability", "Tool", "abilities", "find", "install", "missing", "path", "report", "require"]

WHEELS = "make setup, or: pip install 'multi-cloud-runbook[lab]'"


@dataclass(frozen=True, slots=True)
class Tool:
    """One program of the lab.

    Args:
        name: the command's name, or the Python package's.
        needed_for: what the lab does with it.
        path: where it is, None if it is missing.
        version: what it says of itself; only ``report`` asks, None where it says nothing.
        how_to_get: the command that installs it.
        package: the Debian package it is in; empty if it does not come from one.
        version_argument: what makes it tell its version; empty if nothing does.
        essential: whether the lab refuses to start without it.
    """

    name: str
    needed_for: str
    path: Path | None
    version: str | None
    how_to_get: str
    package: str = ""
    version_argument: str = ""
    essential: bool = True


# Command, what for, Debian package, the argument that makes it tell its version.
# apache2-bin and dnsmasq-base are the programs without the service that the packages apache2 and dnsmasq would start
# on this machine; the lab brings configurations of its own.
_COMMANDS = (
    ("ip", "addresses, routes and network namespaces", "iproute2", "-V"),
    ("nft", "firewalls, NAT and public addresses", "nftables", "--version"),
    ("unshare", "the world and its namespaces", "util-linux", "--version"),
    ("nsenter", "commands in the world", "util-linux", "--version"),
    ("bwrap", "the inside of an instance", "bubblewrap", "--version"),
    ("dnsmasq", "names in instances, *.consul among them", "dnsmasq-base", "--version"),
    ("apache2", "the web servers", "apache2-bin", "-v"),
    ("sshd", "the way into instances", "openssh-server", "-V"),
    ("ssh", "an operator's own tunnels", "openssh-client", "-V"),
    ("ssh-keygen", "host keys of instances", "openssh-client", ""),
    ("curl", "metadata and downloads in boot scripts", "curl", "--version"),
    ("unzip", "release archives in boot scripts", "unzip", "-v"),
    ("busybox", "syslog in instances", "busybox", ""),
    ("nc", "ports asked from inside instances", "netcat-openbsd", "-h"),
    ("python3", "systemctl in instances", "python3", "--version"),
)
# Without these a plain link stands in for the VPN's tunnels. charon and its plugins are not on any path: they are in
# strongSwan's own folder beside the system's. Of strongswan-swanctl it is the plugin that is needed.
_VPN_PROGRAMS = (
    ("charon", "the VPN's tunnels (strongSwan)", "strongswan-charon", "--version"),
    ("bird", "the VPN's routes (BGP)", "bird2", "--version"),
)
_VPN_PLUGINS = (
    ("libstrongswan-kernel-libipsec.so", "the VPN's tunnels: ESP without the kernel", "libcharon-extra-plugins"),
    ("libstrongswan-vici.so", "the VPN's tunnels: charon's control socket", "strongswan-swanctl"),
    ("libstrongswan-openssl.so", "the VPN's tunnels: ciphers", "libstrongswan-standard-plugins"),
)
_USER_COMMANDS = (("newuidmap", "service users in an ordinary user's instances", "uidmap", ""),)


def find(system_path: str = SYSTEM_PATH) -> tuple[Tool, ...]:
    """Every tool, found or not; runs none of them.

    Args:
        system_path: where the distribution's commands are searched. Not the environment's PATH: instances see the
            system's /usr, and neither a virtual nor a conda environment.

    Raises:
        LabError: RUNBOOK_CONSUL names something that cannot be executed.
    """
    commands = _COMMANDS if os.geteuid() == 0 else _COMMANDS + _USER_COMMANDS
    tools = []
    for name, needed_for, package, argument in commands:
        where = shutil.which(name, path=system_path)
        hint = apt.install_hint([package])
        tools.append(Tool(name, needed_for, Path(where) if where else None, None, hint, package, argument))
    folders = _strongswan(system_path)
    for name, needed_for, package, argument in _VPN_PROGRAMS:
        where = shutil.which(name, path=os.pathsep.join([system_path, *map(str, folders)]))
        hint = apt.install_hint([package])
        program = Path(where) if where else None
        tools.append(Tool(name, needed_for, program, None, hint, package, argument, essential=False))
    for name, needed_for, package in _VPN_PLUGINS:
        plugin = next((f for folder in folders if (f := folder / "plugins" / name).exists()), None)
        tools.append(Tool(name, needed_for, plugin, None, apt.install_hint([package]), package, essential=False))
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    where = shutil.which("traefik", path=places)
    traefik = Path(where) if where else None
    consul, systemctl, moto = consul_release.locate(), _in_package("systemctl2", "systemctl3.py"), _in_package("moto")
    return (
        *tools,
        Tool("consul", "servers and agents", consul, None, consul_release.REMEDY, version_argument="version"),
        Tool("traefik", "the reverse proxies", traefik, None, WHEELS, version_argument="version"),
        Tool("systemctl", "services in instances, without systemd", systemctl, None, WHEELS),
        Tool("moto", "the AWS API", moto, None, WHEELS),
    )


def report() -> list[Tool]:
    """Every tool with its version, for a table. Takes about a quarter of a second."""
    with ThreadPoolExecutor(max_workers=4) as workers:
        return list(workers.map(lambda tool: replace(tool, version=_version(tool)), find()))


def missing(tools: Iterable[Tool] | None = None) -> tuple[Tool, ...]:
    """The tools that are not here and that the lab cannot do without."""
    return tuple(tool for tool in (find() if tools is None else tools) if tool.path is None and tool.essential)


def dispensable() -> tuple[Tool, ...]:
    """The tools that are not here and that the lab does without."""
    return tuple(tool for tool in find() if tool.path is None and not tool.essential)


def path(name: str) -> Path:
    """Where one tool is.

    Raises:
        LabError: it is missing.
        KeyError: the lab has no such tool.
    """
    tool = next((tool for tool in find() if tool.name == name), None)
    if tool is None:
        raise KeyError(name)
    if tool.path is None:
        raise LabError(f"{name} is missing ({tool.needed_for})", remedy=tool.how_to_get)
    return tool.path


def version_of(name: str) -> str | None:
    """What one tool says of itself.

    Raises:
        KeyError: the lab has no such tool.
    """
    return _version({tool.name: tool for tool in find()}[name])


def require() -> tuple[str, ...]:
    """Refuse to go on unless this machine can run the lab.

    Returns:
        the names of tools and abilities that are missing and that the lab does without.

    Raises:
        LabError: all that is missing, in one message.
    """
    if platform.system() != "Linux":
        raise LabError(f"the lab needs Linux, and this is {platform.system()}", remedy=NEED_LINUX)
    if lacking := missing():
        raise LabError("the lab cannot start\n" + explain(lacking), remedy=remedy(lacking))
    unable = [ability for ability in abilities() if not ability.ok]
    if grave := [ability for ability in unable if ability.essential]:
        lines = [f"  {ability.name} ({ability.needed_for}): {ability.detail}" for ability in grave]
        # The first failure explains the others.
        raise LabError("this machine's kernel cannot run the lab\n" + "\n".join(lines), remedy=grave[0].how_to_get)
    return (*(tool.name for tool in dispensable()), *(ability.name for ability in unable))


def explain(lacking: Iterable[Tool]) -> str:
    """One line a missing tool."""
    return "\n".join(f"  {tool.name} is missing ({tool.needed_for})" for tool in lacking)


def remedy(lacking: Iterable[Tool]) -> str:
    """The commands that get all these tools: one for apt, and one for each other source."""
    tools = list(lacking)
    packages = debian_packages(tools)
    others = dict.fromkeys(tool.how_to_get for tool in tools if not tool.package)
    return "; ".join([*([apt.install_hint(packages)] if packages else []), *others])


def debian_packages(tools: Iterable[Tool]) -> list[str]:
    """The Debian packages that tools are in, each once."""
    return list(dict.fromkeys(tool.package for tool in tools if tool.package))


def install() -> None:
    """Get what is missing, and only that: distribution packages through apt, Consul into the cache.

    Raises:
        LabError: something could not be had; says what and the command that mends it.
    """
    if platform.system() != "Linux":
        click.echo(f"The lab needs Linux, and this is {platform.system()}: {NEED_LINUX}")
        return
    if packages := debian_packages(missing()):
        click.echo(f"Installing system packages: {' '.join(packages)}")
        apt.install(packages)
    if not consul_release.locate():
        click.echo(f"Fetching Consul {consul_release.VERSION}")
    consul = consul_release.ensure()
    if lacking := missing():
        raise LabError("the lab's tools are not complete\n" + explain(lacking), remedy=remedy(lacking))
    click.echo(f"The lab's tools are here; Consul is {consul}")
    _install_dispensable()
    for ability in abilities():
        if not ability.ok:
            click.echo(f"This machine lacks {ability.name} ({ability.needed_for}): {ability.how_to_get}", err=True)


def _install_dispensable() -> None:
    """Get what the lab can do without; where that fails, say so and go on."""
    if packages := debian_packages(dispensable()):
        click.echo(f"Installing system packages for the VPN: {' '.join(packages)}")
        try:
            apt.install(packages)
        except LabError as error:
            click.echo(f"{error}\nThe lab runs without; a plain link stands in for the VPN's tunnels", err=True)


def _strongswan(system_path: str) -> list[Path]:
    """Where strongSwan keeps its daemon and plugins: Debian in lib/ipsec, Fedora and others in libexec/ipsec."""
    roots = dict.fromkeys(Path(folder).parent for folder in system_path.split(os.pathsep))
    return [root / place / "ipsec" for root in roots for place in ("lib", "libexec")]


def _in_package(package: str, file: str = "__init__.py") -> Path | None:
    """A file of an installed Python package, found without importing it."""
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    return next((found for place in places if (found := Path(place) / file).exists()), None)


def _version(tool: Tool) -> str | None:
    if tool.path is None:
        return None
    if tool.path.suffix == ".py":
        return importlib.metadata.version({"systemctl": "docker-systemctl-replacement"}.get(tool.name, tool.name))
    if not tool.version_argument:
        return None
    command = [str(tool.path), tool.version_argument]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in(done.stdout + done.stderr)


def version_in(text: str) -> str | None:
    """The first version number in what a program prints, for example ``9.2p1`` of ``OpenSSH_9.2p1, OpenSSL 3``."""
    found = re.search(r"\d+\.\d+[\w.-]*", text)
    return found[0] if found else None


@click.group()
def main() -> None:
    """The programs that the lab runs."""


@main.command("install")
def _install() -> None:
    """Get what is missing."""
    try:
        install()
    except LabError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m runbook_lib.lab.tools")
