"""The image that instances boot: this machine's /usr, read-only, and an /etc, /var and /usr/local of its own.

It is a prepared image: Consul, Traefik, dnsmasq and Apache are on it already, as they would be on an image
that an operator baked; boot scripts find them and have nothing to install. A bare one lacks Consul and Traefik.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

SOURCE = Path(__file__).parent / "rootfs"
# What is taken from this machine's /etc: tables and links that its /usr relies on, nothing personal.
_FROM_HOST = (
    "alternatives",
    "debian_version",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "login.defs",
    "mime.types",
    "protocols",
    "services",
    "ssl/openssl.cnf",
    "ssh/moduli",
)
# What an instance may write in all; memory is used for what it does write. One of the walk writes 2 MiB, mostly /etc.
DISK_MIB = 256
# A bare image's instances install Consul and Traefik there, 260 MB.
BARE_DISK_MIB = 640
# Where programs of this machine stand in an instance; links in /usr/local/bin lead to them, as what is installed there
# later takes a link's place and could not take theirs.
_TOOLS = "/usr/local/lib/lab"
_CERTIFICATES = "ssl/certs/ca-certificates.crt"
# bubblewrap would make the last one for root alone, and services run as others.
_USR_LOCAL = ("bin", "sbin", "lib", "share", "lib/lab")


def build(target: Path, authority: str) -> None:
    """Lay out the image's writable part once; instances get a copy each.

    Args:
        target: an empty folder to fill with ``etc``, ``var``, ``root``, ``usr-local`` and more.
        authority: the lab's certificate authority, PEM; instances trust it besides this machine's.
    """
    etc = target / "etc"
    for folder in ("etc/ssl/certs", "etc/ssh", "etc/systemd/system", "etc/sysctl.d", "etc/default", "var/log"):
        (target / folder).mkdir(parents=True)
    for folder in ("lib/lab", "lib/misc", "lib/systemd", "tmp", "www"):
        (target / "var" / folder).mkdir(parents=True)
    for folder in ("root", "home", "opt", "srv"):
        (target / folder).mkdir(parents=True)
    for folder in _USR_LOCAL:
        (target / "usr-local" / folder).mkdir(parents=True)
    for name in _FROM_HOST:
        _copy(Path("/etc") / name, etc / name)
    for name in ("passwd", "group", "nsswitch.conf"):
        shutil.copy(SOURCE / name, etc / name)
    (etc / "shadow").write_text("".join(f"{line.split(':')[0]}:*:19000::::::\n" for line in _accounts()))
    (etc / "shadow").chmod(0o640)
    (etc / "gshadow").touch(mode=0o640)
    (etc / "os-release").symlink_to("../usr/lib/os-release")
    (etc / "mtab").symlink_to("/proc/self/mounts")
    (etc / "profile").write_text("PS1='\\u@\\h:\\w# '\n")
    shutil.copy(SOURCE / "sshd_config", etc / "ssh/sshd_config")
    host = Path("/etc") / _CERTIFICATES
    known = host.read_text() if host.exists() else ""
    (etc / _CERTIFICATES).write_text(f"{known.rstrip()}\n{authority}")
    for name in ("root", "home", "opt", "srv"):
        (target / name).chmod(0o755)
    (target / "root").chmod(0o700)
    (target / "var/tmp").chmod(0o1777)
    (target / "var/run").symlink_to("/run")
    (target / "var/lock").symlink_to("/run/lock")
    for name in ("init", "systemctl"):
        placed = target / "usr-local/sbin" / name
        shutil.copy(SOURCE / name, placed)
        placed.chmod(0o755)


def instantiate(image: Path, disk: Path, tools: Iterable[str]) -> None:
    """Give an instance a disk of its own: a copy of the image's writable part, in a file system of its own size.

    A full one is full for this instance alone, as the clouds' disks are.

    Args:
        image: what ``build`` laid out.
        disk: the instance's own folder, to be made.
        tools: programs of this machine that the image brings; none for a bare one.
    """
    names = list(tools)
    disk.mkdir()
    size = f"size={DISK_MIB if names else BARE_DISK_MIB}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, disk.name, str(disk)], check=True)
    subprocess.run(["cp", "-a", "--", f"{image}/.", str(disk)], check=True)
    for name in names:
        (disk / "usr-local/bin" / name).symlink_to(f"{_TOOLS}/{name}")


def remove(disk: Path) -> None:
    """Take an instance's disk away; one that was never made is no error."""
    if disk.exists():
        # Lazily: a command that somebody left running inside may still hold it.
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
        shutil.rmtree(disk, ignore_errors=True)


def binds(disk: Path, tools: Mapping[str, str], python_path: str, absent: Iterable[str] = ()) -> list[str]:
    """bubblewrap's arguments that make an instance's file tree.

    Args:
        disk: the instance's own folder.
        tools: name -> path of programs that this machine may keep outside /usr.
        python_path: folder that holds the package ``systemctl2``.
        absent: paths in this machine's /usr that the image does not have.
    """
    tree = ["--ro-bind", "/usr", "/usr"]
    # The units of whatever else is installed on this machine are not the image's.
    tree += ["--tmpfs", "/usr/lib/systemd/system"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", name).is_symlink():
            tree += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ("etc", "var", "root", "home", "opt", "srv"):
        tree += ["--bind", str(disk / name), f"/{name}"]
    tree += ["--bind", str(disk / "usr-local"), "/usr/local"]
    for name, path in tools.items():
        tree += ["--ro-bind", path, f"{_TOOLS}/{name}"]
    for hidden in absent:
        # A file that nobody can execute is no command.
        tree += ["--ro-bind", "/dev/null", hidden]
    tree += ["--ro-bind", f"{python_path}/systemctl2", "/usr/local/lib/systemctl2"]
    tree += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", "--dir", "/mnt"]
    return tree


def installed(names: Iterable[str]) -> tuple[str, ...]:
    """The paths at which this machine's own /usr has programs, so that a bare image can be without them."""
    places = [Path("/usr", folder, name) for name in names for folder in ("bin", "sbin")]
    return tuple(str(place) for place in places if place.exists())


def _accounts() -> list[str]:
    return (SOURCE / "passwd").read_text().splitlines()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
