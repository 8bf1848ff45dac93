"""What carries packets between the clouds' gateways: real tunnels, or where those cannot be, a plain link."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from vici.exception import CommandException, SessionException

from .. import netns, tools
from ..errors import LabError
from ..model import CloudName, Tunnel, TunnelStatus
from . import config, cut, words
from .bird import Bird
from .control import describe
from .end import End
from .gateway import Gateway
from .negotiate import counterpart, links, negotiate

log = logging.getLogger("lab.vpn")


class Carrier(Protocol):
    """Something that carries packets between gateways. Used by one thread alone."""

    def align(self, ends: Sequence[Tunnel], gateways: Mapping[str, Gateway]) -> None:
        """Do what the clouds' APIs hold now.

        Args:
            ends: every tunnel end whose network has a gateway.
            gateways: network id -> its gateway.
        """

    def look(self) -> dict[str, TunnelStatus]:
        """How every tunnel end is now, by its id."""


class Tunnels:
    """IKEv2, ESP and BGP: a charon for each tunnel end, a BIRD for each gateway.

    Args:
        charon: path of strongSwan's daemon.
        bird: path of BIRD.
        folder: for the daemons' files; in a memory file system that vanishes with the lab.
        changed: called from any thread when looking again is worth it.
    """

    def __init__(self, charon: Path, bird: Path, folder: Path, changed: Callable[[], None]) -> None:
        self._program = charon
        self._bird = bird
        self._folder = folder
        self._changed = changed
        self._numbers = itertools.count(1)
        self._ends: dict[str, End] = {}
        self._starting: dict[str, Future[None]] = {}
        self._birds: dict[str, Bird] = {}
        self._tunnels: Sequence[Tunnel] = ()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="vpn")

    def align(self, ends: Sequence[Tunnel], gateways: Mapping[str, Gateway]) -> None:
        """See ``Carrier.align``."""
        self._tunnels = ends
        wanted = {end.id: end for end in ends}
        for identity, end in list(self._ends.items()):
            same = identity in wanted and config.exchange(wanted[identity]) == config.exchange(end.tunnel)
            # One that is starting is left until it has: what starts it must not be pulled from under it.
            if self._starting[identity].done() and (not same or end.ended):
                del self._ends[identity]
                self._pool.submit(end.stop)
        for identity, tunnel in wanted.items():
            if identity not in self._ends:
                number = next(self._numbers)
                end = End(tunnel, number, self._folder / f"t{number}", self._changed)
                self._ends[identity] = end
                gateway = gateways[tunnel.network].namespace
                self._starting[identity] = self._pool.submit(self._start, end, gateway)
        for network in [n for n, bird in self._birds.items() if n not in gateways or bird.ended]:
            self._birds.pop(network).stop()
        for network, router in gateways.items():
            here = {self._ends[end.id].interface: end for end in ends if end.network == network}
            cloud: CloudName = next((end.cloud for end in here.values()), "aws")
            if network not in self._birds:
                self._birds[network] = Bird(self._bird, router.namespace, self._folder / router.namespace)
            self._birds[network].configure(config.bird(cloud, here))

    def look(self) -> dict[str, TunnelStatus]:
        """See ``Carrier.look``."""
        sessions = {name: s for bird in self._birds.values() for name, s in self._sessions(bird).items()}
        return {tunnel.id: self._status(tunnel, sessions) for tunnel in self._tunnels}

    def _sessions(self, bird: Bird) -> dict[str, words.Session]:
        """A gateway's BGP sessions, by interface; none while its BIRD does not answer."""
        try:
            found = words.sessions(bird.ask("show protocols all"))
            for name, session in found.items():
                if session.state == "Established":
                    learned = words.networks(bird.ask(f"show route protocol {name}"))
                    announced = words.networks(bird.ask(f"show route export {name}"))
                    found[name] = replace(session, learned=learned, announced=announced)
        except OSError as error:
            log.warning("BIRD does not answer: %s", error)
            return {}
        return found

    def _status(self, tunnel: Tunnel, sessions: Mapping[str, words.Session]) -> TunnelStatus:
        end = self._ends[tunnel.id]
        if not end.ready:
            return TunnelStatus(False, "")
        try:
            exchange = end.look()
        except (OSError, CommandException, SessionException) as error:
            log.warning("%s: charon does not answer: %s", tunnel.id, error)
            return TunnelStatus(False, "the VPN endpoint does not answer", trouble="no answer")
        return words.status(tunnel, exchange, sessions.get(end.interface))

    def _start(self, end: End, gateway: str) -> None:
        try:
            end.start(self._program, gateway)
        except (LabError, OSError, CommandException, SessionException) as error:
            log.warning("a VPN endpoint could not be started, and will be again: %s: %s", end.tunnel.id, error)
            end.stop()
        self._changed()


