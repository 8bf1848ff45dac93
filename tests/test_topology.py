"""What is wanted, against the tables of the article."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import pytest

from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.resources import Ref, Resource
from runbook_lib.topology import GROUPS, ExistingNetwork, Topology, firewall, table, topology
from runbook_lib.topology.network import inside
from runbook_lib.topology.rules import groups, reached
from tests.standing import standing

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r somebody"
EXISTING = ExistingNetwork(
    gcp_network="shared",
    gcp_pub_subnet="shared-public",
    gcp_priv_subnet="https://www.googleapis.com/compute/v1/projects/p/regions/r/subnetworks/shared-private",
    aws_vpc="vpc-1",
    aws_pub_subnet=("subnet-1", "subnet-2", "subnet-3"),
    aws_priv_subnet=("subnet-4", "subnet-5", "subnet-6"),
    aws_ngw="nat-1",
    aws_igw="igw-1",
    aws_bastion_sg="sg-1",
    gcp_bastion_ip="203.0.113.9",
    aws_bastion_ip="198.51.100.9",
)


def make(network: ExistingNetwork | None = None, **values: Any) -> Topology:
    params = Params.parse(values, source="test")
    return topology(params, public_key=KEY, network=network, script=lambda p, cloud, role, name: f"#!{role} {name}")


@pytest.fixture(scope="module")
def wanted() -> Topology:
    return make()


def of_kind(wanted: Topology, cloud: str, kind: str) -> list[Resource]:
    return [r for r in wanted.resources if (r.cloud, r.kind) == (cloud, kind)]


def spec(wanted: Topology, key: str) -> Mapping[str, Any]:
    return wanted.by_key[key].spec


def test_every_reference_leads_to_a_resource_and_none_in_a_circle(wanted: Topology) -> None:
    for resource in wanted.resources:
        assert resource.needs() <= wanted.by_key.keys(), resource.key
    order = list(TopologicalSorter({r.key: r.needs() for r in wanted.resources}).static_order())
    assert len(order) == len(wanted.resources)


def test_no_resource_needs_one_of_a_later_step(wanted: Topology) -> None:
    for resource in wanted.resources:
        for key in resource.needs():
            assert wanted.by_key[key].step <= resource.step, (resource.key, key)


def test_every_name_starts_with_the_deployment() -> None:
    wanted = make(deployment="blue-2")
    assert all(resource.name.startswith("blue-2-") for resource in wanted.resources)


def test_subnets_are_the_first_and_the_fifth_eighths(wanted: Topology) -> None:
    seen = {r.name: (r.spec["cidr"], r.spec["zone"]) for r in of_kind(wanted, "aws", "subnet")}
    assert seen == {
        "demo-public-a": ("172.30.3.0/27", "us-west-2a"),
        "demo-public-b": ("172.30.3.32/27", "us-west-2b"),
        "demo-public-c": ("172.30.3.64/27", "us-west-2c"),
        "demo-private-a": ("172.30.3.128/27", "us-west-2a"),
        "demo-private-b": ("172.30.3.160/27", "us-west-2b"),
        "demo-private-c": ("172.30.3.192/27", "us-west-2c"),
    }
    seen_gcp = {r.name: (r.spec["ip_cidr_range"], r.spec["region"]) for r in of_kind(wanted, "gcp", "subnetwork")}
    assert seen_gcp == {
        "demo-public": ("172.27.3.0/26", "europe-west1"),
        "demo-private": ("172.27.3.128/26", "europe-west1"),
    }


def test_private_hosts_go_out_through_the_nat_gateway_and_the_bastion(wanted: Topology) -> None:
    private = spec(wanted, "aws:route_table:demo-private")
    assert private["routes"] == [{"destination": "0.0.0.0/0", "target": Ref("aws:nat_gateway:demo-nat")}]
    assert spec(wanted, "aws:nat_gateway:demo-nat")["subnet"] == Ref("aws:subnet:demo-public-a")
    route = spec(wanted, "gcp:route:demo-nat")
    assert (route["dest_range"], route["priority"]) == ("0.0.0.0/0", 800)
    assert route["tags"] == ["consul-servers", "consul-clients"]
    assert route["next_hop_instance"] == Ref("gcp:instance:demo-bastion-gcp", "self_link")
    assert spec(wanted, "gcp:instance:demo-bastion-gcp")["can_ip_forward"] is True


@pytest.mark.parametrize("kind", ["public", "private"])
def test_both_route_tables_learn_from_the_vpn(wanted: Topology, kind: str) -> None:
    table = spec(wanted, f"aws:route_table:demo-{kind}")
    assert table["propagating"] == [Ref("aws:vpn_gateway:demo-vgw")]
    assert table["subnets"] == [Ref(f"aws:subnet:demo-{kind}-{zone}") for zone in "abc"]


def test_four_tunnels_meet_their_other_ends(wanted: Topology) -> None:
    assert len(of_kind(wanted, "aws", "vpn_connection")) == 2
    tunnels = of_kind(wanted, "gcp", "vpn_tunnel")
    peering = spec(wanted, "gcp:router_peering:demo-vpn")
    addresses = spec(wanted, "gcp:external_vpn_gateway:demo-aws")["interfaces"]
    cidrs = [t["inside_cidr"] for r in of_kind(wanted, "aws", "vpn_connection") for t in r.spec["tunnels"]]
    for number, tunnel in enumerate(tunnels):
        connection, which = f"demo-gcp-{'ab'[number // 2]}", number % 2 + 1
        assert tunnel.spec["shared_secret"] == Ref(f"aws:vpn_connection:{connection}", f"key_{which}")
        assert tunnel.spec["vpn_gateway_interface"] == number // 2
        assert tunnel.spec["peer_external_gateway_interface"] == number
        assert tunnel.spec["ike_version"] == 2
        assert addresses[number]["ip_address"] == Ref(f"aws:vpn_connection:{connection}", f"address_{which}")
        aws, gcp = inside(number)
        peer, interface = peering["bgp_peers"][number], peering["interfaces"][number]
        assert (peer["ip_address"], peer["peer_ip_address"]) == (gcp, aws)
        assert (peer["peer_asn"], peer["advertised_route_priority"]) == (64512, 100)
        assert interface["ip_range"] == f"{gcp}/30"
        assert cidrs[number].startswith(aws.rpartition(".")[0])
    gateways = of_kind(wanted, "aws", "customer_gateway")
    assert [g.spec["asn"] for g in gateways] == [65273, 65273]
    assert [g.spec["address"].attribute for g in gateways] == ["address_0", "address_1"]


def test_nodes_have_the_articles_names_zones_and_steps(wanted: Topology) -> None:
    seen = {node.name: (node.zone[-1], node.public, node.step[:2]) for node in wanted.nodes_of("gcp")}
    assert seen == {
        "bastion-gcp": ("b", True, "00"),
        "server-gcp-consul-1": ("b", False, "01"),
        "server-gcp-consul-2": ("c", False, "01"),
        "server-gcp-consul-3": ("d", False, "01"),
        "server-gcp-traefik-1": ("c", True, "03"),
        "server-gcp-traefik-2": ("d", True, "03"),
        "server-gcp-test-1": ("b", False, "04"),
        "server-gcp-test-2": ("c", False, "04"),
    }
    assert len(list(wanted.nodes_of("aws"))) == 8
    assert all(node.key in wanted.by_key for node in wanted.nodes)


@pytest.mark.parametrize(
    ("values", "count"),
    [({}, 16), ({"test": False}, 12), ({"web_servers": 5}, 22), ({"consul_servers": 5, "traefiks": 1}, 18)],
)
def test_numbers_of_hosts_follow_the_parameters(values: dict[str, Any], count: int) -> None:
    assert len(make(**values).nodes) == count


def test_instances_carry_what_auto_join_looks_for(wanted: Topology) -> None:
    for node in wanted.nodes:
        seen = wanted.by_key[node.key].spec
        joins = node.role != "bastion"
        if node.cloud == "aws":
            assert seen["tags"].get("Consul") == ({"bastion": None, "consul": "server"}.get(node.role, "client"))
            assert bool(seen["profile"]) is joins
        else:
            assert ("consul-servers" in seen["tags"]["items"]) is (node.role == "consul")
            scopes = [scope for account in seen.get("service_accounts", []) for scope in account["scopes"]]
            assert scopes == (["https://www.googleapis.com/auth/compute.readonly"] if joins else [])


def test_traefik_has_none_of_the_tags_that_go_out_by_the_bastion(wanted: Topology) -> None:
    tags = spec(wanted, "gcp:instance:demo-server-gcp-traefik-1")["tags"]["items"]
    assert tags == ["traefik", "consul-traefik"]
    assert not set(tags) & set(spec(wanted, "gcp:route:demo-nat")["tags"])


def reach(cloud: str, wanted: Topology, group: str) -> set[tuple[str, str, str]]:
    """(protocol, ports, source) that a group lets in, read back from one cloud's resources."""
    seen: set[tuple[str, str, str]] = set()
    if cloud == "aws":
        for entry in spec(wanted, f"aws:security_group_rules:demo-{group}")["ingress"]:
            source = entry["source"]
            source = source.key.removeprefix("aws:security_group:demo-") if isinstance(source, Ref) else source
            low, high = entry["low"], entry["high"]
            ports = "" if low < 1 else str(low) if high in (low, -1) else f"{low}-{high}"
            seen.add((entry["protocol"], ports, source))
        return seen
    for rule in of_kind(wanted, "gcp", "firewall"):
        if group in rule.spec["target_tags"]:
            for allowed in rule.spec["allowed"]:
                for source in (*rule.spec["source_tags"], *rule.spec["source_ranges"]):
                    seen |= {(allowed["I_p_protocol"], port, source) for port in allowed.get("ports", [""])}
    return seen


