"""Network interfaces, elastic addresses and NAT gateways, on addresses that exist and are given back."""

from __future__ import annotations

import ipaddress
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.utils import random_nat_gateway_id

from .base import Ageing, LabBackend, free_addresses, is_reserved, private_name, refuse


class LabInterface(NetworkInterface):
    """An interface whose public address comes from the lab's pool; moto invents one."""

    def check_auto_public_ip(self) -> None:
        if self.public_ip_auto_assign and not self.public_ip:
            self.public_ip = self.ec2_backend.lab.public_address()

    def stop(self) -> None:
        """An elastic address stays with a stopped instance; moto forgets it."""
        if not any(address.eni is self for address in self.ec2_backend.addresses):
            super().stop()

    @property
    def group_set(self) -> Any:
        return list(self._group_set)

    @property
    def association(self) -> dict[str, Any]:
        found = super().association
        if found:
            dashed = found["publicIp"].replace(".", "-")
            found["publicDnsName"] = f"ec2-{dashed}.{self.ec2_backend.region_name}.compute.amazonaws.com"
            elastic = any(address.eni is self for address in self.ec2_backend.addresses)
            found["ipOwnerId"] = self.owner_id if elastic else "amazon"
        return found


class LabNat(Ageing, NatGateway):
    """A NAT gateway that takes a moment; moto's has a private address outside its subnet and is never freed."""

    creates, deletes = "ec2:CreateNatGateway", "ec2:DeleteNatGateway"
    failure_code: str | None = None
    failure_message: str | None = None

    def __init__(self, backend: Any, subnet: Any, allocation: ElasticAddress | None, tags: dict[str, str]) -> None:
        self.id = random_nat_gateway_id()
        self.ec2_backend = backend
        self.subnet_id = subnet.id
        self.vpc_id = subnet.vpc_id
        self.connectivity_type = "public" if allocation else "private"
        self._created_at = utcnow()
        self.subnet = subnet
        self._eni = backend.create_network_interface(
            subnet, "", description=f"Interface for NAT Gateway {self.id}", group_ids=[]
        )
        self._eni.status = "in-use"
        self._eni.requester_managed = True
        self._eni.interface_type = "nat_gateway"
        self._eni._group_set = []
        self.private_ip = self._eni.private_ip_address
        self.public_ip = allocation.public_ip if allocation else None
        item = {"networkInterfaceId": self._eni.id, "privateIp": self.private_ip}
        if allocation:
            backend.associate_address(eni=self._eni, allocation_id=allocation.allocation_id)
            item |= {
                "allocationId": allocation.allocation_id,
                "publicIp": allocation.public_ip,
                "associationId": allocation.association_id,
            }
        self.address_set = [item | {"isPrimary": True, "status": "succeeded"}]
        self.add_tags(tags)
        self.begin(backend.lab)

    @property
    def state(self) -> str:  # type: ignore[override]  # moto's is an attribute
        return "failed" if self.failure_code else super().state

    @property
    def delete_time(self) -> Any:
        return utcnow() if self.state == "deleted" else None

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name == "nat-gateway-id":
            return self.id
        return super().get_filter_value(filter_name, method_name)

    def fail(self, code: str, message: str) -> None:
        """It could not be made: its address is free again, and it stays listed for a while to say so."""
        self.end()
        self.failure_code, self.failure_message = code, message

    def end(self) -> None:
        super().end()
        for address in list(self.ec2_backend.addresses):
            if address.eni is self._eni:
                self.ec2_backend.disassociate_address(association_id=address.association_id)
        self.ec2_backend.enis.pop(self._eni.id, None)


