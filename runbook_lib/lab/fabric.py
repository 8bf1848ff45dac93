"""What the clouds' APIs say about a network, compiled into routes and one nftables ruleset. Pure.

A network (VPC) has one router. Every instance hangs on the router by an interface of its own, so that all
traffic, also within a subnet, passes the router and is judged there, as the clouds do:

    instance ──[machine interface]── router ──[UPLINK]── internet
                                       └──────[VPN]───── the other cloud's router

Routing is decided by the interface a packet comes from: each machine interface has a table of its own. The
main table knows only the network's own instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from .model import METADATA, RESOLVER, Interface, Network, Rule

UPLINK = "internet"
VPN = "vpn"
# A machine's table number is its place plus this; below are the kernel's own.
FIRST_TABLE = 1000
UNREACHABLE = ("unreachable default metric 4294967295",)


@dataclass(frozen=True, slots=True)
class Links:
    """How a router is wired.

    Args:
        uplink: next hop address towards the internet.
        vpn: next hop address of the VPN link, or empty where there is none.
        machines: machine id -> (name of its interface on the router, table number).
    """

    uplink: str
    vpn: str
    machines: Mapping[str, tuple[str, int]]


def gateway(subnet: str) -> str:
    """The address of a subnet's router: its first host address, in both clouds."""
    return str(IPv4Network(subnet)[1])


def local_addresses(network: Network) -> frozenset[str]:
    """Addresses the router itself answers on."""
    return frozenset({METADATA, RESOLVER[network.cloud], *map(gateway, network.subnets)})


def routes(network: Network, links: Links) -> frozenset[str]:
    """Every ``ip route`` entry that the router needs, each as the words after ``ip route replace``."""
    entries: set[str] = set()
    for interface in network.interfaces:
        name, table = links.machines[interface.machine]
        entries.add(f"{interface.address} dev {name}")
        entries.update(f"{line} table {table}" for line in _table(interface, network, links))
    return frozenset(entries)


def rules(network: Network, links: Links) -> frozenset[str]:
    """Every ``ip rule`` entry: a machine's packets are routed by the machine's own table."""
    return frozenset(
        f"pref {table} iif {name} lookup {table}"
        for name, table in (links.machines[interface.machine] for interface in network.interfaces)
    )


def public_addresses(network: Network) -> frozenset[str]:
    """Public addresses that the internet must send to this network."""
    nat = {route.address for interface in network.interfaces for route in interface.routes if route.via == "nat"}
    return frozenset({interface.public for interface in network.interfaces if interface.public} | nat)


def ruleset(network: Network, links: Links) -> str:
    """The router's own nftables table, for one atomic ``nft -f``; other tables, such as a fault's, stay."""
    chains = "\n".join(
        _chain(interface, direction, links) for interface in network.interfaces for direction in ("out", "in")
    )
    names = [links.machines[interface.machine][0] for interface in network.interfaces]
    return f"""table ip cloud
delete table ip cloud
table ip cloud {{
{_nat(network)}
{chains}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
{_dispatch("iifname", "out", names)}
{_dispatch("oifname", "in", names)}
{_accept(names)}
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    icmp type echo-request accept
    iifname {{ "{UPLINK}", "{VPN}" }} drop
    udp dport 53 accept
    tcp dport {{ 53, 80 }} accept
  }}
}}
"""


# ---- routes ----------------------------------------------------------------------------------------------


def _table(interface: Interface, network: Network, links: Links) -> Iterator[str]:
    """One machine's table. Of equal destinations the lower priority wins, as ``ip route``'s metric."""
    machines = {other.address: other for other in network.interfaces}
    for route in interface.routes:
        target = ""
        if route.via == "internet":
            # No public address, no way to or from the internet, whatever the route says.
            target = f"via {links.uplink} dev {UPLINK}" if interface.public else ""
        elif route.via == "nat":
            target = f"via {links.uplink} dev {UPLINK}"
        elif route.via == "vpn":
            target = f"via {links.vpn} dev {VPN}" if links.vpn else ""
        elif route.via == "instance":
            hop = machines.get(route.address)
            if hop is not None and hop.forwards:
                target = f"via {hop.address} dev {links.machines[hop.machine][0]}"
        if target:
            yield f"{route.destination} {target} metric {route.priority} onlink"
        else:
            yield f"unreachable {route.destination} metric {route.priority}"
    yield from UNREACHABLE


