"""Debian packages: installed through apt, or one taken apart without being installed.

Nothing here changes apt's own configuration. A package of another release than the system's is fetched through
lists of its own, in a directory that goes away, from the mirror that the system is configured with and signed by
a key that Debian's keyring holds.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runbook_lib.lab.errors import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# One sh script, so that sudo asks once; "$@" are the packages.
#
# openssh-server, bird2 and strongswan-starter (which strongswan-charon needs) start daemons for the whole machine and
# do so again at every boot. Nobody asked for that: the lab runs its own, in namespaces. policy-rc.d is Debian's way to
# refuse the start; this one names these services alone, goes away with the script, and is not written where the
# machine has its own.
INSTALL = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
services=
case " $* " in *" openssh-server "*) services="$services ssh" ;; esac
case " $* " in *" strongswan-charon "*) services="$services ipsec strongswan-starter" ;; esac
case " $* " in *" bird2 "*) services="$services bird" ;; esac
if [ -n "$services" ] && [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\ncase "%s " in *" ${1%%%%.*} "*) exit 101 ;; esac\n' "$services" > "$policy"
    chmod 755 "$policy"
fi
apt-get -q -o DPkg::Lock::Timeout=120 update
apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
for service in $services; do
    if [ -e "/etc/init.d/$service" ]; then update-rc.d "$service" disable || true; fi
    if [ -d /run/systemd/system ]; then
        for unit in "$service.service" "$service.socket"; do
            if systemctl --quiet is-enabled "$unit" 2>/dev/null; then systemctl --quiet disable "$unit" || true; fi
        done
    fi
done
"""


def install_hint(packages: Sequence[str]) -> str:
    """The command a reader types to install packages."""
    return f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def install_command(packages: Sequence[str], *, root: bool, sudo: str | None) -> list[str] | None:
    """The command that installs packages, or None if this user cannot.

    Args:
        packages: Debian package names.
        root: whether this process is root's.
        sudo: path of sudo, if there is one.
    """
    command = ["sh", "-c", INSTALL, "sh", *packages]
    if root:
        return command
    return [sudo, *command] if sudo else None


def install(packages: Sequence[str]) -> None:
    """Install packages as root or through sudo; apt's output is shown.

    Raises:
        LabError: no apt here, neither root nor sudo, or apt failed. The message names all packages.
    """
    names = ", ".join(packages)
    if not shutil.which("apt-get"):
        raise LabError(f"not installed: {names} (Debian's names)", remedy="install them with this system's own tools")
    command = install_command(packages, root=os.geteuid() == 0, sudo=shutil.which("sudo"))
    if command is None:
        raise LabError(
            f"not installed: {names}; this user is neither root nor has sudo",
            remedy=f"ask an administrator to run: {install_hint(packages)}",
        )
    if subprocess.run(command, check=False).returncode:
        raise LabError(f"apt could not install {names}; its messages are above", remedy=install_hint(packages))


def mirrors(targets: str, codename: str) -> tuple[str, ...]:
    """Where the system's own release comes from, out of ``RELEASE|COMPONENT|REPO_URI`` lines, each once.

    Updates and security are separate repositories that hold no complete release; other people's repositories
    seldom call a component main.
    """
    rows = (line.split("|") for line in targets.splitlines() if line.count("|") == 2)
    return tuple(dict.fromkeys(uri for release, component, uri in rows if (release, component) == (codename, "main")))


def download(package: str, release: str, into: Path) -> Path:
    """Fetch and unpack one package of a Debian release without installing it.

    Args:
        package: its name.
        release: Debian's code name of the release, for example ``bullseye``.
        into: an empty directory for apt's lists, the package and its content.

    Returns:
        The directory with the package's files.

    Raises:
        LabError: not a Debian system, or no configured mirror has it.
    """
    system = _os_release()
    if system.get("ID") != "debian" or not KEYRING.exists() or not shutil.which("apt-get"):
        raise LabError(f"{system.get('NAME', platform.system())} has no mirror of Debian {release}")
    targets = _run(["apt-get", "indextargets", "--format", "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"], into)
    found = mirrors(targets, system.get("VERSION_CODENAME", ""))
    if not found:
        raise LabError(f"apt is configured with no mirror of Debian {system.get('VERSION_CODENAME')}")
    for number, uri in enumerate(found):
        here = into / str(number)
        configuration = _private_apt(here, f"deb [target=Packages signed-by={KEYRING}] {uri} {release} main")
        try:
            _run(["apt-get", "-c", str(configuration), "-q", "update"], here)
            _run(["apt-get", "-c", str(configuration), "-q", "download", package], here)
            _run(["dpkg-deb", "-x", str(next(here.glob("*.deb"))), "content"], here)
            return here / "content"
        except LabError as error:
            last = error
    raise last


def _private_apt(here: Path, source: str) -> Path:
    """An apt configuration on top of the system's (whose proxies and certificates go on counting)."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (here / directory).mkdir(parents=True)
    (here / "sources.list").write_text(source + "\n", encoding="utf-8")
    configuration = here / "apt.conf"
    configuration.write_text(
        f"""Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{here}/lists";
Dir::Cache "{here}/cache";
Acquire::Languages "none";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::Retries "2";
// apt's own user may not enter a private cache; what arrives is checked against signatures in any case.
APT::Sandbox::User "root";
// The system's hooks are about the system's lists.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
""",
        encoding="utf-8",
    )
    return configuration


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command, cwd=directory, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True, check=False
    )
    # apt-get update calls a missing release a warning in some versions and exits with 0; download then says so.
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise LabError(f"{' '.join(command[:1])} failed: {lines[-1]}")
    return done.stdout


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