class AddressBackend(LabBackend):
    """CreateNetworkInterface, elastic addresses, NAT gateways."""

    def create_network_interface(  # noqa: PLR0917  # moto's signature
        self,
        subnet: Any,
        private_ip_address: str | list[str] | None,
        private_ip_addresses: list[dict[str, Any]] | None = None,
        group_ids: list[str] | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        delete_on_termination: bool | None = False,
        **kwargs: Any,
    ) -> NetworkInterface:
        """The first free address, or the one asked for if it can be had; moto takes any, at random."""
        used = self.private_addresses(subnet.id)
        asked = [private_ip_address] if isinstance(private_ip_address, str) else list(private_ip_address or ())
        asked += [item["PrivateIpAddress"] for item in private_ip_addresses or []]
        for address in filter(None, asked):
            check_address(subnet.cidr_block, address, used)
        primary = next(filter(None, asked), None) or next(free_addresses(subnet.cidr_block, used), None)
        if primary is None:
            refuse("InsufficientFreeAddressesInSubnet", f"Insufficient free addresses in subnet '{subnet.id}'.")
        for group in group_ids or []:
            if self.get_security_group_from_id(group) is None:
                refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        interface = LabInterface(  # type: ignore[abstract]  # moto's leftovers of CloudFormation
            self,
            subnet,
            primary,
            private_ip_addresses,
            group_ids=group_ids,
            description=description,
            tags=tags,
            delete_on_termination=delete_on_termination,
            **kwargs,
        )
        interface.requester_id = ""
        interface.private_dns_name = private_name(primary, self.region_name)
        self.enis[interface.id] = interface
        return interface

    def delete_network_interface(self, eni_id: str) -> None:
        interface = self.get_network_interface(eni_id)
        if interface.status == "in-use":
            refuse("InvalidNetworkInterface.InUse", f"The network interface '{eni_id}' is currently in use.")
        super().delete_network_interface(eni_id)

    def modify_network_interface_attribute(
        self,
        eni_id: str,
        group_ids: list[str],
        source_dest_check: bool | None = None,
        description: str | None = None,
    ) -> None:
        """What is set on the interface holds for its instance; moto keeps the two apart."""
        super().modify_network_interface_attribute(eni_id, group_ids, source_dest_check, description)
        interface = self.get_network_interface(eni_id)
        if interface.instance:
            interface.instance.security_groups = list(interface._group_set)
            interface.instance.source_dest_check = interface.source_dest_check

    # ---- elastic addresses -------------------------------------------------------------------------------

    def allocate_address(
        self, domain: str, address: str | None = None, tags: dict[str, str] | None = None
    ) -> ElasticAddress:
        """From the lab's public pool; moto invents one. There is no EC2-Classic any more."""
        return super().allocate_address("vpc", address or self.lab.public_address(), tags)

    def associate_address(self, *args: Any, **kwargs: Any) -> ElasticAddress:
        address = super().associate_address(*args, **kwargs)
        if address.instance is None and address.eni is not None:
            address.instance = address.eni.instance
        return address

    def release_address(self, address: str | None = None, allocation_id: str | None = None) -> None:
        """An address in use is not released; moto takes it away."""
        held = self.address_by_allocation([allocation_id]) if allocation_id else self.address_by_ip([address or ""])
        if held[0].association_id:
            refuse("InvalidIPAddress.InUse", f"The address '{held[0].public_ip}' is in use.")
        self.addresses.remove(held[0])

    # ---- NAT gateways ------------------------------------------------------------------------------------

    def create_nat_gateway(
        self,
        subnet_id: str,
        allocation_id: str,
        tags: dict[str, str] | None = None,
        connectivity_type: str = "public",
    ) -> NatGateway:
        subnet = self.get_subnet(subnet_id)
        allocation = None
        if (connectivity_type or "public") == "public":
            if not allocation_id:
                refuse("MissingParameter", "The request must contain the parameter AllocationId")
            allocation = self.address_by_allocation([allocation_id])[0]
            if allocation.association_id:
                refuse(
                    "Resource.AlreadyAssociated",
                    f"Elastic IP address [{allocation_id}] is already associated",
                )
        gateway = LabNat(self, subnet, allocation, tags or {})  # type: ignore[abstract]  # moto's leftovers of CloudFormation
        self.nat_gateways[gateway.id] = gateway
        return gateway

    def describe_nat_gateways(self, filters: Any, nat_gateway_ids: list[str] | None) -> list[NatGateway]:
        """moto ignores unknown ids and most filters, tags among them."""
        for wanted in nat_gateway_ids or []:
            if wanted not in self.nat_gateways:
                refuse("NatGatewayNotFound", f"The Nat Gateway {wanted} was not found")
        found = [g for g in self.nat_gateways.values() if not nat_gateway_ids or g.id in nat_gateway_ids]
        return self.filtered(filters, found)

    def delete_nat_gateway(self, nat_gateway_id: str) -> NatGateway:
        gateway = self.describe_nat_gateways(None, [nat_gateway_id])[0]
        gateway.end()  # type: ignore[attr-defined]  # all are LabNat
        return gateway

    def sweep(self) -> None:
        super().sweep()
        for gateway in list(self.nat_gateways.values()):
            if gateway.forgotten:  # type: ignore[attr-defined]  # all are LabNat
                del self.nat_gateways[gateway.id]


def check_address(subnet: str, address: str, used: list[str]) -> None:
    """Refuse a private address that EC2 would not give.

    Raises:
        EC2ClientError: ``InvalidParameterValue`` (malformed, out of range, reserved), ``InvalidIPAddress.InUse``.
    """
    try:
        inside = ipaddress.ip_address(address) in ipaddress.ip_network(subnet)
    except ValueError:
        refuse("InvalidParameterValue", f"invalid value for parameter address: {address}")
    if not inside:
        refuse("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")
    if is_reserved(subnet, address):
        refuse("InvalidParameterValue", f"Address {address} is in subnet's reserved address range")
    if address in used:
        refuse("InvalidIPAddress.InUse", f"Address {address} is in use.")
