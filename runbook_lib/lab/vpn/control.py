"""The VPN of a lab seen from the machine: what carries it, how it is, and cutting it on purpose."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..abilities import SYSTEM_PATH
from ..errors import LabError
from . import cut

if TYPE_CHECKING:
    from ..host import Lab

REPORT = "vpn.json"


def describe(lacking: Sequence[str]) -> str:
    """What carries packets between the clouds of a lab, in a few words.

    Args:
        lacking: names of tools and abilities that are missing on the machine.
    """
    if lacking:
        return f"plain link, nothing is encrypted (missing here: {', '.join(lacking)})"
    return "IKEv2/IPsec tunnels (strongSwan) with BGP (BIRD)"


def tunnels(lab: Lab) -> list[dict[str, Any]]:
    """Each tunnel of a lab: number, public addresses of both ends, how each end is, and whether it was cut here."""
    file = Path(lab.home) / REPORT
    found = json.loads(file.read_text()) if file.exists() else []
    severed = cut.listed(_run(lab, cut.LIST))
    return [{**tunnel, "cut": (tunnel["aws"], tunnel["gcp"]) in severed} for tunnel in found]


def change(lab: Lab, *, down: bool, tunnel: int | None = None) -> list[int]:
    """Cut or heal tunnels, and return the numbers of those it was done to.

    Args:
        lab: the lab.
        down: cut rather than heal.
        tunnel: the number of one, from 1; all of them without.

    Raises:
        LabError: there is no such tunnel.
    """
    known = {row["tunnel"]: (row["aws"], row["gcp"]) for row in tunnels(lab)}
    if not known or (tunnel is not None and tunnel not in known):
        numbers = ", ".join(map(str, known)) or "none"
        raise LabError(
            f"no VPN tunnel{f' {tunnel}' if tunnel is not None else ''} in the lab {lab.name}; there are: {numbers}",
            remedy="name one of them" if known else "make them first: runbook run 00",
        )
    wanted = [tunnel] if tunnel is not None else list(known)
    _run(lab, ("nft", "-f", "-"), cut.change([known[number] for number in wanted], down=down))
    return wanted


def counters(lab: Lab) -> dict[str, dict[str, int]]:
    """Packets between the clouds' networks, by cloud: ``sent`` into tunnels, ``received`` out of them."""
    gateways = {cloud: name for row in tunnels(lab) for cloud, name in row["gateways"].items()}
    listing = ("nft", "-j", "list", "counters", "table", "ip", "vpn")
    return {
        cloud: _packets(_run(lab, ("nsenter", f"--net=/run/netns/{name}", "--", *listing)))
        for cloud, name in sorted(gateways.items())
    }


def _packets(listing: str) -> dict[str, int]:
    entries: list[Mapping[str, Any]] = json.loads(listing)["nftables"]
    return {entry["counter"]["name"]: entry["counter"]["packets"] for entry in entries if "counter" in entry}


def _run(lab: Lab, command: Sequence[str], stdin: str = "") -> str:
    """A command in the lab's world."""
    # An ordinary user's PATH often lacks the folder that nft is in.
    places = os.pathsep.join([SYSTEM_PATH, os.environ.get("PATH", "")])
    done = subprocess.run(
        [*lab.inside(), *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": places},
    )
    if done.returncode:
        raise LabError(
            f"the lab {lab.name} could not be asked about its VPN: {done.stderr.strip()}",
            remedy=f"is it up? runbook lab status --name {lab.name}",
        )
    return done.stdout
