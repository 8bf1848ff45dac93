"""What is wanted in GCP.

A spec is the message that ``insert`` takes, in google-cloud-compute's field names; ``region`` or ``zone`` says where.
One kind is not a message of its own: ``router_peering`` is the ``interfaces`` and ``bgp_peers`` of the router of the
same name, which can be set only once the tunnels exist that in turn need the router.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..params import Params
from ..resources import Ref, Resource
from .network import ExistingNetwork, inside, places
from .nodes import Node
from .rules import GROUPS, Port, rules

STEP = "00_provision"
READ_ONLY = "https://www.googleapis.com/auth/compute.readonly"
# Hosts with these tags go out through the bastion. (The article lists nomad-* as well, for a later episode.)
NAT_TAGS = ("consul-servers", "consul-clients")


def resources(
    params: Params,
    nodes: tuple[Node, ...],
    scripts: Mapping[str, str],
    public_key: str,
    network: ExistingNetwork | None,
) -> Iterator[Resource]:
    """Everything wanted in GCP, given the rendered script of each node's key."""
    if network is None:
        yield from _network(params)
        yield from _vpn(params)
    yield from _firewall(params, network)
    for node in nodes:
        if node.cloud == "gcp":
            yield _instance(params, node, scripts[node.key], public_key, network)


def _resource(params: Params, kind: str, name: str, spec: Mapping[str, Any], after: tuple[str, ...] = ()) -> Resource:
    described = {"name": name, "description": f"deployment={params.deployment}", **spec}
    return Resource("gcp", kind, name, STEP, described, after)


def _ref(kind: str, name: str) -> Ref:
    return Ref(f"gcp:{kind}:{name}", "self_link")


def _network_of(params: Params, network: ExistingNetwork | None) -> Ref | str:
    if network is None:
        return _ref("network", f"{params.deployment}-network")
    name = network.gcp_network
    return name if "/" in name else f"projects/{params.gcp_project}/global/networks/{name}"


def _subnetwork_of(params: Params, public: bool, network: ExistingNetwork | None) -> Ref | str:
    if network is None:
        return _ref("subnetwork", f"{params.deployment}-{'public' if public else 'private'}")
    name = network.gcp_pub_subnet if public else network.gcp_priv_subnet
    return name if "/" in name else f"projects/{params.gcp_project}/regions/{params.gcp_region}/subnetworks/{name}"


def _network(params: Params) -> Iterator[Resource]:
    dep = params.deployment
    net = _ref("network", f"{dep}-network")
    spec: dict[str, Any] = {"auto_create_subnetworks": False, "routing_config": {"routing_mode": "REGIONAL"}}
    yield _resource(params, "network", f"{dep}-network", spec)
    for kind, cidr in (("public", params.gcp_public_subnet), ("private", params.gcp_private_subnet)):
        spec = {"network": net, "ip_cidr_range": cidr, "region": params.gcp_region}
        yield _resource(params, "subnetwork", f"{dep}-{kind}", spec)
    spec = {
        "network": net,
        "dest_range": "0.0.0.0/0",
        "priority": 800,
        "next_hop_instance": _ref("instance", f"{dep}-bastion-gcp"),
        "tags": list(NAT_TAGS),
    }
    yield _resource(params, "route", f"{dep}-nat", spec)