HERE = {"aws": {"172.30.3.0/24"}, "gcp": {"172.27.3.0/26", "172.27.3.128/26"}}
PRIVATE = {"aws": {"172.30.3.128/27", "172.30.3.160/27", "172.30.3.192/27"}, "gcp": {"172.27.3.128/26"}}
AGENTS = ("consul-servers", "consul-clients", "consul-traefik")


ANYWHERE = "0.0.0.0/0"


def both(port: str, *sources: str) -> set[tuple[str, str, str]]:
    return {(protocol, port, source) for protocol in ("tcp", "udp") for source in sources}


def tcp(port: str, *sources: str) -> set[tuple[str, str, str]]:
    return {("tcp", port, source) for source in sources}


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_hardened_opens_what_roles_need_and_nothing_else(wanted: Topology, cloud: str) -> None:
    other = "gcp" if cloud == "aws" else "aws"
    # GCP's rules know no types of ICMP.
    echo = {("icmp", "8" if cloud == "aws" else "", cidr) for cidr in HERE["aws"] | HERE["gcp"]}
    ssh, lan = tcp("22", "bastion"), both("8301", *AGENTS)
    wan = both("8302", "consul-servers", *PRIVATE[other]) | tcp("8300", *AGENTS, *PRIVATE[other])
    expected = {
        "bastion": tcp("22", ANYWHERE) | echo,
        "consul-servers": ssh | lan | wan | echo,
        "consul-clients": ssh | lan | echo,
        "consul-traefik": lan,
        "traefik": tcp("80", ANYWHERE) | tcp("8080", "bastion") | ssh | echo,
        "web": tcp("80", "traefik"),
    }
    if cloud == "gcp":
        expected["bastion"] |= tcp("80", *PRIVATE["gcp"]) | tcp("443", *PRIVATE["gcp"])
    assert {group: reach(cloud, wanted, group) for group in groups()} == expected


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_article_opens_what_the_article_lists(cloud: str) -> None:
    servers = both("53", ANYWHERE) | both("8301", ANYWHERE) | both("8302", ANYWHERE) | {("icmp", "", ANYWHERE)}
    for port in ("22", "8300", "8500"):
        servers |= tcp(port, ANYWHERE)
    clients = tcp("8300", *AGENTS) | both("8301", *AGENTS) | (tcp("8500", *AGENTS) if cloud == "gcp" else set())
    public = tcp("80", ANYWHERE) | tcp("443", ANYWHERE)
    expected = {
        "bastion": {("all", "", ANYWHERE)},
        "consul-servers": servers,
        "consul-clients": clients | tcp("22", "bastion"),
        "consul-traefik": clients,
        "traefik": public | tcp("22", "bastion") | tcp("8080", "bastion"),
        "web": public if cloud == "aws" else tcp("80", "traefik"),
    }
    seen = make(security="article")
    assert {group: reach(cloud, seen, group) for group in groups()} == expected


