"""Who should reach whom: the rule table, applied to the hosts that exist. Pure.

Derived from the table, the address ranges and the facts of each cloud (who has a public address, where the NAT is,
that the VPN joins both networks), and from nothing that a cloud says: its firewalls are held against this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from .params import Params
from .resources import CloudName, Host
from .topology.gcp import NAT_TAGS
from .topology.network import ExistingNetwork, places
from .topology.rules import GROUPS, Place, Port, Rule, table

Protocol = Literal["tcp", "udp"]
Way = Literal["private", "public"]
# Somebody on the internet: the operator's machine, by way of ``params.internet_proxy``.
VISITOR = "visitor"
# SSH, DNS, HTTP and HTTPS, the dashboard; Consul's RPC, gossip (LAN, WAN), API and DNS; and two that nobody opens:
# Nomad's, which a later article would, and one that no service has.
PORTS: tuple[int, ...] = (22, 53, 80, 443, 8080, 8300, 8301, 8302, 8500, 8600, 4646, 31337)


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """One packet that is sent.

    Args:
        source: name of the host that sends it, or ``VISITOR``.
        to: name of the host that it is for.
        way: to its private address, or over the internet to its public one.
        protocol: ``tcp`` or ``udp``.
        port: destination port.
    """

    source: str
    to: str
    way: Way
    protocol: Protocol
    port: int

    def __str__(self) -> str:
        over = " over the internet" if self.way == "public" and self.source != VISITOR else ""
        return f"{self.source} → {self.to} {self.protocol} {self.port}{over}"


class Policy:
    """What a rule table means for certain hosts.

    Args:
        rules: the table.
        ranges: for each cloud, what the rules' places are.
        hosts: every host, bastions among them.
        linked: whether the VPN joins both networks.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        ranges: Mapping[CloudName, Mapping[Place, tuple[str, ...]]],
        hosts: Iterable[Host],
        *,
        linked: bool = True,
    ) -> None:
        self._rules = tuple(rules)
        self._ranges = ranges
        self._hosts = {host.name: host for host in hosts}
        self._linked = linked

    @classmethod
    def of(cls, params: Params, hosts: Iterable[Host], network: ExistingNetwork | None = None) -> Policy:
        """What the parameters' level of security means."""
        ranges: dict[CloudName, Mapping[Place, tuple[str, ...]]] = {
            "aws": places(params, "aws", network),
            "gcp": places(params, "gcp", network),
        }
        return cls(table(params), ranges, hosts)

    def passes(self, probe: Probe) -> bool:
        """Whether a packet should arrive."""
        to = self._hosts[probe.to]
        if probe.source == VISITOR:
            return self._lets_in(to, probe, None)
        source = self._hosts[probe.source]
        if probe.way == "public":
            # Behind a NAT or not, it arrives from a public address, which is in no group and no private range.
            return self._leaves(source, probe) and self._lets_in(to, probe, None)
        return (source.cloud == to.cloud or self._linked) and self._lets_in(to, probe, source)

    def _leaves(self, source: Host, probe: Probe) -> bool:
        """Whether a host's packet gets to the internet. Both clouds let everything out that has a way."""
        if source.public_ip or source.cloud == "aws":
            return True
        if not {*NAT_TAGS} & {*_groups(source)}:
            return False
        # To the firewall, a packet that GCP's bastion is to pass on is one that comes in to the bastion.
        bastions = (host for host in self._hosts.values() if (host.cloud, host.role) == ("gcp", "bastion"))
        return any(self._lets_in(bastion, probe, source) for bastion in bastions)

    def _lets_in(self, to: Host, probe: Probe, source: Host | None) -> bool:
        return any(
            to.cloud in rule.clouds
            and {*rule.to} & {*_groups(to)}
            and any(_covers(port, probe) for port in rule.ports)
            and self._from(rule, to.cloud, source)
            for rule in self._rules
        )

    def _from(self, rule: Rule, cloud: CloudName, source: Host | None) -> bool:
        """Whether a rule speaks of a source; ``None`` is somewhere on the internet."""
        if source is None:
            return "anywhere" in rule.places
        # Groups and tags do not cross to the other cloud.
        if source.cloud == cloud and {*rule.groups} & {*_groups(source)}:
            return True
        ranges = (IPv4Network(cidr) for place in rule.places for cidr in self._ranges[cloud][place])
        return any(IPv4Address(source.private_ip) in network for network in ranges)


def probes(hosts: Iterable[Host], ports: Iterable[int] = PORTS) -> Iterator[Probe]:
    """Every probe among hosts: each to each other's private address, over the internet from cloud to cloud, and from
    a visitor, by TCP, to each public address.

    Args:
        hosts: which; each sends and receives.
        ports: destination ports, for TCP and UDP.
    """
    every, wanted = tuple(hosts), tuple(ports)
    protocols: tuple[Protocol, ...] = ("tcp", "udp")
    for to in every:
        if to.public_ip:
            yield from (Probe(VISITOR, to.name, "public", "tcp", port) for port in wanted)
        for source in every:
            ways: list[Way] = ["private"] if source.name != to.name else []
            ways += ["public"] if to.public_ip and source.cloud != to.cloud else []
            for way in ways:
                yield from (Probe(source.name, to.name, way, name, port) for name in protocols for port in wanted)


def one_of_each(hosts: Iterable[Host]) -> tuple[Host, ...]:
    """The first host of each role in each cloud."""
    found: dict[tuple[str, str], Host] = {}
    for host in hosts:
        found.setdefault((host.cloud, host.role), host)
    return tuple(found.values())


def _groups(host: Host) -> tuple[str, ...]:
    return next(groups for role, groups in GROUPS.items() if role == host.role)


def _covers(port: Port, probe: Probe) -> bool:
    return port.protocol == "all" or (port.protocol == probe.protocol and port.low <= probe.port <= port.high)
