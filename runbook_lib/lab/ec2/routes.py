"""Route tables: propagated routes, routes whose target is gone, targets checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.utils import random_route_table_id, random_subnet_association_id

from .base import LabBackend, refuse

_TARGETS = ("gateway_id", "nat_gateway_id", "instance_id", "interface_id", "transit_gateway_id",
            "vpc_peering_connection_id", "egress_only_igw_id", "carrier_gateway_id", "vpc_endpoint_id")  # fmt: skip


class LabRouteTable(RouteTable):
    """A route table that shows propagated routes and says which routes lead nowhere; moto's does neither."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.propagating: list[str] = []

    @property
    def propagating_vgws(self) -> list[dict[str, str]]:
        return [{"GatewayId": gateway} for gateway in self.propagating]

    @property
    def routes(self) -> list[Any]:
        return [*self.own(), *self.learned()]

    def own(self) -> Iterator[dict[str, Any]]:
        """The table's own routes, as DescribeRouteTables shows them."""
        for route in self._routes.values():
            instance = route.instance or (route.interface.instance if route.interface else None)
            interface = route.interface or (instance.nics.get(0) if instance else None)
            yield {
                "DestinationCidrBlock": route.destination_cidr_block,
                "DestinationIpv6CidrBlock": route.destination_ipv6_cidr_block,
                "DestinationPrefixListId": route.destination_prefix_list_id,
                "GatewayId": route.gateway_id,
                "NatGatewayId": route.nat_gateway_id,
                "InstanceId": instance.id if instance else None,
                "InstanceOwnerId": instance.owner_id if instance else None,
                "NetworkInterfaceId": interface.id if interface else None,
                "TransitGatewayId": route.transit_gateway_id,
                "VpcPeeringConnectionId": route.vpc_peering_connection_id,
                "EgressOnlyInternetGatewayId": route.egress_only_internet_gateway_id,
                "CarrierGatewayId": route.carrier_gateway_id,
                "Origin": route.origin,
                "State": "active" if self.alive(route) else "blackhole",
            }

    def learned(self) -> Iterator[dict[str, Any]]:
        """Routes that propagation adds, now."""
        own = {route.destination_cidr_block for route in self._routes.values()}
        for gateway in self.propagating:
            for network in self.ec2_backend.propagated(gateway, self.vpc_id):
                if network not in own:
                    yield {
                        "DestinationCidrBlock": network,
                        "GatewayId": gateway,
                        "Origin": "EnableVgwRoutePropagation",
                        "State": "active",
                    }

    def alive(self, route: Route) -> bool:
        """Whether the route's target still takes packets."""
        if route.gateway is not None:
            if route.gateway.id.startswith("vgw-"):
                return self.vpc_id in self.ec2_backend.attached_to(route.gateway)
            vpc = getattr(route.gateway, "vpc", None)
            return vpc is not None and vpc.id == self.vpc_id
        if route.nat_gateway is not None:
            return route.nat_gateway.state in ("pending", "available")
        instance = route.instance or (route.interface.instance if route.interface else None)
        if route.instance is not None or route.interface is not None:
            return instance is not None and instance.state == "running"
        return True


