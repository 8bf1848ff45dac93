"""One Consul binary for the lab: found on this machine, or fetched once into the cache.

In this order: the path in ``RUNBOOK_CONSUL``, PATH, the cache, HashiCorp's release, Debian's package. Debian's last
release with Consul is bullseye, with 1.8.7, which therefore is the version that the lab is made for: it can be had
where HashiCorp cannot be reached.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from runbook_lib.lab import apt
from runbook_lib.lab.errors import LabError

VERSION = "1.8.7"
DEBIAN_RELEASE = "bullseye"
RELEASES = "https://releases.hashicorp.com/consul"
VARIABLE = "RUNBOOK_CONSUL"
REMEDY = f"run `make setup`, put a consul binary into PATH, or set {VARIABLE} to the path of one"

_ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}


def cached(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a fetched Consul is kept: ``~/.cache/runbook/tools``, or as XDG_CACHE_HOME says."""
    cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "runbook" / "tools" / f"consul-{VERSION}" / "consul"


def locate(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The Consul to use, if this machine has one.

    Raises:
        LabError: RUNBOOK_CONSUL names something that cannot be executed; silently taking another would be wrong.
    """
    if named := environ.get(VARIABLE):
        if not shutil.which(named):
            raise LabError(f"{VARIABLE} is {named}, which is no executable file", remedy=f"correct or unset {VARIABLE}")
        return Path(named).absolute()
    if found := shutil.which("consul", path=environ.get("PATH", os.defpath)):
        return Path(found).absolute()
    kept = cached(environ)
    return kept if os.access(kept, os.X_OK) else None


BUSY = 40  # how often a file that is being written elsewhere is tried, twenty times a second


def version_of(binary: Path) -> str | None:
    """What a Consul binary says of itself, for example ``1.8.7``; None if it does not run."""
    for _ in range(BUSY):
        try:
            done = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=20, check=False)
            break
        except OSError as error:
            # Another thread started a program while this one still wrote the file, which that one then has open, too.
            if error.errno != errno.ETXTBSY:
                return None
            time.sleep(0.05)
        except subprocess.TimeoutExpired:
            return None
    else:
        return None
    said = re.search(r"^Consul v(\S+)", done.stdout, re.MULTILINE)
    return said[1] if said and done.returncode == 0 else None


def ensure(environ: Mapping[str, str] = os.environ, *, releases: str = RELEASES) -> Path:
    """Find Consul or fetch it.

    Raises:
        LabError: what was found does not run, or nothing could be fetched (each source with its reason).
    """
    found = locate(environ)
    if found is None:
        return fetch(cached(environ), releases=releases)
    if version_of(found) is None:
        raise LabError(f"{found} does not run as Consul", remedy=f"remove or replace it, or set {VARIABLE}")
    return found


def fetch(target: Path, *, releases: str = RELEASES) -> Path:
    """Put Consul at a path; whoever looks there sees a complete binary or none, however many fetch at once.

    Raises:
        LabError: no source has it; says why for each.
    """
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source, get in (
        ("HashiCorp's release", lambda work: from_hashicorp(work, releases)),
        (f"Debian {DEBIAN_RELEASE}'s package", from_debian),
    ):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            try:
                binary = get(Path(work))
                if version_of(binary) != VERSION:
                    raise LabError(f"it does not run as Consul {VERSION}")
            except LabError as error:
                reasons.append(f"{source}: {error.message}")
                continue
            binary.replace(target)
            return target
    raise LabError(f"Consul {VERSION} cannot be fetched\n  " + "\n  ".join(reasons), remedy=REMEDY)


def from_hashicorp(work: Path, releases: str = RELEASES) -> Path:
    """Consul out of the release's archive, which must have the release's own checksum.

    Raises:
        LabError: not reachable, not for this processor, or another checksum.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LabError(f"none for {machine} processors")
    name = f"consul_{VERSION}_linux_{_ARCHITECTURES[machine]}.zip"
    try:
        # Where the site is walled off, the next source should get its turn at once.
        with httpx.Client(timeout=httpx.Timeout(60, connect=3), follow_redirects=True) as http:
            sums = http.get(f"{releases}/{VERSION}/consul_{VERSION}_SHA256SUMS").raise_for_status().text
            archive = http.get(f"{releases}/{VERSION}/{name}").raise_for_status().content
    except httpx.HTTPError as error:
        raise LabError(f"{type(error).__name__}: {error}".splitlines()[0]) from None
    wanted, seen = checksum(sums, name), hashlib.sha256(archive).hexdigest()
    if wanted != seen:
        raise LabError(f"{name} has the checksum {seen}, and SHA256SUMS says {wanted or 'nothing of it'}")
    binary = work / "consul"
    binary.write_bytes(zipfile.ZipFile(io.BytesIO(archive)).read("consul"))
    binary.chmod(0o755)
    return binary


def checksum(sums: str, name: str) -> str | None:
    """The SHA-256 of one file in the text of a SHA256SUMS, or None."""
    return next((line.split()[0] for line in sums.splitlines() if line.split()[1:] == [name]), None)


def from_debian(work: Path) -> Path:
    """Consul out of Debian's package, checked by apt.

    Raises:
        LabError: as ``apt.download``.
    """
    return apt.download("consul", DEBIAN_RELEASE, work) / "usr" / "bin" / "consul"
