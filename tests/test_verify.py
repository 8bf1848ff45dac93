"""The checks that need nothing but records: each agrees with what is right, and sees what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from runbook_lib import verify, vpn
from runbook_lib.checks import Check
from runbook_lib.params import Params
from runbook_lib.resources import Found
from runbook_lib.visits import Answer, Outage, server_name
from tests.standing import PARAMS, changed, site_of, standing

FOUND = standing()
SMALL = Params(traefiks=1, web_servers=2)

WAY_OUT = "GCP: private hosts go out by the bastion (next hop, priority, tags)"


def failed(checks: Iterable[Check]) -> list[str]:
    """Names of the checks that do not agree; there must be some checks."""
    every = list(checks)
    assert every
    return [check.name for check in every if not check.ok]


def test_a_step_is_settled_once_its_plan_is_empty() -> None:
    assert failed(verify.settled(site_of(FOUND), "01_bootstrap")) == []
    server = "gcp:instance:demo-server-gcp-consul-2"
    for found, verb in ((changed(FOUND, server, tags={"items": []}), "change"), ({**FOUND}, "create")):
        if verb == "create":
            del found[server]
        [check] = verify.settled(site_of(found), "01_bootstrap")
        assert (check.name, check.seen, check.ok) == ("01_bootstrap: still to do", [f"{verb} {server}"], False)


# ---- 00_provision ----------------------------------------------------------------------------------------


def test_a_network_as_wanted_passes() -> None:
    assert failed(verify.network(site_of(FOUND))) == []


@pytest.mark.parametrize(
    ("key", "values", "check"),
    [
        ("aws:vpc:demo-vpc", {"cidr": "172.30.4.0/24"}, "AWS: the VPC's range"),
        ("aws:subnet:demo-public-b", {"zone": "us-west-2a"}, "AWS: public subnets, one a zone"),
        ("aws:subnet:demo-private-c", {"cidr": "172.30.3.224/27"}, "AWS: private subnets, one a zone"),
        (
            "aws:nat_gateway:demo-nat",
            {"subnet": "id of aws:subnet:demo-private-a"},
            "AWS: the NAT gateway stands in the first public subnet",
        ),
        ("aws:route_table:demo-private", {"routes": []}, "AWS: private hosts go out by it"),
        (
            "aws:route_table:demo-public",
            {"routes": [{"destination": "0.0.0.0/0", "target": "id of aws:nat_gateway:demo-nat"}]},
            "AWS: public hosts go straight",
        ),
        ("gcp:subnetwork:demo-public", {"ip_cidr_range": "172.27.3.0/27"}, "GCP: the public subnet"),
        ("gcp:subnetwork:demo-private", {"ip_cidr_range": "172.27.3.64/26"}, "GCP: the private subnet"),
        ("gcp:route:demo-nat", {"priority": 1000}, WAY_OUT),
        ("gcp:route:demo-nat", {"tags": ["consul-servers"]}, WAY_OUT),
        ("gcp:route:demo-nat", {"next_hop_instance": "x/other"}, WAY_OUT),
        ("gcp:instance:demo-bastion-gcp", {"can_ip_forward": False}, "GCP: the bastion may forward packets"),
        (
            "aws:iam_role:demo-ec2-describe-instances",
            {"actions": ["ec2:DescribeInstances", "ec2:RunInstances"]},
            "AWS: instances may only list instances",
        ),
    ],
)
def test_what_is_wrong_with_a_network_is_named(key: str, values: Mapping[str, Any], check: str) -> None:
    assert failed(verify.network(site_of(changed(FOUND, key, **values)))) == [check]


def without_hosts(found: Mapping[str, Found]) -> dict[str, Found]:
    """The network alone: the bastions' connection through the VPN is for the lab's tests."""
    return {key: thing for key, thing in found.items() if ":instance:" not in key}


def test_a_vpn_as_wanted_passes() -> None:
    assert failed(verify.vpn(site_of(without_hosts(FOUND)))) == []


@pytest.mark.parametrize(
    ("key", "values", "check"),
    [
        ("aws:vpn_gateway:demo-vgw", {"asn": 64513}, "AWS: AS number"),
        ("gcp:router:demo-vpn", {"bgp": {"asn": 65000}}, "GCP: AS number"),
        ("aws:vpn_connection:demo-gcp-b", {"state_2": "DOWN"}, "AWS: tunnels up"),
        ("gcp:vpn_tunnel:demo-aws-3", {"state": "FIRST_HANDSHAKE"}, "GCP: tunnels established"),
        ("aws:route_table:demo-private", {"propagating": []}, "AWS: learned routes reach the private subnets"),
        ("gcp:router_peering:demo-vpn", {"bgp_peers": []}, "GCP: BGP sessions, with their priority"),
    ],
)
def test_what_is_wrong_with_a_vpn_is_named(key: str, values: Mapping[str, Any], check: str) -> None:
    assert failed(verify.vpn(site_of(changed(without_hosts(FOUND), key, **values)))) == [check]


def test_each_tunnel_has_its_own_pair_of_ends() -> None:
    found = changed(FOUND, "aws:vpn_connection:demo-gcp-a", address_2="198.51.100.2", state_2="DOWN", routes_2=0)
    rows = vpn.tunnels(site_of(found))
    assert [row["tunnel"] for row in rows] == [1, 2, 3, 4]
    assert [row["GCP end"] for row in rows] == ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2"]
    assert [row["AWS end"] for row in rows] == ["198.51.100.1", "198.51.100.2", "198.51.100.1", "198.51.100.1"]
    assert [(row["aws"], row["routes"]) for row in rows] == [("UP", 2), ("DOWN", 0), ("UP", 2), ("UP", 2)]


# ---- 03_traefik ------------------------------------------------------------------------------------------


def test_load_balancers_of_gcp_answer_straight() -> None:
    assert failed(verify.straight_out(site_of(FOUND))) == []
    tags = {"items": ["traefik", "consul-traefik", "consul-clients"]}
    found = changed(FOUND, "gcp:instance:demo-server-gcp-traefik-2", tags=tags)
    assert failed(verify.straight_out(site_of(found))) == ["server-gcp-traefik-2: tags"]


# ---- 04_test ---------------------------------------------------------------------------------------------


def answers_of_all() -> list[Answer]:
    """One answer of every web server through every load balancer of its cloud."""
    hosts = site_of(standing(SMALL), SMALL).hosts()
    return [
        Answer(balancer.name, 200, server_name(SMALL, web), 0.01, 0.0, "")
        for balancer in hosts
        for web in hosts
        if (balancer.role, web.role) == ("traefik", "web") and balancer.cloud == web.cloud
    ]


def test_all_web_servers_answered() -> None:
    given = answers_of_all()
    assert len(given) == 4
    assert failed(verify.all_answered(site_of(standing(SMALL), SMALL), given)) == []
    unserved = Answer("server-aws-traefik-1", 502, "", 0.01, 0.0, "bad gateway")
    assert failed(verify.all_answered(site_of(standing(SMALL), SMALL), [*given, unserved])) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda given: given[1:],
        lambda given: [replace(given[0], status=500), *given[1:]],
        lambda given: [*given, replace(given[-1], traefik=given[0].traefik)],
    ],
    ids=["one is missing", "one failed", "one of the other cloud answered"],
)
def test_a_web_server_that_did_not_answer_is_noticed(spoil: Any) -> None:
    checks = verify.all_answered(site_of(standing(SMALL), SMALL), spoil(answers_of_all()))
    assert failed(checks) == ["server-aws-traefik-1: answered by"]


def outage(*, spoiled_at: float = -1, server: str = "", only: bool = False) -> Outage:
    """Sixty seconds, a request each: stopped at 10, left at 12, started at 30, returned at 40; one is spoiled."""

    def at(moment: int) -> Answer:
        other = "" if only else "web-2"
        name = other if (moment % 2 and not only) or 12 <= moment < 40 else "web-1"
        name = server if moment == spoiled_at else name
        return Answer("traefik-1", 200 if name else 502, name, 0.01, float(moment), "")

    return Outage("web-1", tuple(map(at, range(60))), stopped=10.0, left=12.0, started=30.0, returned=40.0)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (outage(), []),
        (outage(spoiled_at=11, server=""), []),
        (outage(spoiled_at=12, server=""), ["failed requests once it had left"]),
        (outage(spoiled_at=29, server="web-1"), ["answers by web-1 once it had left"]),
        (outage(spoiled_at=35, server=""), []),
        (outage(spoiled_at=40, server=""), ["failed requests after its return"]),
        (replace(outage(), returned=59.0), ["answers by web-1 after its return"]),
        (replace(outage(), answers=outage().answers[11:]), ["requests while it was watched"]),
        (replace(outage(), left=30.0), ["requests while it was away"]),
        (replace(outage(), alone=True), ["failed requests once the only one had left"]),
        (replace(outage(only=True), alone=True), []),
        (outage(only=True), ["failed requests once it had left"]),
    ],
)
def test_an_outage_is_judged(seen: Outage, expected: list[str]) -> None:
    assert failed(verify.outage(seen)) == expected


# ---- 05_teardown -----------------------------------------------------------------------------------------


def test_what_is_left_is_named_by_its_cloud() -> None:
    assert failed(verify.nothing_left(site_of({}))) == []
    left = {"gcp:route:demo-nat": FOUND["gcp:route:demo-nat"]}
    checks = list(verify.nothing_left(site_of(left)))
    assert failed(checks) == [f"gcp: resources of {PARAMS.deployment}"]
    assert checks[1].seen == ["gcp:route:demo-nat"]


def test_a_visitor_who_went_without_an_answer_is_told_of() -> None:
    served = Answer("server-aws-traefik-1", 200, "ip-172-30-3-133", 0.1, 0.0, "welcome")
    assert failed(verify.none_failed([served])) == []
    for answer, told in (
        (replace(served, status=502, server=""), "server-aws-traefik-1: 502"),
        (replace(served, status=0, server="", text="ConnectTimeout"), "server-aws-traefik-1: ConnectTimeout"),
    ):
        [check] = verify.none_failed([served, answer])
        assert (check.ok, check.seen) == (False, [told])
