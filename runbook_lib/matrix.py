"""The rule table held against the firewalls: packets are sent from inside the hosts, and counted where they arrive.

What should arrive is derived in ``reach``; both ends of a probe are ``probe.py``, run on the hosts over SSH.
"""

from __future__ import annotations

import json
import random
import shlex
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from . import visits
from .access import Access
from .checks import Check, at_least, equal
from .errors import PrerequisiteError
from .reach import PORTS, VISITOR, Policy, Probe, Way, one_of_each, probes
from .resources import Host
from .site import Site
from .together import Workers, each
from .topology.network import places

# Each packet is sent this often, so far apart, with a pause before each target; the last ones have this long to arrive.
# In seconds; half a round trip between Oregon and Belgium takes a tenth of one.
ROUNDS, _GAP, _PAUSE, _FLIGHT = 3, 0.1, 0.004, 1.0
# Seconds after which a visitor takes silence for a closed door, by whether the table lets him pass: on a busy machine
# his way out of it alone may take the first of them, and he who is let in waits no longer for that.
_SILENCE = {False: 1.0, True: 5.0}
# Source ports: above those that Linux gives to connections (32768 to 60999).
_SOURCE_PORTS = range(61000, 65536)
_WAYS: tuple[Way, ...] = ("private", "public")


@dataclass(frozen=True, slots=True)
class Matrix:
    """What should arrive, and what did.

    Args:
        hosts: the hosts among which packets were sent.
        expected: every probe, and whether it should arrive.
        arrived: the probes that did.
    """

    hosts: tuple[Host, ...]
    expected: Mapping[Probe, bool] = field(repr=False)
    arrived: frozenset[Probe] = field(repr=False)

    @property
    def intruders(self) -> tuple[Probe, ...]:
        """Probes that arrived against the table."""
        return tuple(sorted(probe for probe in self.arrived if not self.expected[probe]))

    @property
    def missing(self) -> tuple[Probe, ...]:
        """Probes that the table lets pass and that did not arrive."""
        return tuple(sorted(probe for probe, passes in self.expected.items() if passes and probe not in self.arrived))

    @property
    def kinds(self) -> Mapping[str, str]:
        """By host, what stands for it in a summary: cloud and role. The visitor stands for itself."""
        return {VISITOR: VISITOR, **{host.name: f"{host.cloud} {host.role}" for host in self.hosts}}

    def __str__(self) -> str:
        """In words: what reached what, kind of host by kind of host, and each mismatch."""
        kinds, opened = self.kinds, dict[str, set[tuple[int, str]]]()
        for probe in self.arrived:
            to = kinds[probe.to] + (" (public address)" if probe.way == "public" else "")
            opened.setdefault(f"{kinds[probe.source]} → {to}", set()).add((probe.port, probe.protocol))
        lines = [f"{len(self.expected)} probes, {len(self.arrived)} arrived, {self._mismatches()} mismatches"]
        lines += [
            f"  {ends}: {', '.join(f'{port}/{name}' for port, name in sorted(opened[ends]))}" for ends in sorted(opened)
        ]
        lines += [f"  ✗ arrived against the table: {probe}" for probe in self.intruders]
        lines += [f"  ✗ did not arrive: {probe}" for probe in self.missing]
        return "\n".join(lines)

    def _mismatches(self) -> int:
        return len(self.intruders) + len(self.missing)


def probe(site: Site, hosts: Iterable[Host] | None = None, *, ports: Collection[int] = PORTS) -> Matrix:
    """Send every probe among hosts, and see what arrives.

    A probe is a packet of some 40 bytes, sent thrice, which no service acts on; a Consul agent with a gossip key logs
    that it cannot decrypt it. It takes one to three seconds.

    Args:
        site: the deployment.
        hosts: among which; by default one of each role in each cloud. Bastions of a given network, which this
            deployment's rules say nothing about, are left out.
        ports: destination ports.

    Raises:
        AccessError: a host is not reached, or its ``python3`` cannot open raw sockets.
        PrerequisiteError: there are no hosts yet.
    """
    given = site.topology.network
    every = site.hosts()
    chosen = one_of_each(every) if hosts is None else tuple(hosts)
    among = tuple(host for host in chosen if given is None or host.role != "bastion")
    if not among:
        raise PrerequisiteError(
            "there is nothing to probe", resource="hosts", expected="some", seen="none", remedy="run 01_bootstrap first"
        )
    policy = Policy.of(site.params, every, given)
    wanted = {one: policy.passes(one) for one in probes(among, ports) if given is None or one.way == "private"}
    return Matrix(among, wanted, _observe(site, among, wanted, ports))


def checks(matrix: Matrix) -> Iterator[Check]:
    """The table and the firewalls agree."""
    yield at_least("probes that arrived", 1, len(matrix.arrived))
    yield equal("probes that arrived against the table", (), tuple(map(str, matrix.intruders)))
    yield equal("probes that the table lets pass and that did not arrive", (), tuple(map(str, matrix.missing)))


# ---- underneath ------------------------------------------------------------------------------------------


def _observe(
    site: Site, hosts: tuple[Host, ...], wanted: Mapping[Probe, bool], ports: Collection[int]
) -> frozenset[Probe]:
    """Listen everywhere, then send from everywhere, then collect."""
    salt, numbered = random.getrandbits(16), {name: sorted(ports) for name in ("tcp", "udp")}
    ranges = places(site.params, "aws", site.topology.network)
    inside = [*ranges["here"], *ranges["there"]]
    # What stands in a packet tells its sender and way; 0 is for visitors, whose packets are their own.
    ends = dict(enumerate(((host.name, way) for host in hosts for way in _WAYS), start=1))
    access, by_name = site.access, {host.name: host for host in hosts}
    each(lambda h: _run(access, h, {"do": "listen", "salt": salt, "ports": numbered, "inside": inside}), hosts)

    targets: dict[str, list[tuple[str | None, int]]] = {host.name: [] for host in hosts}
    number = {end: count for count, end in ends.items()}
    for source, to, way in sorted({(one.source, one.to, one.way) for one in wanted if one.source != VISITOR}):
        address = by_name[to].public_ip if way == "public" else by_name[to].private_ip
        targets[source].append((address, number[source, way]))
    pace = {"rounds": ROUNDS, "gap": _GAP, "pause": _PAUSE}
    sending = {"do": "send", "ports": numbered, "port": random.choice(_SOURCE_PORTS), **pace}
    outside = [one for one in wanted if one.source == VISITOR]
    with Workers(len(outside)) as visitors:
        # What comes of it is seen where it arrives: from here, a closed door looks like an empty room.
        for one in outside:
            visitors.submit(visits.answers, site.params, by_name[one.to], one.port, timeout=_SILENCE[wanted[one]])
        each(lambda host: _run(access, host, {**sending, "salt": salt, "targets": targets[host.name]}), hosts)
        time.sleep(_FLIGHT)

    collected = each(lambda host: _run(access, host, {"do": "collect", "salt": salt}), hosts)
    arrived: set[Probe] = set()
    for host, text in zip(hosts, collected, strict=True):
        for protocol, port, sender in json.loads(text):
            source, way = ends.get(sender, (VISITOR, "public"))
            arrived.add(Probe(source, host.name, way, protocol, port))
    return frozenset(arrived & {*wanted})


def _run(access: Access, host: Host, order: Mapping[str, Any]) -> str:
    script = files(__package__).joinpath("probe.py").read_text(encoding="utf-8")
    return access.run(host, f"python3 - {shlex.quote(json.dumps(order))}", text=script).stdout
