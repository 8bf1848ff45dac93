"""What the lab asks of the kernel, found out by doing it in namespaces that vanish with the probe."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEED_LINUX = "use Linux: a virtual machine, or WSL 2 on Windows; everything for the real clouds works here too"

_CONTAINER = "if this is a container, it needs more privileges (docker run --privileged)"


@dataclass(frozen=True, slots=True)
class Ability:
    """Something this machine's kernel can or cannot do for this user.

    Args:
        name: what it is.
        needed_for: what the lab does with it.
        ok: whether it was seen to work.
        detail: the last line that the probe printed when it failed.
        how_to_get: what to do about it; empty if ok.
        essential: whether the lab refuses to start without it.
    """

    name: str
    needed_for: str
    ok: bool
    detail: str
    how_to_get: str
    essential: bool = True


@dataclass(frozen=True, slots=True)
class _Probe:
    """A shell script that succeeds inside the namespaces if the kernel can."""

    name: str
    needed_for: str
    script: str
    how_to_get: str
    essential: bool = True


_PROBES = (
    _Probe(
        "virtual networks",
        "the cables and switches between instances",
        "ip link add v0 type veth peer name v1 && ip link add v2 type bridge && ip link set v1 master v2",
        "load the kernel modules: sudo modprobe veth bridge",
    ),
    _Probe(
        "nftables",
        "firewalls, NAT and public addresses",
        "echo 'table ip t { chain n { type nat hook postrouting priority srcnat; ct state new masquerade; }; }'"
        " | nft -f -",
        "load the kernel modules: sudo modprobe nf_tables nft_ct nft_masq nft_chain_nat",
    ),
    _Probe(
        "mounts",
        "an instance's own disk",
        "mount -t tmpfs none /mnt && mount --bind /usr /mnt && mount -o remount,bind,ro /mnt",
        _CONTAINER,
    ),
    _Probe(
        "nested sandboxes",
        "an instance's own process tree and host name",
        "bwrap --ro-bind / / --proc /proc --dev /dev --unshare-pid --unshare-uts --hostname probe true",
        f"allow bubblewrap to make namespaces (AppArmor, SELinux); {_CONTAINER}",
    ),
    _Probe(
        "TUN devices",
        "encrypted tunnels between the clouds; without them a plain link stands in",
        "ip tuntap add dev t mode tun",
        "sudo modprobe tun; an ordinary user also needs: sudo chmod a+rw /dev/net/tun",
        essential=False,
    ),
)


def abilities(path: str = SYSTEM_PATH) -> list[Ability]:
    """Try everything, in about a tenth of a second.

    Args:
        path: where the commands that the probes use are searched.
    """
    linux = platform.system() == "Linux"
    found = [Ability("Linux", "namespaces", linux, platform.system(), "" if linux else NEED_LINUX)]
    if not linux:
        return found
    users: list[str] = []
    if os.geteuid() != 0:
        users = ["--user", "--map-root-user"]
        ok, detail = _try([*users, "true"], path)
        found.append(
            Ability("user namespaces", "a lab without root", ok, detail, "" if ok else user_namespaces(_sysctls()))
        )
        several, detail = _try([*users, "--map-auto", "true"], path)
        hint = "" if several else subordinate_ids(getpass.getuser())
        found.append(Ability("subordinate ids", "service users inside instances", several, detail, hint))
        if several:
            users.append("--map-auto")
    world = [*users, "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    ok, detail = _try([*world, "true"], path)
    found.append(Ability("namespaces", "the lab's world and every instance", ok, detail, "" if ok else _CONTAINER))
    for probe in _PROBES:
        ok, detail = _try([*world, "sh", "-ec", probe.script], path)
        hint = "" if ok else probe.how_to_get
        found.append(Ability(probe.name, probe.needed_for, ok, detail, hint, probe.essential))
    return found


def user_namespaces(sysctls: Mapping[str, str]) -> str:
    """How to have user namespaces allowed, given the kernel's switches (missing ones are not there)."""
    for name, closed, opened in (
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user.max_user_namespaces", "0", "10000"),
    ):
        if sysctls.get(name) == closed:
            return f"sudo sysctl -w {name}={opened}, or run the lab as root"
    return f"run the lab as root; {_CONTAINER}"


def subordinate_ids(user: str) -> str:
    """How a user gets ranges of user and group ids."""
    return f"sudo apt-get install uidmap; sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"


def _sysctls() -> dict[str, str]:
    names = (
        "kernel.unprivileged_userns_clone",
        "kernel.apparmor_restrict_unprivileged_userns",
        "user.max_user_namespaces",
    )
    files = {name: Path("/proc/sys", *name.split(".")) for name in names}
    return {name: file.read_text(encoding="ascii").strip() for name, file in files.items() if file.exists()}


def _try(arguments: list[str], path: str) -> tuple[bool, str]:
    """Run under unshare; whether it succeeded, and what it said last."""
    try:
        done = subprocess.run(
            ["unshare", *arguments],
            env={"PATH": path, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    said = done.stderr.strip().splitlines()
    return done.returncode == 0, said[-1] if done.returncode and said else ""
