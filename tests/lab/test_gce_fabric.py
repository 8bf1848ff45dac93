"""From documents to the model's records, by tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runbook_lib.lab.gce import fabric
from runbook_lib.lab.model import Route, Rule, TunnelStatus
from tests.lab.test_gce import PROJECT, REGION, Site, build_vpn, instance_body

SERVER = f"{REGION}-b/server"


def instance(name: str, address: str, *tags: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "selfLink": f"https://x/{name}",
        "status": "RUNNING",
        "canIpForward": False,
        "tags": {"items": list(tags)},
        "serviceAccounts": [],
        "networkInterfaces": [{"networkIP": address}],
        **more,
    }


MEMBERS = [
    instance("server", "10.0.0.2", "servers"),
    instance("client", "10.0.0.3", "clients"),
    instance("other", "10.0.0.4", "clients", "web"),
    instance("nat", "10.0.0.5", "bastion", canIpForward=True),
    instance("off", "10.0.0.6", canIpForward=True, status="TERMINATED"),
]
IN = {"direction": "INGRESS", "priority": 1000}
ALL = ("0.0.0.0/0",)


def rule(**more: Any) -> Rule:
    whole: dict[str, Any] = {"direction": "in", "allow": True, "protocol": "tcp", "ports": (), "peers": ALL}
    return Rule(**{**whole, **more})


@pytest.mark.parametrize(
    ("firewall", "expected"),
    [
        ({**IN, "allowed": [{"IPProtocol": "tcp"}], "sourceRanges": ["0.0.0.0/0"]}, [rule()]),
        # No source at all means everybody.
        ({**IN, "allowed": [{"IPProtocol": "icmp"}]}, [rule(protocol="icmp")]),
        (
            {**IN, "allowed": [{"IPProtocol": "tcp", "ports": ["22", "8300-8302"]}], "sourceRanges": ["10.0.0.0/8"]},
            [rule(ports=((22, 22), (8300, 8302)), peers=("10.0.0.0/8",))],
        ),
        # Tags mean the addresses of those that carry them now; together with ranges, either will do.
        (
            {**IN, "allowed": [{"IPProtocol": "udp"}], "sourceTags": ["clients"]},
            [rule(protocol="udp", peers=("10.0.0.3/32", "10.0.0.4/32"))],
        ),
        (
            {**IN, "allowed": [{"IPProtocol": "udp"}], "sourceTags": ["web"], "sourceRanges": ["9.9.9.9/32"]},
            [rule(protocol="udp", peers=("9.9.9.9/32", "10.0.0.4/32"))],
        ),
        # A tag that nobody carries lets nobody in.
        ({**IN, "allowed": [{"IPProtocol": "tcp"}], "sourceTags": ["nobody"]}, [rule(peers=())]),
        ({**IN, "denied": [{"IPProtocol": "all"}], "priority": 5}, [rule(allow=False, protocol="all", priority=5)]),
        (
            {
                "direction": "EGRESS",
                "priority": 7,
                "denied": [{"IPProtocol": "tcp"}],
                "destinationRanges": ["1.0.0.0/8"],
            },
            [rule(direction="out", allow=False, peers=("1.0.0.0/8",), priority=7)],
        ),
        ({**IN, "allowed": [{"IPProtocol": "6"}, {"IPProtocol": "17"}]}, [rule(), rule(protocol="udp")]),
        ({**IN, "allowed": [{"IPProtocol": "esp"}, {"IPProtocol": "47"}]}, [rule(protocol="50"), rule(protocol="47")]),
        ({**IN, "allowed": [{"IPProtocol": "132", "ports": ["9"]}]}, [rule(protocol="sctp", ports=((9, 9),))]),
        # A forwarder may let in what is for others, and not what is for itself.
        (
            {**IN, "denied": [{"IPProtocol": "tcp"}], "destinationRanges": ["10.0.0.0/8"]},
            [rule(allow=False, own=("10.0.0.0/8",))],
        ),
        ({**IN, "allowed": [{"IPProtocol": "tcp"}], "targetTags": ["servers"]}, [rule()]),
        ({**IN, "allowed": [{"IPProtocol": "tcp"}], "targetTags": ["clients"]}, []),
        ({**IN, "allowed": [{"IPProtocol": "tcp"}], "disabled": True}, []),
    ],
)
def test_firewall_rules_of_the_server(firewall: dict[str, Any], expected: list[Rule]) -> None:
    assert fabric.rules(MEMBERS[0], [firewall], MEMBERS) == (*expected, *fabric.IMPLIED)


def test_rules_stand_in_order_and_a_deny_before_an_allow() -> None:
    firewalls = [
        {**IN, "allowed": [{"IPProtocol": "tcp"}], "priority": 20},
        {**IN, "allowed": [{"IPProtocol": "tcp"}], "priority": 10},
        {**IN, "denied": [{"IPProtocol": "tcp"}], "priority": 10},
    ]
    found = fabric.rules(MEMBERS[0], firewalls, MEMBERS)
    assert [(r.priority, r.allow) for r in found] == [
        (10, False),
        (10, True),
        (20, True),
        (65535, False),
        (65535, True),
    ]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"nextHopGateway": "x"}, [Route("0.0.0.0/0", "internet")]),
        ({"nextHopGateway": "x", "tags": ["servers"]}, [Route("0.0.0.0/0", "internet")]),
        ({"nextHopGateway": "x", "tags": ["clients"]}, []),
        ({"nextHopInstance": "https://x/nat", "priority": 800}, [Route("0.0.0.0/0", "instance", "10.0.0.5", 800)]),
        ({"nextHopIp": "10.0.0.5"}, [Route("0.0.0.0/0", "instance", "10.0.0.5")]),
        # Without canIpForward the packets are swallowed.
        ({"nextHopInstance": "https://x/client"}, [Route("0.0.0.0/0", "none")]),
        # A next hop that is off or gone takes its route with it.
        ({"nextHopInstance": "https://x/off"}, []),
        ({"nextHopInstance": "https://x/gone"}, []),
        ({"nextHopVpnTunnel": "x"}, [Route("0.0.0.0/0", "vpn")]),
        ({"nextHopNetwork": "x"}, []),
    ],
)
def test_routes_of_the_server(route: dict[str, Any], expected: list[Route]) -> None:
    whole = {"destRange": "0.0.0.0/0", "priority": 1000, **route}
    assert fabric.routes_of(MEMBERS[0], [whole], MEMBERS) == tuple(expected)


@pytest.mark.parametrize(
    ("own", "project", "expected"),
    [
        ({"ssh-keys": "root:ssh-ed25519 AAA a\nada:ssh-ed25519 BBB b"}, {}, "ssh-ed25519 AAA a\n"),
        ({}, {"ssh-keys": "root:ssh-ed25519 CCC c\n\n"}, "ssh-ed25519 CCC c\n"),
        ({"ssh-keys": "root:k1"}, {"ssh-keys": "root:k2"}, "k1\nk2\n"),
        ({"ssh-keys": "root:k1", "block-project-ssh-keys": "TRUE"}, {"ssh-keys": "root:k2"}, "k1\n"),
        ({}, {}, ""),
    ],
)
def test_keys_that_let_root_in(own: dict[str, str], project: dict[str, str], expected: str) -> None:
    def items(values: dict[str, str]) -> dict[str, Any]:
        return {"items": [{"key": key, "value": value} for key, value in values.items()]}

    assert fabric.authorized_keys({"metadata": items(own)}, items(project)) == expected


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    try:
        yield found
    finally:
        found.close()


# ---- with a real store ---------------------------------------------------------------------------------------


def test_learned_routes_count_where_the_router_is_and_while_the_tunnel_is_up(site: Site) -> None:
    build_vpn(site)
    site.instance("server")
    site.insert(
        "subnetwork",
        {"name": "far", "network": "global/networks/net", "ip_cidr_range": "10.9.0.0/24"},
        region="us-central1",
    )
    site.insert(
        "instance",
        {
            **instance_body("far", zone="us-central1-a"),
            "network_interfaces": [{"subnetwork": "regions/us-central1/subnetworks/far"}],
        },
        zone="us-central1-a",
    )
    up = TunnelStatus(True, "", ("172.30.3.0/24", "172.27.3.0/27"))
    learned = Route("172.30.3.0/24", "vpn", priority=100)

    def vpn_routes(status: TunnelStatus) -> dict[str, list[Route]]:
        (network,) = site.gce.networks({f"{REGION}/t0": status, f"{REGION}/t1": status, "aws": up})
        return {i.machine: [r for r in i.routes if r.via == "vpn"] for i in network.interfaces}

    assert vpn_routes(up) == {SERVER: [learned], "us-central1-a/far": []}
    assert vpn_routes(TunnelStatus(False, "", up.learned)) == {SERVER: [], "us-central1-a/far": []}
    wish = {"routing_config": {"routing_mode": "GLOBAL"}}
    site.client("NetworksClient").patch_unary(project=PROJECT, network="net", network_resource=wish)
    assert vpn_routes(up) == {SERVER: [learned], "us-central1-a/far": [learned]}


def test_a_network_is_told_with_all_that_is_in_it(site: Site) -> None:
    site.network()
    site.instance("server", tags={"items": ["servers"]})
    site.instance("nat", subnet="net-public", public=True, can_ip_forward=True, tags={"items": ["bastion"]})
    site.insert(
        "firewall",
        {
            "name": "ssh",
            "network": "global/networks/net",
            "allowed": [{"I_p_protocol": "tcp", "ports": ["22"]}],
            "source_tags": ["bastion"],
            "target_tags": ["servers"],
        },
    )
    site.insert(
        "route",
        {
            "name": "out",
            "network": "global/networks/net",
            "dest_range": "0.0.0.0/0",
            "priority": 800,
            "next_hop_instance": f"zones/{REGION}-b/instances/nat",
            "tags": ["servers"],
        },
    )
    (network,) = site.gce.networks({})
    assert (network.cloud, network.id, network.subnets) == ("gcp", "net", ("172.27.3.128/26", "172.27.3.0/26"))
    nat, server = sorted(network.interfaces, key=lambda i: i.machine)
    assert (nat.address, nat.subnet, nat.forwards, bool(nat.public)) == ("172.27.3.2", "172.27.3.0/26", True, True)
    assert (server.machine, server.public, server.forwards) == (SERVER, None, False)
    assert server.rules[0] == Rule("in", True, "tcp", ((22, 22),), ("172.27.3.2/32",))
    assert nat.rules == fabric.IMPLIED
    assert set(server.routes) == {
        Route("0.0.0.0/0", "internet"),
        Route("0.0.0.0/0", "instance", "172.27.3.2", 800),
    }
    assert nat.routes == (Route("0.0.0.0/0", "internet"),)
    (machine,) = [m for m in site.gce.machines() if m.name == "server"]
    assert (machine.network, machine.zone, machine.private_ip) == ("net", f"{REGION}-b", "172.27.3.130")


def test_a_stopped_next_hop_is_disregarded(site: Site) -> None:
    site.network()
    site.instance("server")
    site.instance("nat", can_ip_forward=True)
    body = {
        "name": "out",
        "network": "global/networks/net",
        "dest_range": "0.0.0.0/0",
        "next_hop_instance": f"zones/{REGION}-b/instances/nat",
    }
    site.insert("route", body)

    def ways() -> set[str]:
        (network,) = site.gce.networks({})
        return {r.via for i in network.interfaces if i.machine == SERVER for r in i.routes}

    assert ways() == {"internet", "instance"}
    client = site.client("InstancesClient")
    client.stop_unary(project=PROJECT, zone=f"{REGION}-b", instance="nat")
    assert site.world.running == {SERVER}
    assert ways() == {"internet"}
