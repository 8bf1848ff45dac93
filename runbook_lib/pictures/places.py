"""Where hosts stand, and what joins the clouds: read from what both clouds and Consul say, not from what was wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..resources import CLOUDS, CloudName, Found, Host
from .now import Now

_KINDS: Mapping[CloudName, tuple[str, str]] = {"aws": ("subnet", "cidr"), "gcp": ("subnetwork", "ip_cidr_range")}


@dataclass(frozen=True, slots=True)
class Place:
    """A subnet with its hosts.

    Args:
        name: its name without the deployment's.
        cidr: its range.
        zone: AWS's zone; empty for GCP's, which span the region.
        public: whether its name says that hosts there have public addresses.
        hosts: who stands there.
    """

    name: str
    cidr: str
    zone: str
    public: bool
    hosts: tuple[Host, ...]


def places(now: Now, cloud: CloudName) -> list[Place]:
    """A cloud's subnets, the public ones first."""
    kind, field = _KINDS[cloud]
    hosts = {id(host): _subnet_of(now.found, cloud, host) for host in now.of(cloud)}
    found = []
    for key, thing in sorted(now.found.items()):
        if not key.startswith(f"{cloud}:{kind}:"):
            continue
        whole = key.rpartition(":")[2]
        name = next((whole[whole.index(word) :] for word in ("public", "private") if f"-{word}" in whole), whole)
        there = tuple(host for host in now.of(cloud) if hosts[id(host)] in (thing.id, whole))
        found.append(Place(name, str(thing.spec[field]), str(thing.spec.get("zone", "")), "public" in name, there))
    return sorted(found, key=lambda place: not place.public)


def _subnet_of(found: Mapping[str, Found], cloud: CloudName, host: Host) -> str:
    """The id of the subnet that an instance's cloud says it is in, or for GCP its name."""
    thing = next((f for key, f in found.items() if f.id == host.id and key.startswith(f"{cloud}:instance:")), None)
    if thing is None:
        return ""
    if cloud == "aws":
        return str(thing.spec.get("subnet", ""))
    cards = thing.spec.get("network_interfaces") or [{}]
    return str(cards[0].get("subnetwork", "")).rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Links:
    """What joins the clouds, each as a sentence, in short lines, and whether it is good; nothing means it is not there.

    Args:
        vpn: the tunnels.
        wan: Consul's WAN pool.
        vpn_short, wan_short: the same in few letters.
        vpn_good, wan_good: whether all of it is well.
    """

    vpn: str
    vpn_short: tuple[str, ...]
    vpn_good: bool | None
    wan: str
    wan_short: tuple[str, ...]
    wan_good: bool | None


def links(now: Now, *, given: bool = False) -> Links:
    """The ways between the clouds. Pure."""
    return Links(*_vpn(now.found, given), *_wan(now))


def _vpn(found: Mapping[str, Found], given: bool) -> tuple[str, tuple[str, ...], bool | None]:
    connections = [thing.attributes for key, thing in sorted(found.items()) if key.startswith("aws:vpn_connection:")]
    tunnels = [thing.attributes for key, thing in sorted(found.items()) if key.startswith("gcp:vpn_tunnel:")]
    ends = [one.get(f"state_{side}") for one in connections for side in (1, 2)]
    if given:
        return "VPN: of another's making.", ("another's",), None
    if not ends and not tunnels:
        return "No VPN.", ("none yet",), None
    if len(ends) != len(tunnels):
        return "The VPN is incomplete.", ("✗ incomplete",), False
    up = sum(end == "UP" and tunnel.get("state") == "ESTABLISHED" for end, tunnel in zip(ends, tunnels, strict=True))
    good, of = up == len(ends), f"{up} of {len(ends)}"
    return f"VPN: {of} tunnels up.", (f"{'✓' if good else '✗'} {of}", "tunnels up"), good


def _wan(now: Now) -> tuple[str, tuple[str, ...], bool | None]:
    """How many servers of the other side each side sees alive, of those that there are."""
    servers = {c: {f"{h.name}.{h.datacenter}" for h in now.of(c) if h.role == "consul"} for c in CLOUDS}
    views = {cloud: view for cloud in CLOUDS if (view := now.view(cloud))}
    if not views:
        return "WAN pool: not known, as no Consul server answers.", ("not known",), None
    told, short, good = [], [], len(views) == len(CLOUDS)
    for cloud, view in views.items():
        far = CLOUDS[1 - CLOUDS.index(cloud)]
        alive = {member.name for member in view.wan if member.status == "alive"} & servers[far]
        good = good and bool(alive) and alive == servers[far]
        told.append(f"{cloud.upper()} sees {len(alive)} of {len(servers[far])} servers of {far.upper()}")
        short.append(f"{cloud.upper()} sees {len(alive)}/{len(servers[far])}")
    joined = any(member.datacenter not in ("", now.datacenters[c]) for c, view in views.items() for member in view.wan)
    if not joined:
        return "WAN pool: not joined.", ("not joined",), None
    sign = ("✓ joined",) if good else ("✗ not whole",)
    return f"WAN pool: {'joined' if good else 'not whole'}, {', '.join(told)}.", (*sign, *short), good