class PlainLinks:
    """A routed link between two gateways, which exists while both clouds' objects agree. Nothing is encrypted.

    Args:
        detail: what a status says of it.
    """

    def __init__(self, detail: str) -> None:
        self._detail = detail
        self._numbers = itertools.count(1)
        self._links: dict[tuple[str, str], int] = {}
        self._routes: frozenset[tuple[str, str]] = frozenset()
        self._tunnels: Sequence[Tunnel] = ()
        self._gateways: Mapping[str, Gateway] = {}

    def align(self, ends: Sequence[Tunnel], gateways: Mapping[str, Gateway]) -> None:
        """See ``Carrier.align``."""
        self._tunnels, self._gateways = ends, dict(gateways)

    def look(self) -> dict[str, TunnelStatus]:
        """See ``Carrier.look``: what the objects say and ``runbook lab vpn`` cut, done and told."""
        statuses = negotiate(self._tunnels, cut.listed(netns.run(*cut.LIST)), self._detail)
        self._link(links(self._tunnels, statuses))
        self._route(statuses)
        return statuses

    def _link(self, wanted: frozenset[tuple[str, str]]) -> None:
        for pair in self._links.keys() - wanted:
            number = self._links.pop(pair)
            if pair[0] in self._gateways:
                netns.batch([f"link del tun{number}"], self._gateways[pair[0]].namespace, force=True)
        for pair in wanted - self._links.keys():
            number = self._links[pair] = next(self._numbers)
            name = f"tun{number}"
            here, there = (self._gateways[network].namespace for network in pair)
            netns.batch([f"link add {name} type veth peer name {name} netns {there}"], here)
            for namespace, address in zip((here, there), _addresses(number), strict=True):
                netns.batch([f"addr add {address}/31 dev {name}", f"link set {name} up"], namespace)

    def _route(self, statuses: Mapping[str, TunnelStatus]) -> None:
        wanted = frozenset(
            (end.network, f"{network} via {self._hop(end)}")
            for end in self._tunnels
            if statuses[end.id].up
            for network in statuses[end.id].learned
        )
        for network, route in sorted(wanted - self._routes):
            netns.batch([f"route replace {route}"], self._gateways[network].namespace)
        for network, route in sorted(self._routes - wanted):
            if network in self._gateways:
                netns.batch([f"route del {route}"], self._gateways[network].namespace, force=True)
        self._routes = wanted

    def _hop(self, end: Tunnel) -> str:
        other = counterpart(end, self._tunnels)
        assert other is not None
        pair = (end.network, other.network) if end.cloud == "aws" else (other.network, end.network)
        return _addresses(self._links[pair])[end.cloud == "aws"]


def _addresses(number: int) -> tuple[str, str]:
    """AWS's and GCP's address on a plain link; RFC 6598 has addresses for links."""
    return f"100.67.{number % 256}.0", f"100.67.{number % 256}.1"


def carrier(lacking: Sequence[str], folder: Path, news: threading.Event) -> Carrier:
    """The best carrier that this machine can have.

    Args:
        lacking: names of tools and abilities that are missing here.
        folder: for daemons' files.
        news: set when looking at the carrier is worth it.
    """
    if lacking:
        return PlainLinks(describe(lacking))
    folder.mkdir()
    return Tunnels(tools.path("charon"), tools.path("bird"), folder, news.set)
