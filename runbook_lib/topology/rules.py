"""Who may talk to whom: one table, the source of both clouds' firewalls.

A group is an AWS security group and a GCP network tag of the same name. The article opens more, most of it to
everybody; what it makes reachable for a purpose stays reachable here, the rest is closed. Consul's DNS (8600 and 53)
is asked by each host of itself only, so no rule opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..resources import CloudName
from .nodes import Role

IpProtocol = Literal["tcp", "udp", "icmp", "all"]
# Places are address ranges: everybody, this cloud's and the other cloud's network, and their private subnets.
Place = Literal["anywhere", "here", "there", "here-private", "there-private"]

GROUPS: Mapping[Role, tuple[str, ...]] = {
    "bastion": ("bastion",),
    "consul": ("consul-servers",),
    # Traefik's agents are clients, but not "consul-clients": that tag would send their answers out by the bastion.
    "traefik": ("traefik", "consul-traefik"),
    "web": ("consul-clients", "web"),
}


@dataclass(frozen=True, slots=True)
class Port:
    """A protocol and, for TCP and UDP, a range of ports, both ends included."""

    protocol: IpProtocol
    low: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One purpose for which connections are let in.

    Args:
        name: short name, unique in the table.
        why: the purpose.
        to: groups that are reached.
        ports: what is opened.
        groups: groups of the same cloud that may connect.
        places: address ranges that may connect.
        clouds: where the rule is needed.
    """

    name: str
    why: str
    to: tuple[str, ...]
    ports: tuple[Port, ...]
    groups: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    clouds: tuple[CloudName, ...] = ("aws", "gcp")


def _tcp(*ports: int) -> tuple[Port, ...]:
    return tuple(Port("tcp", port, port) for port in ports)


def _both(port: int) -> tuple[Port, ...]:
    return Port("tcp", port, port), Port("udp", port, port)


_AGENTS = ("consul-servers", "consul-clients", "consul-traefik")

RULES: tuple[Rule, ...] = (
    Rule("ssh", "operators reach the bastion", ("bastion",), _tcp(22), places=("anywhere",)),
    Rule(
        "nat",
        "private hosts reach the internet through the bastion, which must let their packets in",
        ("bastion",),
        (Port("all"),),
        places=("here-private",),
        clouds=("gcp",),
    ),
    Rule(
        "ssh-inside",
        "the bastion reaches every host",
        ("consul-servers", "consul-clients", "traefik"),
        _tcp(22),
        groups=("bastion",),
    ),
    Rule("serf-lan", "agents of one datacenter gossip", _AGENTS, _both(8301), groups=_AGENTS),
    Rule("rpc", "agents ask their servers", ("consul-servers",), _tcp(8300), groups=_AGENTS),
    Rule(
        "serf-wan",
        "servers of both datacenters gossip, and pass questions on to each other",
        ("consul-servers",),
        (*_tcp(8300), *_both(8302)),
        groups=("consul-servers",),
        places=("there-private",),
    ),
    Rule("consul-http", "Consul's page and API by way of the bastion", ("consul-servers",), _tcp(8500), ("bastion",)),
    Rule("traefik", "everybody reaches the published services", ("traefik",), _tcp(80, 443), places=("anywhere",)),
    Rule("dashboard", "Traefik's dashboard by way of the bastion", ("traefik",), _tcp(8080), ("bastion",)),
    Rule("web", "Traefik reaches the web servers of its cloud", ("web",), _tcp(80), groups=("traefik",)),
    Rule(
        "ping",
        "hosts of both networks answer each other's echo requests",
        ("bastion", "consul-servers", "consul-clients", "traefik"),
        (Port("icmp"),),
        places=("here", "there"),
    ),
)


def rules(cloud: CloudName) -> Iterator[Rule]:
    """The rules that a cloud needs."""
    return (rule for rule in RULES if cloud in rule.clouds)


def groups() -> tuple[str, ...]:
    """Every group, each once, in the table's order."""
    return tuple(dict.fromkeys(group for of_role in GROUPS.values() for group in of_role))


@dataclass(frozen=True, slots=True)
class Opening:
    """A row of the rule table in a reader's words."""

    purpose: str
    reached: tuple[str, ...]
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    clouds: tuple[str, ...]


def firewall() -> tuple[Opening, ...]:
    """The rule table, for people."""
    return tuple(
        Opening(r.why, r.to, tuple(map(_port, r.ports)), (*r.groups, *r.places), tuple(r.clouds)) for r in RULES
    )


def _port(port: Port) -> str:
    if not port.low:
        return port.protocol
    return f"{port.protocol} {port.low}" + (f"-{port.high}" if port.high != port.low else "")
