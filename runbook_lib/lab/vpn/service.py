"""The VPN of a lab: gateways and what carries packets between them, followed by one thread."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from .. import netns
from ..model import Tunnel, TunnelStatus
from ..router import Router
from . import cut
from .carriers import Carrier
from .end import NEXT_HOP
from .gateway import Gateway
from .negotiate import counterpart

log = logging.getLogger("lab.vpn")

# Nobody reports a peer that fell silent, so the daemons are asked; eight unix sockets take a few milliseconds.
_LOOK_SECONDS = 1.0
_UNTRIED = TunnelStatus(False, "")


class Vpn:
    """Keeps gateways and tunnels in line with what the clouds' APIs hold, and tells how they are.

    Args:
        carrier: what carries packets between gateways; only this object's thread uses it.
        wake: set when the carrier has news.
        changed: called from this object's thread when a status changed.
        report: file that tells ``runbook lab vpn`` about the tunnels.
    """

    def __init__(self, carrier: Carrier, wake: threading.Event, changed: Callable[[], None], report: Path) -> None:
        self._carrier = carrier
        self._wake = wake
        self._changed = changed
        self._report = report
        self._wanted: tuple[Sequence[Tunnel], Mapping[str, Router]] = ((), {})
        self._gateways: dict[str, Gateway] = {}
        self._statuses: Mapping[str, TunnelStatus] = {}

    def open(self) -> None:
        """Prepare the lab's internet; called once, in the world's namespace."""
        netns.batch([f"addr add {NEXT_HOP}/32 dev lo"])
        netns.run("nft", "-f", "-", stdin=cut.RULES)
        threading.Thread(target=self._run, name="vpn", daemon=True).start()

    def follow(self, ends: Sequence[Tunnel], routers: Mapping[str, Router]) -> None:
        """Take note of what the APIs hold now; what follows from it is done by this object's thread.

        Args:
            ends: every tunnel end.
            routers: network id -> its router, started.
        """
        wanted = (tuple(ends), dict(routers))
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    def statuses(self, ends: Sequence[Tunnel]) -> dict[str, TunnelStatus]:
        """How each of these ends was when it was looked at last, by its id."""
        known = self._statuses
        return {end.id: known.get(end.id, _UNTRIED) for end in ends}

    # ---- this object's thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            # With no tunnel there is nothing to look at until somebody says so.
            self._wake.wait(_LOOK_SECONDS if self._wanted[0] or self._gateways else None)
            self._wake.clear()
            try:
                self._step()
            except Exception:
                # One bad object or daemon must not end the lab's VPN; the log names it, the next look tries again.
                log.exception("the VPN could not be brought in line")

    def _step(self) -> None:
        ends, routers = self._wanted
        for network in [n for n, gateway in self._gateways.items() if gateway.router is not routers.get(n)]:
            self._gateways.pop(network).stop()
        for network in sorted({end.network for end in ends} & routers.keys() - self._gateways.keys()):
            gateway = Gateway(routers[network])
            gateway.start()
            self._gateways[network] = gateway
        ready = [end for end in ends if end.network in self._gateways]
        self._carrier.align(ready, self._gateways)
        statuses = self._carrier.look()
        if statuses != self._statuses:
            self._statuses = statuses
            self._write(ready)
            self._changed()

    def _write(self, ends: Sequence[Tunnel]) -> None:
        text = json.dumps(rows(ends, self._statuses, self._gateways), indent=2)
        fresh = self._report.with_name(f".{self._report.name}")
        fresh.write_text(text)
        fresh.replace(self._report)


def rows(
    ends: Sequence[Tunnel], statuses: Mapping[str, TunnelStatus], gateways: Mapping[str, Gateway]
) -> list[dict[str, Any]]:
    """Each tunnel that has an AWS end, numbered in the order of the inside addresses, for ``runbook lab vpn``."""
    tunnels = sorted((end for end in ends if end.cloud == "aws"), key=lambda end: IPv4Address(end.inside_local))
    found = []
    for number, end in enumerate(tunnels, start=1):
        other = counterpart(end, ends)
        found.append(
            {
                "tunnel": number,
                "aws": end.local,
                "gcp": end.peer,
                "aws_up": statuses[end.id].up,
                "gcp_up": other is not None and statuses[other.id].up,
                "detail": statuses[end.id].detail,
                "gateways": {e.cloud: gateways[e.network].namespace for e in (end, other) if e is not None},
            }
        )
    return found
