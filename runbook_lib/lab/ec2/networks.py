"""VPCs, subnets, gateways and security groups: what depends on what, and what EC2 refuses."""

from __future__ import annotations

import itertools
from typing import Any

from moto.ec2.models.customer_gateways import CustomerGateway
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPC
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment

from .base import LabBackend, refuse


class NetworkBackend(LabBackend):
    """Creation and, above all, deletion of networks and their parts."""

    # ---- VPCs --------------------------------------------------------------------------------------------

    def create_default_vpc(self) -> VPC:
        """The account is fresh and has no default VPC; moto's constructor makes one in every region."""
        if not hasattr(self, "default_vpc"):
            return None  # type: ignore[return-value]  # the constructor's call, see EC2Backend.__init__
        return super().create_default_vpc()

    def delete_vpc(self, vpc_id: str) -> VPC:
        """Nothing may be left in it but what came with it; moto looks at half of that."""
        self.get_vpc(vpc_id)
        left = itertools.chain(
            (gateway for gateway in self.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc_id),
            (group for group in self.groups.get(vpc_id, {}).values() if not group.is_default),
            (interface for interface in self.enis.values() if interface.vpc_id == vpc_id),
        )
        if next(left, None):
            refuse("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        vpc = super().delete_vpc(vpc_id)
        for acl in [acl for acl in self.network_acls.values() if acl.vpc_id == vpc_id]:
            del self.network_acls[acl.id]
        self.groups.pop(vpc_id, None)
        return vpc

    # ---- subnets -----------------------------------------------------------------------------------------

    def create_subnet(  # noqa: PLR0917  # moto's signature
        self,
        vpc_id: str,
        cidr_block: str,
        ipv6_cidr_block: str | None = None,
        availability_zone: str | None = None,
        availability_zone_id: str | None = None,
        ipv6_native: bool = False,
        tags: dict[str, dict[str, str]] | None = None,
    ) -> Subnet:
        """A subnet of a zone of this region, without public addresses; moto takes any zone, and turns them on."""
        zones = [zone.name for zone in self.describe_availability_zones()]
        if availability_zone and availability_zone not in zones:
            refuse(
                "InvalidParameterValue",
                f"Value ({availability_zone}) for parameter availabilityZone is invalid. Subnets can currently only "
                f"be created in the following availability zones: {', '.join(zones)}.",
            )
        subnet = super().create_subnet(
            vpc_id, cidr_block, ipv6_cidr_block, availability_zone, availability_zone_id, ipv6_native, tags
        )
        subnet.default_for_az = False
        subnet.map_public_ip_on_launch = False
        return subnet

    def delete_subnet(self, subnet_id: str) -> Subnet:
        """Not while an interface is in it; its associations go with it, which moto forgets."""
        if any(interface.subnet.id == subnet_id for interface in self.enis.values()):
            refuse("DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        subnet = super().delete_subnet(subnet_id)
        for table in self.route_tables.values():
            for association in [a for a, target in table._associations.items() if target == subnet_id]:
                del table._associations[association]
        for acl in self.network_acls.values():
            for key in [k for k, entry in acl._associations.items() if entry.subnet_id == subnet_id]:
                del acl._associations[key]
        return subnet

    # ---- gateways ----------------------------------------------------------------------------------------

    def attach_internet_gateway(self, internet_gateway_id: str, vpc_id: str) -> VPCGatewayAttachment:
        for gateway in self.internet_gateways.values():
            if gateway.vpc and gateway.vpc.id == vpc_id and gateway.id != internet_gateway_id:
                refuse("InvalidParameterValue", f"Network {vpc_id} already has an internet gateway attached")
        return super().attach_internet_gateway(internet_gateway_id, vpc_id)

    def detach_internet_gateway(self, internet_gateway_id: str, vpc_id: str) -> None:
        """Not while something in the VPC has a public address."""
        if any(interface.public_ip for interface in self.enis.values() if interface.vpc_id == vpc_id):
            refuse(
                "DependencyViolation",
                f"Network {vpc_id} has some mapped public address(es). "
                "Please unmap those public address(es) before detaching the gateway.",
            )
        super().detach_internet_gateway(internet_gateway_id, vpc_id)

    def delete_internet_gateway(self, internet_gateway_id: str) -> None:
        if self.get_internet_gateway(internet_gateway_id).vpc:
            refuse(
                "DependencyViolation",
                f"The internetGateway '{internet_gateway_id}' has dependencies and cannot be deleted.",
            )
        super().delete_internet_gateway(internet_gateway_id)

    def describe_customer_gateways(
        self, filters: Any = None, customer_gateway_ids: list[str] | None = None
    ) -> list[CustomerGateway]:
        """moto ignores unknown ids, and tags among the filters."""
        for wanted in customer_gateway_ids or []:
            self.get_customer_gateway(wanted)
        found = [
            gateway
            for gateway in self.customer_gateways.values()
            if not customer_gateway_ids or gateway.id in customer_gateway_ids
        ]
        return self.filtered(filters, found)

    # ---- security groups ---------------------------------------------------------------------------------

    def create_security_group(  # noqa: PLR0917  # moto's signature
        self,
        name: str,
        description: str,
        vpc_id: str | None = None,
        tags: dict[str, str] | None = None,
        force: bool = False,
        is_default: bool | None = None,
    ) -> SecurityGroup:
        if not vpc_id:
            refuse("VPCIdNotSpecified", "No default VPC for this user")
        self.get_vpc(vpc_id)
        if name.startswith("sg-") or (name == "default" and not is_default):
            refuse("InvalidParameterValue", f"Cannot use reserved security group name: {name}")
        return super().create_security_group(name, description, vpc_id, tags, force, is_default)

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        """Not while an interface is in it or another group's rule names it."""
        group = self.get_security_group_by_name_or_id(group_id or name or "")
        # The default group goes with its VPC only, by way of delete_vpc, when no interface is left.
        if group and self._in_use(group):
            refuse("DependencyViolation", f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def _in_use(self, group: SecurityGroup) -> bool:
        if any(group in interface._group_set for interface in self.enis.values()):
            return True
        others = itertools.chain.from_iterable(by_id.values() for by_id in self.groups.values())
        return any(
            rule.source_group.get("GroupId") == group.id
            for other in others
            if other is not group
            for rule in (*other.ingress_rules, *other.egress_rules)
        )