def test_hardened_never_opens_consuls_api_its_names_or_an_unused_port(wanted: Topology) -> None:
    ports = {port for cloud in ("aws", "gcp") for group in groups() for _, port, _ in reach(cloud, wanted, group)}
    assert not ports & {"53", "8500", "8600"}
    assert ports == {"", "8", "22", "80", "443", "8080", "8300", "8301", "8302"}
    anywhere = {
        (group, port)
        for cloud in ("aws", "gcp")
        for group in groups()
        for _, port, source in reach(cloud, wanted, group)
        if source == ANYWHERE
    }
    assert anywhere == {("bastion", "22"), ("traefik", "80")}


@pytest.mark.parametrize("levels", [("hardened", "article"), ("article", "hardened")])
def test_another_level_of_security_changes_rules_alone(levels: tuple[str, str]) -> None:
    before, after = (Params.parse({"security": level}, source="test") for level in levels)
    found = {**standing(after), **standing(before)}  # from the second step on: new rules, and what was there before

    def work(params: Params) -> set[str]:
        wanted = topology(params, public_key="ssh-ed25519 AAAA operator", script=lambda *_: "")
        actions = list(plan(wanted, standing(before), "00_provision").work)
        for step in ("01_bootstrap", "03_traefik", "04_test"):
            actions += plan(wanted, found, step).work
        return {f"{action.verb} {action.key.rpartition(':')[0]}" for action in actions}

    # The VPN's addresses of a deployment that is only imagined differ from plan to plan.
    assert work(after) - work(before) == {
        "change aws:security_group_rules",
        *(f"{verb} gcp:firewall" for verb in ("create", "change", "destroy")),
    }


