"""What should reach what, by tables written from the rules' purposes."""

from __future__ import annotations

import pytest

from runbook_lib.params import Params
from runbook_lib.reach import PORTS, VISITOR, Policy, Probe, one_of_each, probes
from runbook_lib.resources import Host
from runbook_lib.topology.network import places
from runbook_lib.topology.rules import GROUPS, HARDENED

ADDRESSES = {
    "aws": {"bastion": "172.30.3.5", "consul": "172.30.3.132", "traefik": "172.30.3.36", "web": "172.30.3.165"},
    "gcp": {"bastion": "172.27.3.2", "consul": "172.27.3.130", "traefik": "172.27.3.3", "web": "172.27.3.133"},
}


def host(cloud: str, role: str, number: int = 1) -> Host:
    address = ADDRESSES[cloud][role]
    public = f"198.51.100.{address.rpartition('.')[2]}" if role in ("bastion", "traefik") else None
    private = f"{address.rpartition('.')[0]}.{int(address.rpartition('.')[2]) + number - 1}"
    return Host(f"{cloud}-{role}-{number}", cloud, role, "z", "dc", "id", private, public, "running")  # type: ignore[arg-type]


HOSTS = tuple(host(cloud, role, number) for cloud in ADDRESSES for role in GROUPS for number in (1, 2))


def reached(security: str, source: str, to: str, way: str = "private", **more: bool) -> set[str]:
    """What gets from one kind of host to another: ``8301/udp`` and the like."""
    params = Params.parse({"security": security}, source="test")
    policy = Policy.of(params, HOSTS)
    if more:
        ranges = {cloud: places(params, cloud, None) for cloud in ("aws", "gcp")}
        policy = Policy(HARDENED, ranges, HOSTS, **more)  # type: ignore[arg-type]
    source = source if source == VISITOR else f"{source}-1"
    every = [Probe(source, f"{to}-2", way, name, port) for name in ("tcp", "udp") for port in PORTS]  # type: ignore[arg-type]
    return {f"{one.port}/{one.protocol}" for one in every if policy.passes(one)}


LAN = {"8301/tcp", "8301/udp"}
WAN = {"8300/tcp", "8302/tcp", "8302/udp"}
SERVER = {"22/tcp", "53/tcp", "53/udp", "8500/tcp", *LAN, *WAN}
EVERYTHING = {f"{port}/{name}" for port in PORTS for name in ("tcp", "udp")}


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
@pytest.mark.parametrize(
    ("source", "to", "expected"),
    [
        ("bastion", "consul", {"22/tcp"}),
        ("bastion", "traefik", {"22/tcp", "80/tcp", "8080/tcp"}),
        ("bastion", "web", {"22/tcp"}),
        ("consul", "consul", LAN | WAN),
        ("consul", "traefik", LAN | {"80/tcp"}),
        ("consul", "web", LAN),
        ("traefik", "consul", LAN | {"8300/tcp"}),
        ("traefik", "traefik", LAN | {"80/tcp"}),
        ("traefik", "web", LAN | {"80/tcp"}),
        ("traefik", "bastion", {"22/tcp"}),
        ("web", "consul", LAN | {"8300/tcp"}),
        ("web", "web", LAN),
    ],
)
def test_hardened_within_a_cloud(cloud: str, source: str, to: str, expected: set[str]) -> None:
    assert reached("hardened", f"{cloud}-{source}", f"{cloud}-{to}") == expected


def test_what_gcps_bastion_passes_on_comes_in_to_it() -> None:
    out = {"80/tcp", "443/tcp"}
    assert reached("hardened", "gcp-consul", "gcp-bastion") == {"22/tcp"} | out
    assert reached("hardened", "gcp-web", "gcp-bastion") == {"22/tcp"} | out
    assert reached("hardened", "aws-consul", "aws-bastion") == {"22/tcp"}
    # Its firewall is in the way of what private hosts send to the internet; AWS's NAT gateway has none.
    assert reached("hardened", "gcp-consul", "aws-traefik", "public") == {"80/tcp"}
    # Open to everybody, 22 is open to what is to be passed on.
    assert reached("hardened", "gcp-consul", "aws-bastion", "public") == {"22/tcp"}
    assert reached("hardened", "aws-consul", "gcp-bastion", "public") == {"22/tcp"}
    assert reached("article", "gcp-consul", "aws-bastion", "public") == EVERYTHING


@pytest.mark.parametrize(
    ("source", "to", "expected"),
    [
        ("aws-consul", "gcp-consul", WAN),
        ("gcp-web", "aws-consul", WAN),  # groups do not cross: a private host over there is like any other
        ("gcp-traefik", "aws-consul", set()),
        ("gcp-bastion", "aws-consul", set()),
        ("aws-bastion", "gcp-traefik", {"80/tcp"}),
        ("aws-traefik", "gcp-web", set()),
        ("aws-traefik", "gcp-bastion", {"22/tcp"}),
    ],
)
def test_hardened_from_cloud_to_cloud(source: str, to: str, expected: set[str]) -> None:
    assert reached("hardened", source, to) == expected
    assert reached("hardened", source, to, linked=False) == set()


@pytest.mark.parametrize("security", ["hardened", "article"])
def test_a_visitor_is_anybody_on_the_internet(security: str) -> None:
    bastion, traefik = (
        reached(security, VISITOR, "aws-bastion", "public"),
        reached(security, VISITOR, "gcp-traefik", "public"),
    )
    assert bastion == ({"22/tcp"} if security == "hardened" else EVERYTHING)
    assert traefik == ({"80/tcp"} if security == "hardened" else {"80/tcp", "443/tcp"})


@pytest.mark.parametrize(
    ("source", "to", "expected"),
    [
        ("gcp-web", "aws-consul", SERVER),
        ("aws-traefik", "aws-consul", SERVER),
        ("aws-consul", "aws-web", LAN | {"8300/tcp", "80/tcp", "443/tcp"}),
        ("gcp-consul", "gcp-web", LAN | {"8300/tcp", "8500/tcp"}),
        ("gcp-traefik", "gcp-web", LAN | {"8300/tcp", "8500/tcp", "80/tcp"}),
        ("gcp-bastion", "gcp-traefik", {"22/tcp", "80/tcp", "443/tcp", "8080/tcp"}),
        ("aws-consul", "gcp-web", set()),
        ("gcp-web", "aws-web", {"80/tcp", "443/tcp"}),
        ("aws-web", "gcp-bastion", EVERYTHING),
    ],
)
def test_article(source: str, to: str, expected: set[str]) -> None:
    assert reached("article", source, to) == expected


def test_every_host_is_probed_from_every_other_and_by_every_way() -> None:
    every = list(probes(HOSTS))
    assert len(every) == len(set(every))
    private = [one for one in every if one.way == "private"]
    assert len(private) == 16 * 15 * 2 * len(PORTS)
    assert not [one for one in private if one.source in (one.to, VISITOR)]
    public = [one for one in every if one.way == "public" and one.source != VISITOR]
    assert len(public) == 16 * 4 * 2 * len(PORTS)  # to the four public hosts of the other cloud
    assert len(every) - len(private) - len(public) == 8 * len(PORTS)
    assert {one.protocol for one in every if one.source == VISITOR} == {"tcp"}


def test_one_host_stands_for_a_role() -> None:
    assert [one.name for one in one_of_each(HOSTS)] == [f"{cloud}-{role}-1" for cloud in ADDRESSES for role in GROUPS]