class RouteBackend(LabBackend):
    """Route tables and what is checked before they change."""

    def attached_to(self, gateway: Any) -> list[str]:
        """The VPC that a virtual private gateway is attached to, if any."""
        return [vpc for vpc, attachment in gateway.attachments.items() if attachment.state == "attached"]

    def propagated(self, gateway_id: str, vpc_id: str) -> list[str]:
        """Networks that a virtual private gateway announces into the route tables of a VPC; see vpn.py."""
        raise NotImplementedError

    def create_route_table(
        self, vpc_id: str, tags: list[dict[str, str]] | None = None, main: bool = False
    ) -> RouteTable:
        vpc = self.get_vpc(vpc_id)
        table = LabRouteTable(self, random_route_table_id(), vpc_id, main=main)  # type: ignore[abstract]  # moto's leftovers of CloudFormation
        for tag in tags or []:
            table.add_tag(tag["Key"], tag["Value"])
        self.route_tables[table.id] = table
        for block in vpc.get_cidr_block_association_set():
            super().create_route(table.id, block["cidr_block"], local=True)
        return table

    def main_table(self, vpc_id: str) -> RouteTable:
        return next(t for t in self.route_tables.values() if t.vpc_id == vpc_id and t.main_association_id)

    def table_of(self, subnet_id: str) -> RouteTable:
        """The route table that decides for a subnet: its own, or the VPC's main one."""
        for table in self.route_tables.values():
            if subnet_id in table._associations.values():
                return table
        return self.main_table(self.get_subnet(subnet_id).vpc_id)

    def associate_route_table(
        self, route_table_id: str, gateway_id: str | None = None, subnet_id: str | None = None
    ) -> str:
        """A subnet has one table; moto answers with the association to another one as if it were done."""
        table = self.get_route_table(route_table_id)
        if subnet_id is None:
            return super().associate_route_table(route_table_id, gateway_id, subnet_id)
        if self.get_subnet(subnet_id).vpc_id != table.vpc_id:
            refuse(
                "InvalidParameterValue",
                f"Route table {route_table_id} and subnet {subnet_id} belong to different networks",
            )
        for other in self.route_tables.values():
            for association, target in other._associations.items():
                if target == subnet_id and other is not table:
                    refuse(
                        "Resource.AlreadyAssociated",
                        f"the specified association for route table {route_table_id} conflicts with an existing"
                        " association",
                    )
                if target == subnet_id:
                    return association
        association = random_subnet_association_id()
        table._associations[association] = subnet_id
        return association

    def create_route(self, route_table_id: str, destination_cidr_block: str | None, *args: Any, **target: Any) -> Route:
        """One target, which exists and is in this VPC; moto takes none, and unknown ones."""
        table = self.get_route_table(route_table_id)
        if not target.get("local"):
            self._check_target(table, destination_cidr_block, target)
        return super().create_route(route_table_id, _canonical(destination_cidr_block), *args, **target)

    def replace_route(self, route_table_id: str, destination_cidr_block: str, *args: Any, **target: Any) -> Route:
        names = ("destination_ipv6_cidr_block", "destination_prefix_list_id", "nat_gateway_id", "egress_only_igw_id",
                 "transit_gateway_id")  # fmt: skip
        target = dict(zip(names, args, strict=False)) | target
        self._check_target(self.get_route_table(route_table_id), destination_cidr_block, target)
        return super().replace_route(route_table_id, _canonical(destination_cidr_block) or "", **target)

    def delete_route(self, route_table_id: str, destination_cidr_block: str, *args: Any, **kwargs: Any) -> Route:
        wanted = _canonical(destination_cidr_block) or ""
        for route in self.get_route_table(route_table_id)._routes.values():
            if route.local and route.destination_cidr_block == wanted:
                refuse("InvalidParameterValue", f"cannot remove local route {wanted} in route table {route_table_id}")
        return super().delete_route(route_table_id, wanted, *args, **kwargs)

    def _check_target(self, table: RouteTable, destination: str | None, target: dict[str, Any]) -> None:
        given = [name for name in _TARGETS if target.get(name)]
        if len(given) != 1:
            refuse(
                "InvalidParameterCombination" if given else "MissingParameter",
                "The request must contain exactly one of gatewayId, natGatewayId, instanceId, networkInterfaceId,"
                " vpcPeeringConnectionId, transitGatewayId, egressOnlyInternetGatewayId, carrierGatewayId",
            )
        gateway = target.get("gateway_id") or ""
        if gateway.startswith("igw-"):
            vpc = self.get_internet_gateway(gateway).vpc
            here = vpc is not None and vpc.id == table.vpc_id
        elif gateway.startswith("vgw-"):
            here = table.vpc_id in self.attached_to(self.get_vpn_gateway(gateway))
        elif gateway:
            refuse("InvalidGatewayID.NotFound", f"The gateway ID '{gateway}' does not exist")
        elif nat := target.get("nat_gateway_id"):
            found = self.nat_gateways.get(nat)
            if found is None or found.state in ("deleting", "deleted"):
                refuse("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
            gateway, here = nat, found.vpc_id == table.vpc_id
        elif instance := target.get("instance_id"):
            gateway, here = instance, self.get_instance(instance).vpc_id == table.vpc_id
        elif interface := target.get("interface_id"):
            gateway, here = interface, self.get_network_interface(interface).vpc_id == table.vpc_id
        else:
            return
        if not here:
            refuse(
                "InvalidParameterValue",
                f"route table {table.id} and network gateway {gateway} belong to different networks",
            )
        wanted = _canonical(destination)
        if wanted and (target.get("gateway_id") or target.get("nat_gateway_id")):
            block = ipaddress.ip_network(self.get_vpc(table.vpc_id).cidr_block)
            if ipaddress.ip_network(wanted).subnet_of(block):  # type: ignore[arg-type]  # both are IPv4
                refuse(
                    "InvalidParameterValue",
                    f"The destination CIDR block {wanted} is equal to or more specific than one of this VPC's CIDR"
                    " blocks. This route can target only an interface or an instance.",
                )

    def enable_propagation(self, table_id: str, gateway_id: str) -> None:
        """moto has no EnableVgwRoutePropagation."""
        table = self.get_route_table(table_id)
        gateway = self.get_vpn_gateway(gateway_id)
        if table.vpc_id not in self.attached_to(gateway):
            refuse("Gateway.NotAttached", f"resource {gateway_id} is not attached to network {table.vpc_id}")
        if gateway_id not in table.propagating:  # type: ignore[attr-defined]  # all are LabRouteTable
            table.propagating.append(gateway_id)  # type: ignore[attr-defined]

    def disable_propagation(self, table_id: str, gateway_id: str) -> None:
        table = self.get_route_table(table_id)
        if gateway_id in table.propagating:  # type: ignore[attr-defined]
            table.propagating.remove(gateway_id)  # type: ignore[attr-defined]


def _canonical(cidr: str | None) -> str | None:
    """The network that EC2 makes of a CIDR block, host bits cleared.

    Raises:
        EC2ClientError: ``InvalidParameterValue`` for what is no IPv4 network.
    """
    if not cidr:
        return cidr
    try:
        return str(ipaddress.IPv4Network(cidr, strict=False))
    except ValueError:
        refuse(
            "InvalidParameterValue",
            f"Value ({cidr}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.",
        )