@pytest.mark.parametrize("security", ["hardened", "article"])
def test_the_table_speaks_of_groups_that_exist(security: str) -> None:
    params = Params.parse({"security": security}, source="test")
    for rule in table(params):
        assert {*rule.to, *rule.groups} <= {*groups()}, rule.name
    assert len({rule.name for rule in table(params)}) == len(table(params))
    assert all(GROUPS.values())
    assert len(firewall(params)) == len(table(params))


def test_what_is_open_is_told_by_role() -> None:
    assert reached(Params())["traefik"] == (
        "22 from bastion",
        "8301 tcp+udp from consul, traefik, web",
        "80 from anywhere",
        "8080 from bastion",
        "icmp echo from this cloud, the other cloud",
    )
    bastion = reached(Params())["bastion"]
    assert "80, 443 from private hosts (GCP)" in bastion
    assert reached(Params(security="article"))["bastion"] == ("all from anywhere",)


def test_roles_and_service_accounts_may_read_what_auto_join_reads_and_no_more(wanted: Topology) -> None:
    assert [role.spec["actions"] for role in of_kind(wanted, "aws", "iam_role")] == [["ec2:DescribeInstances"]]
    scopes = {
        tuple(account["scopes"])
        for instance in of_kind(wanted, "gcp", "instance")
        for account in instance.spec.get("service_accounts", [])
    }
    assert scopes == {("https://www.googleapis.com/auth/compute.readonly",)}


def test_an_existing_network_is_used_and_nothing_of_it_is_wanted() -> None:
    wanted = make(EXISTING)
    kinds = {f"{resource.cloud}:{resource.kind}" for resource in wanted.resources}
    assert kinds == {
        "aws:iam_role",
        "aws:instance_profile",
        "aws:key_pair",
        "aws:security_group",
        "aws:security_group_rules",
        "aws:instance",
        "gcp:firewall",
        "gcp:instance",
    }
    assert not list(wanted.nodes_of(role="bastion"))
    for resource in wanted.resources:
        assert resource.needs() <= wanted.by_key.keys(), resource.key
    assert spec(wanted, "aws:security_group:demo-traefik")["vpc"] == "vpc-1"
    assert spec(wanted, "aws:instance:demo-server-aws-consul-2")["subnet"] == "subnet-5"
    assert spec(wanted, "aws:instance:demo-server-aws-traefik-1")["subnet"] == "subnet-2"
    assert ("tcp", "22", "sg-1") in reach("aws", wanted, "traefik")
    assert "aws:security_group:demo-bastion" not in wanted.by_key
    assert not any("bastion" in r.spec["target_tags"] for r in of_kind(wanted, "gcp", "firewall"))
    network = spec(wanted, "gcp:firewall:demo-web")["network"]
    assert network == "projects/runbook-lab/global/networks/shared"
    interface = spec(wanted, "gcp:instance:demo-server-gcp-consul-1")["network_interfaces"][0]
    assert interface["subnetwork"] == EXISTING.gcp_priv_subnet


def test_boot_scripts_fit_into_user_data() -> None:
    wanted = topology(Params(), public_key=KEY)
    for resource in of_kind(wanted, "aws", "instance"):
        assert 0 < len(resource.spec["user_data"].encode()) <= 16 * 1024, resource.key


def test_no_private_key_and_no_comment_of_the_public_one_goes_to_aws(wanted: Topology) -> None:
    assert spec(wanted, "aws:key_pair:demo-operator")["public_key"] == KEY.rpartition(" ")[0]
