"""What is wanted in AWS.

Specs are the runbook's own small words; ``clouds/aws`` turns them into API calls. An attachment, association or
route is a field of the thing it belongs to, so that a half-made one is seen and completed by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..bootstrap import digest
from ..params import Params
from ..resources import Ref, Resource
from .names import role_name
from .network import TUNNELS, ExistingNetwork, aws_subnets, places
from .nodes import Node
from .rules import GROUPS, groups, rules

STEP = "00_provision"
# One set of algorithms that both clouds offer, instead of a negotiation among many.
_CIPHERS: Mapping[str, Any] = {"encryption": "AES256", "integrity": "SHA2-256", "dh_group": 14}


def resources(
    params: Params,
    nodes: tuple[Node, ...],
    scripts: Mapping[str, str],
    public_key: str,
    network: ExistingNetwork | None,
) -> Iterator[Resource]:
    """Everything wanted in AWS, given the rendered script of each node's key."""
    dep = params.deployment
    role = role_name(dep)
    yield _resource("iam_role", role, {"service": "ec2.amazonaws.com", "actions": ["ec2:DescribeInstances"]})
    yield _resource("instance_profile", role, {"role": Ref(f"aws:iam_role:{role}")})
    yield _resource("key_pair", f"{dep}-operator", {"public_key": " ".join(public_key.split()[:2])})
    if network is None:
        yield from _network(params)
        yield from _vpn(params)
    vpc = network.aws_vpc if network else _ref("vpc", f"{dep}-vpc")
    yield from _firewall(params, vpc, network)
    for node in nodes:
        if node.cloud == "aws":
            yield _instance(params, node, scripts[node.key], network)


def _resource(kind: str, name: str, spec: Mapping[str, Any], after: tuple[str, ...] = ()) -> Resource:
    return Resource("aws", kind, name, STEP, spec, after)


def _ref(kind: str, name: str, attribute: str = "id") -> Ref:
    return Ref(f"aws:{kind}:{name}", attribute)


def _subnet(params: Params, kind: str, index: int) -> str:
    return f"{params.deployment}-{kind}-{params.aws_zones[index][-1]}"


def _network(params: Params) -> Iterator[Resource]:
    dep = params.deployment
    vpc = _ref("vpc", f"{dep}-vpc")
    yield _resource("vpc", f"{dep}-vpc", {"cidr": params.aws_network, "dns_support": True, "dns_hostnames": True})
    yield _resource("internet_gateway", f"{dep}-igw", {"vpc": vpc})
    yield _resource("vpn_gateway", f"{dep}-vgw", {"asn": params.aws_asn, "vpc": vpc})

    for kind, ranges in zip(("public", "private"), aws_subnets(params), strict=True):
        for index, cidr in enumerate(ranges):
            spec = {"vpc": vpc, "cidr": cidr, "zone": params.aws_zones[index]}
            yield _resource("subnet", _subnet(params, kind, index), spec)

    yield _resource("elastic_ip", f"{dep}-nat", {})
    yield _resource(
        "nat_gateway",
        f"{dep}-nat",
        {"subnet": _ref("subnet", _subnet(params, "public", 0)), "elastic_ip": _ref("elastic_ip", f"{dep}-nat")},
        after=(f"aws:internet_gateway:{dep}-igw",),
    )
    ways_out = {"public": _ref("internet_gateway", f"{dep}-igw"), "private": _ref("nat_gateway", f"{dep}-nat")}
    for kind, way_out in ways_out.items():
        spec = {
            "vpc": vpc,
            "subnets": [_ref("subnet", _subnet(params, kind, index)) for index in range(len(params.aws_zones))],
            "routes": [{"destination": "0.0.0.0/0", "target": way_out}],
            "propagating": [_ref("vpn_gateway", f"{dep}-vgw")],
        }
        yield _resource("route_table", f"{dep}-{kind}", spec)


def _vpn(params: Params) -> Iterator[Resource]:
    dep = params.deployment
    for index, letter in enumerate("ab"):
        name = f"{dep}-gcp-{letter}"
        gateway = Ref(f"gcp:vpn_gateway:{dep}-vpn", f"address_{index}")
        yield _resource("customer_gateway", name, {"asn": params.gcp_asn, "address": gateway})
        spec = {
            "vpn_gateway": _ref("vpn_gateway", f"{dep}-vgw"),
            "customer_gateway": _ref("customer_gateway", name),
            "tunnels": [{"inside_cidr": TUNNELS[2 * index + n], "ike": "ikev2", **_CIPHERS} for n in range(2)],
        }
        yield _resource("vpn_connection", name, spec)


def _firewall(params: Params, vpc: Ref | str, network: ExistingNetwork | None) -> Iterator[Resource]:
    dep = params.deployment
    where = places(params, "aws", network)

    def group(name: str) -> Ref | str:
        if name == "bastion" and network:
            return network.aws_bastion_sg
        return _ref("security_group", f"{dep}-{name}")

    for name in groups():
        if name == "bastion" and network:
            continue
        yield _resource("security_group", f"{dep}-{name}", {"vpc": vpc, "description": f"{name} of {dep}"})
        opened: dict[tuple[str, int, int, Ref | str], dict[str, Any]] = {}
        for rule in rules(params, "aws"):
            if name not in rule.to:
                continue
            sources = [*map(group, rule.groups), *(cidr for place in rule.places for cidr in where[place])]
            for port in rule.ports:
                # For ICMP the API has a type and a code there, -1 for any.
                low, high = (port.low or -1, -1) if port.protocol == "icmp" else (port.low, port.high)
                for source in sources:
                    entry = {"protocol": port.protocol, "low": low, "high": high, "source": source}
                    opened.setdefault((port.protocol, low, high, source), entry)
        if opened:
            spec = {"group": group(name), "ingress": list(opened.values())}
            yield _resource("security_group_rules", f"{dep}-{name}", spec)


def _instance(params: Params, node: Node, script: str, network: ExistingNetwork | None) -> Resource:
    dep = params.deployment
    if network:
        known = network.aws_pub_subnet if node.public else network.aws_priv_subnet
        subnet: Ref | str = known[node.subnet % len(known)]
    else:
        subnet = _ref("subnet", _subnet(params, "public" if node.public else "private", node.subnet))
    tags: dict[str, str] = {"Role": node.role}
    if node.role != "bastion":
        # What Consul's cloud auto-join looks for.
        tags["Consul"] = "server" if node.role == "consul" else "client"
    spec: dict[str, Any] = {
        "instance_type": params.aws_instance_type,
        "image": {"pattern": params.aws_image, "owner": params.aws_image_owner},
        "subnet": subnet,
        "groups": [_ref("security_group", f"{dep}-{name}") for name in GROUPS[node.role]],
        "key_pair": _ref("key_pair", f"{dep}-operator", "name"),
        "profile": "",
        "public_ip": node.public,
        "tags": tags,
        "user_data": script,
        # EC2 gives user data back one instance a call; the digest comes with the list of instances, as a tag.
        "script_digest": digest(script),
    }
    if node.role != "bastion":
        spec["profile"] = _ref("instance_profile", role_name(dep), "name")
    # A public address is of use only once the VPC has its gateway.
    after = (f"aws:internet_gateway:{dep}-igw",) if node.public and not network else ()
    return Resource("aws", "instance", f"{dep}-{node.name}", node.step, spec, after)