# ---- ruleset ---------------------------------------------------------------------------------------------


def _nat(network: Network) -> str:
    """Public addresses: one to one for instances, one for many behind a NAT gateway."""
    inward, outward = [], []
    for interface in network.interfaces:
        nat = next((route.address for route in interface.routes if route.via == "nat"), None)
        if interface.public:
            inward.append(f'    iifname "{UPLINK}" ip daddr {interface.public} dnat to {interface.address}')
        if nat or interface.public:
            outward.append(f'    oifname "{UPLINK}" ip saddr {interface.address} snat to {nat or interface.public}')
    return "\n".join(
        [
            "  chain prerouting {",
            "    type nat hook prerouting priority dstnat; policy accept;",
            *inward,
            "  }",
            "  chain postrouting {",
            "    type nat hook postrouting priority srcnat; policy accept;",
            *outward,
            "  }",
        ]
    )


def _chain(interface: Interface, direction: str, links: Links) -> str:
    """New connections of one machine in one direction: ``return`` lets them pass, the end drops them."""
    name = links.machines[interface.machine][0]
    own, other = ("saddr", "daddr") if direction == "out" else ("daddr", "saddr")
    lines = []
    if not interface.forwards:
        # A packet that is not the machine's own: the clouds' source/destination check.
        lines.append(f"ip {own} != {interface.address} drop")
    for rule in _ordered(interface.rules, direction):
        if rule.peers:
            ends = f"ip {other} {_set(rule.peers)} " + (f"ip {own} {_set(rule.own)} " if rule.own else "")
            lines.append(f"{ends}{_protocol(rule)}{'return' if rule.allow else 'drop'}")
    body = "\n".join(f"    {line}" for line in [*lines, "drop"])
    return f"  chain {direction}_{name} {{\n{body}\n  }}"


def _ordered(entries: Iterable[Rule], direction: str) -> list[Rule]:
    return sorted(
        (rule for rule in entries if rule.direction == direction), key=lambda rule: (rule.priority, rule.allow)
    )


def _set(networks: Iterable[str]) -> str:
    wanted = sorted({IPv4Network(network) for network in networks})
    if IPv4Network("0.0.0.0/0") in wanted:
        return "0.0.0.0/0"
    # nftables refuses overlapping intervals in one set.
    distinct = [net for net in wanted if not any(net != other and net.subnet_of(other) for other in wanted)]
    return "{ " + ", ".join(map(str, distinct)) + " }"


def _protocol(rule: Rule) -> str:
    if rule.protocol == "all":
        return ""
    if rule.protocol == "icmp" and rule.ports:
        [(kind, code)] = rule.ports
        return f"icmp type {kind} " + (f"icmp code {code} " if code >= 0 else "")
    if rule.protocol in ("tcp", "udp", "sctp") and rule.ports:
        return f"{rule.protocol} dport {{ {', '.join(_merged(rule.ports))} }} "
    return f"meta l4proto {rule.protocol} "


def _merged(ports: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Port ranges, joined where they overlap."""
    joined: list[list[int]] = []
    for low, high in sorted(ports):
        if joined and low <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return (f"{low}-{high}" if high > low else str(low) for low, high in joined)


def _dispatch(match: str, direction: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"    {match} vmap {{ " + ", ".join(f'"{name}" : jump {direction}_{name}' for name in names) + " }"


def _accept(names: list[str]) -> str:
    """What both ends' chains let pass; nothing passes through a network without an end in it."""
    if not names:
        return ""
    ends = ", ".join(f'"{name}"' for name in names)
    return f"    iifname {{ {ends} }} accept\n    oifname {{ {ends} }} accept"
