"""EC2's networks, instances and VPN connections in the lab's own vocabulary."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..model import Interface, Machine, Network, Route, Rule, Tunnel
from .base import raw, tag
from .images import BARE_ID

if TYPE_CHECKING:
    from .mends import Region

# Among equal destinations a route of the table wins over a propagated one (VPC User Guide, "Route priority").
STATIC, PROPAGATED = 100, 1000


def networks(region: Region) -> Iterator[Network]:
    """Every VPC with the interfaces of its instances, shutting-down and terminated ones left out.

    A stopped instance keeps its interface and address.
    """
    members = _members(region)
    gateways: Iterable[Any] = region.internet_gateways.values()
    connected = {gateway.vpc.id for gateway in gateways if gateway.vpc}
    for vpc in region.vpcs.values():
        yield Network(
            cloud="aws",
            id=vpc.id,
            subnets=tuple(s.cidr_block for s in region.describe_subnets() if s.vpc_id == vpc.id),
            interfaces=tuple(
                Interface(
                    machine=instance.id,
                    address=instance.private_ip,
                    subnet=interface.subnet.cidr_block,
                    # Without an internet gateway a public address is a number.
                    public=interface.public_ip if vpc.id in connected else None,
                    forwards=not interface.source_dest_check,
                    rules=tuple(rules(interface._group_set, members)),
                    routes=tuple(routes(region, region.table_of(interface.subnet.id))),
                )
                for instance, interface in _placed(region)
                if interface.vpc_id == vpc.id
            ),
        )


def machines(region: Region) -> Iterator[Machine]:
    """Every instance that is not gone or going; one that reboots is off until it has stopped."""
    for instance, interface in _placed(region):
        yield Machine(
            cloud="aws",
            id=instance.id,
            name=tag(instance, "Name"),
            network=interface.vpc_id,
            hostname=instance.private_dns_name,
            zone=instance.availability_zone,
            private_ip=instance.private_ip,
            public_ip=instance.public_ip,
            script=raw(instance.user_data).decode("utf-8", "replace"),
            powered=instance.state in ("pending", "running") and not instance.rebooting,
            bare=instance.image_id == BARE_ID,
        )


def tunnels(region: Region) -> Iterator[Tunnel]:
    """AWS's end of every tunnel whose gateway is attached to a VPC."""
    for connection, end in ends(region):
        attached = region.attached_to(connection.gateway)
        if not attached:
            continue
        ours, theirs = end.addresses
        yield Tunnel(
            cloud="aws",
            network=attached[0],
            id=f"{connection.id}:{end.outside}",
            local=end.outside,
            peer=connection.customer.ip_address,
            shared_key=end.shared_key,
            ike=0 if len(set(end.ike)) > 1 else 2 if "ikev2" in end.ike else 1,
            inside_local=ours,
            inside_peer=theirs,
            local_asn=int(connection.gateway.amazon_side_asn),
            peer_asn=int(connection.customer.bgp_asn),
            advertised=(region.get_vpc(attached[0]).cidr_block,),
            phase1=end.ciphers(1),
            phase2=end.ciphers(2),
            initiates=end.initiates,
            bgp=not connection.static,
            static=tuple(connection.static_networks) if connection.static else None,
        )


def ends(region: Region) -> Iterator[tuple[Any, Any]]:
    """(connection, tunnel) of every VPN connection that is not being deleted."""
    connections: Iterable[Any] = region.vpn_connections.values()
    for connection in connections:
        if connection.state in ("pending", "available"):
            for end in connection.tunnels:
                yield connection, end


def rules(groups: Iterable[Any], members: Mapping[str, tuple[str, ...]]) -> Iterator[Rule]:
    """What security groups allow; they deny nothing, and what nothing allows is dropped.

    Args:
        groups: moto's security groups of one interface.
        members: by group id, the addresses of its members.
    """
    for group in groups:
        for direction, listed in (("in", group.ingress_rules), ("out", group.egress_rules)):
            for one in listed:
                yield rule(
                    direction, str(one.ip_protocol), one.from_port, one.to_port, _peers(one, members)
                )  # fmt: skip


def rule(direction: Any, protocol: str, low: int | None, high: int | None, peers: tuple[str, ...]) -> Rule:
    """One security group rule. Ports mean ports for TCP and UDP, type and code (-1: any) for ICMP, else nothing."""
    names = {"-1": "all", "1": "icmp", "6": "tcp", "17": "udp"}
    name = names.get(protocol, protocol)
    ports = ((int(low), int(high)),) if name in ("tcp", "udp", "icmp") and low is not None and high is not None else ()
    if ports == ((0, 65535),) or (name == "icmp" and ports and ports[0][0] < 0):
        ports = ()
    return Rule(direction, allow=True, protocol=name, ports=ports, peers=peers)


def routes(region: Region, table: Any) -> Iterator[Route]:
    """Where packets go that leave the VPC."""
    for shown in (*table.own(), *table.learned()):
        destination = shown["DestinationCidrBlock"]
        if destination is None or shown.get("GatewayId") == "local":
            continue
        priority = STATIC if shown["Origin"] == "CreateRoute" else PROPAGATED
        via, address = _hop(region, shown)
        yield Route(destination, via, address, priority)


def _hop(region: Region, shown: Mapping[str, Any]) -> tuple[Any, str]:
    gateway = shown.get("GatewayId") or ""
    if shown["State"] != "active":
        return "none", ""
    if gateway.startswith("igw-"):
        return "internet", ""
    if gateway.startswith("vgw-"):
        return "vpn", ""
    if nat_id := shown.get("NatGatewayId"):
        nat: Any = region.nat_gateways[nat_id]
        if nat.state == "available" and nat.public_ip and _reaches_internet(region, nat.subnet_id):
            return "nat", nat.public_ip
        return "none", ""
    if interface := shown.get("NetworkInterfaceId"):
        return "instance", str(region.get_network_interface(interface).private_ip_address)
    return "none", ""


def _reaches_internet(region: Region, subnet_id: str) -> bool:
    """A NAT gateway works in a public subnet only."""
    return any(
        shown["DestinationCidrBlock"] == "0.0.0.0/0"
        and str(shown["GatewayId"]).startswith("igw-")
        and shown["State"] == "active"
        for shown in region.table_of(subnet_id).own()  # type: ignore[attr-defined]  # all are LabRouteTable
    )


def _placed(region: Region) -> Iterator[tuple[Any, Any]]:
    """(instance, its interface) of every instance that is not gone or going."""
    for instance in region.all_instances():
        if instance.state not in ("shutting-down", "terminated") and instance.nics:
            yield instance, instance.nics[0]


def _members(region: Region) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for _, interface in _placed(region):
        for group in interface._group_set:
            found.setdefault(group.id, []).append(f"{interface.private_ip_address}/32")
    return {group: tuple(sorted(addresses, key=ipaddress.ip_network)) for group, addresses in found.items()}


def _peers(one: Any, members: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if cidr := one.ip_range.get("CidrIp"):
        return (str(ipaddress.ip_network(cidr, strict=False)),)
    return members.get(one.source_group.get("GroupId", ""), ())
