"""The compiler from cloud objects to routes and rules, by tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook_lib.lab import fabric
from runbook_lib.lab.model import Interface, Network, Route, Rule

ANYWHERE = ("0.0.0.0/0",)
OUT = Rule("out", True, "all", (), ANYWHERE)
WEB = Interface(
    machine="web",
    address="172.27.3.130",
    subnet="172.27.3.128/26",
    public=None,
    forwards=False,
    rules=(OUT, Rule("in", True, "tcp", ((80, 80),), ("172.27.3.0/26",))),
    routes=(Route("0.0.0.0/0", "instance", "172.27.3.2", 800),),
)
BASTION = Interface(
    machine="bastion",
    address="172.27.3.2",
    subnet="172.27.3.0/26",
    public="203.0.113.5",
    forwards=True,
    rules=(OUT,),
    routes=(Route("0.0.0.0/0", "internet"),),
)
NETWORK = Network("gcp", "net", ("172.27.3.0/26", "172.27.3.128/26"), (BASTION, WEB))
LINKS = fabric.Links(uplink="100.64.0.0", vpn="", machines={"web": ("m2", 1002), "bastion": ("m1", 1001)})


def routes_of(interface: Interface, links: fabric.Links = LINKS) -> frozenset[str]:
    others = tuple(other for other in NETWORK.interfaces if other.machine != interface.machine)
    return fabric.routes(replace(NETWORK, interfaces=(*others, interface)), links)


@pytest.mark.parametrize(
    ("route", "public", "vpn", "expected"),
    [
        (
            Route("0.0.0.0/0", "internet"),
            "203.0.113.9",
            "",
            "0.0.0.0/0 via 100.64.0.0 dev internet metric 1000 onlink table 1002",
        ),
        (Route("0.0.0.0/0", "internet"), None, "", "unreachable 0.0.0.0/0 metric 1000 table 1002"),
        (
            Route("0.0.0.0/0", "nat", "198.51.100.3"),
            None,
            "",
            "0.0.0.0/0 via 100.64.0.0 dev internet metric 1000 onlink table 1002",
        ),
        (
            Route("0.0.0.0/0", "instance", "172.27.3.2", 800),
            None,
            "",
            "0.0.0.0/0 via 172.27.3.2 dev m1 metric 800 onlink table 1002",
        ),
        (Route("0.0.0.0/0", "instance", "172.27.3.99"), None, "", "unreachable 0.0.0.0/0 metric 1000 table 1002"),
        (
            Route("172.30.3.0/24", "vpn", priority=100),
            None,
            "100.65.0.1",
            "172.30.3.0/24 via 100.65.0.1 dev vpn metric 100 onlink table 1002",
        ),
        (Route("172.30.3.0/24", "vpn", priority=100), None, "", "unreachable 172.30.3.0/24 metric 100 table 1002"),
        (Route("10.0.0.0/8", "none"), None, "", "unreachable 10.0.0.0/8 metric 1000 table 1002"),
    ],
)
def test_a_route_leads_where_the_cloud_would_lead_it(route: Route, public: str | None, vpn: str, expected: str) -> None:
    entries = routes_of(replace(WEB, routes=(route,), public=public), replace(LINKS, vpn=vpn))
    assert expected in entries


def test_a_next_hop_that_may_not_forward_is_no_way() -> None:
    stiff = replace(NETWORK, interfaces=(replace(BASTION, forwards=False), WEB))
    assert "unreachable 0.0.0.0/0 metric 800 table 1002" in fabric.routes(stiff, LINKS)


def test_every_table_ends_in_a_refusal() -> None:
    entries = fabric.routes(NETWORK, LINKS)
    assert {f"unreachable default metric 4294967295 table {table}" for table in (1001, 1002)} <= entries


def test_each_machine_is_routed_by_its_own_table() -> None:
    assert fabric.rules(NETWORK, LINKS) == {"pref 1001 iif m1 lookup 1001", "pref 1002 iif m2 lookup 1002"}


def chain(name: str, network: Network = NETWORK) -> list[str]:
    text = fabric.ruleset(network, LINKS)
    body = text.split(f"chain {name} {{", 1)[1].split("}\n  chain", 1)[0]
    return [line.strip() for line in body.splitlines() if line.strip() and line.strip() != "}"]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (Rule("in", True, "tcp", ((80, 80),), ANYWHERE), "ip saddr 0.0.0.0/0 tcp dport { 80 } return"),
        (
            Rule("in", True, "udp", ((53, 53), (8301, 8302)), ("10.0.0.1/32",)),
            "ip saddr { 10.0.0.1/32 } udp dport { 53, 8301-8302 } return",
        ),
        (Rule("in", True, "tcp", ((1, 5), (4, 9)), ANYWHERE), "ip saddr 0.0.0.0/0 tcp dport { 1-9 } return"),
        (Rule("in", True, "icmp", (), ANYWHERE), "ip saddr 0.0.0.0/0 meta l4proto icmp return"),
        (Rule("in", True, "icmp", ((8, -1),), ANYWHERE), "ip saddr 0.0.0.0/0 icmp type 8 return"),
        (Rule("in", True, "icmp", ((3, 4),), ANYWHERE), "ip saddr 0.0.0.0/0 icmp type 3 icmp code 4 return"),
        (Rule("in", True, "50", (), ANYWHERE), "ip saddr 0.0.0.0/0 meta l4proto 50 return"),
        (Rule("in", True, "sctp", ((9, 9),), ANYWHERE), "ip saddr 0.0.0.0/0 sctp dport { 9 } return"),
        (
            Rule("in", False, "tcp", (), ANYWHERE, own=("10.0.0.0/8",)),
            "ip saddr 0.0.0.0/0 ip daddr { 10.0.0.0/8 } meta l4proto tcp drop",
        ),
        (Rule("in", False, "all", (), ("10.0.0.0/8",)), "ip saddr { 10.0.0.0/8 } drop"),
        (
            Rule("in", True, "all", (), ("10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24")),
            "ip saddr { 10.0.0.0/8, 192.168.0.0/24 } return",
        ),
    ],
)
def test_a_rule_becomes_one_line(rule: Rule, line: str) -> None:
    network = replace(NETWORK, interfaces=(BASTION, replace(WEB, rules=(rule,))))
    assert chain("in_m2", network) == ["ip daddr != 172.27.3.130 drop", line, "drop"]


def test_a_rule_whose_group_has_no_members_matches_nothing() -> None:
    network = replace(NETWORK, interfaces=(BASTION, replace(WEB, rules=(Rule("in", True, "tcp", (), ()),))))
    assert chain("in_m2", network) == ["ip daddr != 172.27.3.130 drop", "drop"]


def test_lower_priority_first_and_deny_before_allow() -> None:
    rules = (
        Rule("in", True, "tcp", ((1, 1),), ANYWHERE, 1000),
        Rule("in", False, "tcp", ((2, 2),), ANYWHERE, 1000),
        Rule("in", True, "tcp", ((3, 3),), ANYWHERE, 10),
    )
    lines = chain("in_m2", replace(NETWORK, interfaces=(BASTION, replace(WEB, rules=rules))))
    assert [line.split("{ ")[1][0] for line in lines[1:-1]] == ["3", "2", "1"]


def test_only_a_forwarder_carries_what_is_not_its_own() -> None:
    assert "ip daddr != 172.27.3.2 drop" not in chain("in_m1")
    assert chain("in_m2")[0] == "ip daddr != 172.27.3.130 drop"


def test_public_addresses_are_translated_both_ways() -> None:
    text = fabric.ruleset(NETWORK, LINKS)
    assert 'iifname "internet" ip daddr 203.0.113.5 dnat to 172.27.3.2' in text
    assert 'oifname "internet" ip saddr 172.27.3.2 snat to 203.0.113.5' in text
    assert "172.27.3.130 snat" not in text


def test_behind_a_nat_gateway_its_address_speaks() -> None:
    behind = replace(NETWORK, interfaces=(replace(WEB, routes=(Route("0.0.0.0/0", "nat", "198.51.100.3"),)),))
    assert 'oifname "internet" ip saddr 172.27.3.130 snat to 198.51.100.3' in fabric.ruleset(behind, LINKS)
    assert fabric.public_addresses(behind) == {"198.51.100.3"}


def test_an_empty_network_compiles() -> None:
    empty = replace(NETWORK, interfaces=())
    assert "policy drop" in fabric.ruleset(empty, LINKS)
    assert fabric.local_addresses(empty) == {"169.254.169.254", "172.27.3.1", "172.27.3.129"}