def _vpn(params: Params) -> Iterator[Resource]:
    dep, region = params.deployment, params.gcp_region
    net = _ref("network", f"{dep}-network")
    name = f"{dep}-vpn"
    yield _resource(params, "vpn_gateway", name, {"network": net, "region": region})
    yield _resource(params, "router", name, {"network": net, "region": region, "bgp": {"asn": params.gcp_asn}})

    def of_tunnel(number: int, attribute: str) -> Ref:
        """An attribute of AWS's end: connection a has tunnels 0 and 1, connection b has 2 and 3."""
        return Ref(f"aws:vpn_connection:{dep}-gcp-{'ab'[number // 2]}", f"{attribute}_{number % 2 + 1}")

    yield _resource(
        params,
        "external_vpn_gateway",
        f"{dep}-aws",
        {
            "redundancy_type": "FOUR_IPS_REDUNDANCY",
            "interfaces": [{"id": n, "ip_address": of_tunnel(n, "address")} for n in range(4)],
        },
    )
    interfaces, peers = [], []
    for number in range(4):
        tunnel = f"{dep}-aws-{number + 1}"
        spec = {
            "region": region,
            "vpn_gateway": _ref("vpn_gateway", name),
            "vpn_gateway_interface": number // 2,
            "peer_external_gateway": _ref("external_vpn_gateway", f"{dep}-aws"),
            "peer_external_gateway_interface": number,
            "router": _ref("router", name),
            "ike_version": 2,
            "shared_secret": of_tunnel(number, "key"),
        }
        yield _resource(params, "vpn_tunnel", tunnel, spec)
        aws_address, gcp_address = inside(number)
        interfaces.append(
            {"name": tunnel, "ip_range": f"{gcp_address}/30", "linked_vpn_tunnel": _ref("vpn_tunnel", tunnel)}
        )
        peers.append(
            {
                "name": tunnel,
                "interface_name": tunnel,
                "ip_address": gcp_address,
                "peer_ip_address": aws_address,
                "peer_asn": params.aws_asn,
                "advertised_route_priority": 100,
            }
        )
    spec = {"region": region, "interfaces": interfaces, "bgp_peers": peers}
    yield Resource("gcp", "router_peering", name, STEP, spec, after=(f"gcp:router:{name}",))


def _firewall(params: Params, network: ExistingNetwork | None) -> Iterator[Resource]:
    where = places(params, "gcp", network)
    for rule in rules(params, "gcp"):
        # An existing network's bastion has its own rules.
        targets = [group for group in rule.to if not (network and group == "bastion")]
        if not targets:
            continue
        spec: dict[str, Any] = {
            "network": _network_of(params, network),
            "direction": "INGRESS",
            "priority": 1000,
            "target_tags": targets,
            "allowed": _allowed(rule.ports),
            "source_tags": list(rule.groups),
            "source_ranges": [cidr for place in rule.places for cidr in where[place]],
        }
        yield _resource(params, "firewall", f"{params.deployment}-{rule.name}", spec)


def _allowed(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    by_protocol: dict[str, list[str]] = {}
    for port in ports:
        numbers = by_protocol.setdefault(port.protocol, [])
        if port.low and port.protocol != "icmp":
            numbers.append(str(port.low) if port.low == port.high else f"{port.low}-{port.high}")
    return [{"I_p_protocol": name, **({"ports": numbers} if numbers else {})} for name, numbers in by_protocol.items()]


def _instance(params: Params, node: Node, script: str, public_key: str, network: ExistingNetwork | None) -> Resource:
    interface: dict[str, Any] = {"subnetwork": _subnetwork_of(params, node.public, network)}
    if node.public:
        interface["access_configs"] = [{"name": "External NAT", "type_": "ONE_TO_ONE_NAT"}]
    metadata = {"startup-script": script, "ssh-keys": f"{params.ssh_user}:{public_key.strip()}"}
    spec: dict[str, Any] = {
        "name": f"{params.deployment}-{node.name}",
        "zone": node.zone,
        "machine_type": f"zones/{node.zone}/machineTypes/{params.gcp_machine_type}",
        "can_ip_forward": node.role == "bastion",
        "tags": {"items": list(GROUPS[node.role])},
        "labels": {"deployment": params.deployment, "role": node.role},
        "disks": [{"boot": True, "auto_delete": True, "initialize_params": {"source_image": params.gcp_image}}],
        "network_interfaces": [interface],
        "metadata": {"items": [{"key": key, "value": value} for key, value in metadata.items()]},
    }
    if node.role != "bastion":
        # All that Consul's cloud auto-join needs.
        spec["service_accounts"] = [{"email": "default", "scopes": [READ_ONLY]}]
    return Resource("gcp", "instance", spec["name"], node.step, spec)
