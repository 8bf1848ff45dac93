"""Who may talk to whom: one table a level of security, the source of both clouds' firewalls.

A group is an AWS security group and a GCP network tag of the same name, and the groups are the same at both levels: a
deployment changes its level by its rules alone.

* ``hardened`` opens what one role needs of another, port by port. Consul's API (8500) answers on loopback only, its DNS
  (8600, and 53 before it) is asked by each host of itself, and nothing listens on 443: no rule opens any of them. Port
  443 is to be opened together with the certificate that it needs.
* ``article`` opens what the article does, most of it to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..params import Params
from ..resources import CloudName
from .nodes import Role

IpProtocol = Literal["tcp", "udp", "icmp", "all"]
# Places are address ranges: everybody, this cloud's and the other cloud's network, and their private subnets.
Place = Literal["anywhere", "here", "there", "here-private", "there-private"]
_PLACES: Mapping[Place, str] = {
    "anywhere": "anywhere",
    "here": "this cloud",
    "there": "the other cloud",
    "here-private": "private hosts",
    "there-private": "the other cloud's private hosts",
}

GROUPS: Mapping[Role, tuple[str, ...]] = {
    "bastion": ("bastion",),
    "consul": ("consul-servers",),
    # Traefik's agents are clients, but not "consul-clients": that tag would send their answers out by the bastion.
    "traefik": ("traefik", "consul-traefik"),
    "web": ("consul-clients", "web"),
}


@dataclass(frozen=True, slots=True)
class Port:
    """A protocol and, for TCP and UDP, a range of ports, both ends included.

    For ICMP ``low`` is a type (0: every type, as replies need no rule); GCP's rules know no types and open them all.
    """

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


_CLIENTS = ("consul-clients", "consul-traefik")
_AGENTS = ("consul-servers", *_CLIENTS)
_EVERY_HOST = ("bastion", "consul-servers", "consul-clients", "traefik")
_ECHO = Port("icmp", 8, 8)

HARDENED: tuple[Rule, ...] = (
    Rule("ssh", "operators reach the bastion", ("bastion",), _tcp(22), places=("anywhere",)),
    Rule(
        "nat",
        "private hosts fetch packages and ask APIs through the bastion, which must let their packets in",
        ("bastion",),
        _tcp(80, 443),
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
        "servers of both datacenters gossip",
        ("consul-servers",),
        _both(8302),
        groups=("consul-servers",),
        # Groups do not cross, and the servers' addresses are not known before they are made.
        places=("there-private",),
    ),
    Rule(
        "rpc-wan",
        "servers pass questions on to the other datacenter",
        ("consul-servers",),
        _tcp(8300),
        places=("there-private",),
    ),
    Rule("traefik", "everybody reaches the published services", ("traefik",), _tcp(80), places=("anywhere",)),
    Rule("dashboard", "Traefik's dashboard by way of the bastion", ("traefik",), _tcp(8080), ("bastion",)),
    Rule("web", "Traefik reaches the web servers of its cloud", ("web",), _tcp(80), groups=("traefik",)),
    Rule(
        "ping",
        "hosts of both networks answer each other's echo requests: the way to tell a firewall from a dead tunnel",
        _EVERY_HOST,
        (_ECHO,),
        places=("here", "there"),
    ),
)

ARTICLE: tuple[Rule, ...] = (
    Rule("bastion", "everybody reaches all of the bastion", ("bastion",), (Port("all"),), places=("anywhere",)),
    Rule(
        "servers",
        "everybody reaches Consul's servers",
        ("consul-servers",),
        (*_tcp(22, 8300, 8500), *_both(53), *_both(8301), *_both(8302), Port("icmp")),
        places=("anywhere",),
    ),
    Rule("clients", "agents reach the clients", _CLIENTS, (*_tcp(8300), *_both(8301)), groups=_AGENTS),
    Rule("clients-http", "agents ask the clients' API", _CLIENTS, _tcp(8500), groups=_AGENTS, clouds=("gcp",)),
    Rule("traefik", "everybody reaches the load balancers", ("traefik",), _tcp(80, 443), places=("anywhere",)),
    Rule("admin", "the bastion reaches dashboards and their hosts", ("traefik",), _tcp(22, 8080), ("bastion",)),
    # In AWS the article's web servers carry the load balancers' group.
    Rule("web-public", "everybody reaches web servers", ("web",), _tcp(80, 443), places=("anywhere",), clouds=("aws",)),
    # What the article does not list and this runbook needs.
    Rule(
        "web", "Traefik reaches the web servers of its cloud", ("web",), _tcp(80), groups=("traefik",), clouds=("gcp",)
    ),
    Rule("ssh-inside", "the bastion reaches the web servers", ("consul-clients",), _tcp(22), groups=("bastion",)),
)


def table(params: Params) -> tuple[Rule, ...]:
    """The rules of a deployment's level of security."""
    return HARDENED if params.security == "hardened" else ARTICLE


def rules(params: Params, cloud: CloudName) -> Iterator[Rule]:
    """The rules that a cloud needs."""
    return (rule for rule in table(params) if cloud in rule.clouds)


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


def firewall(params: Params) -> tuple[Opening, ...]:
    """The rule table of a deployment's level of security, for people."""
    return tuple(
        Opening(r.why, r.to, tuple(map(_port, r.ports)), (*r.groups, *r.places), tuple(r.clouds)) for r in table(params)
    )


def reached(params: Params) -> Mapping[Role, tuple[str, ...]]:
    """For each role, what is open to whom, one line a rule: ``8080 from bastion``. Without a protocol, TCP is meant."""
    return {
        role: tuple(_line(rule) for rule in table(params) if {*rule.to} & {*carried})
        for role, carried in GROUPS.items()
    }


def _line(rule: Rule) -> str:
    """A rule in few words: ports of one number together, sources as roles."""
    ports: dict[str, list[str]] = {}
    for port in rule.ports:
        protocol, _, number = _port(port).partition(" ")
        if protocol in ("tcp", "udp"):
            ports.setdefault(number, []).append(protocol)
        else:
            ports[_port(port)] = ["tcp"]
    opened = [number if names == ["tcp"] else f"{number} {'+'.join(names)}" for number, names in ports.items()]
    roles = [role for role, carried in GROUPS.items() if {*rule.groups} & {*carried}]
    only = f" ({rule.clouds[0].upper()})" if len(rule.clouds) == 1 else ""
    return f"{', '.join(opened)} from {', '.join([*roles, *(_PLACES[place] for place in rule.places)])}{only}"


def _port(port: Port) -> str:
    if port.protocol == "icmp":
        return "icmp echo" if port == _ECHO else "icmp"
    if not port.low:
        return port.protocol
    return f"{port.protocol} {port.low}" + (f"-{port.high}" if port.high != port.low else "")
