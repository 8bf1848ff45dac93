"""VPC, subnets, gateways and route tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from ...errors import CloudError
from ...params import Params
from ...resources import Found
from ...topology.network import aws_subnets
from .answers import code
from .kind import Kind, in_state


class Vpc(Kind):
    """A VPC with its two DNS settings."""

    name = "vpc"
    _DNS: Mapping[str, str] = {"dns_support": "EnableDnsSupport", "dns_hostnames": "EnableDnsHostnames"}

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        for item, vpc, name, lost in self.claimed(self.pages("describe_vpcs", "Vpcs"), "VpcId"):
            spec: dict[str, Any] = {"cidr": item["CidrBlock"]}
            for field, word in self._DNS.items():
                attribute = word[0].lower() + word[1:]
                answer = self.account.create(self.ec2.describe_vpc_attribute, VpcId=vpc, Attribute=attribute)
                spec[field] = answer[word]["Value"]
            yield self.found(name, vpc, spec, **lost)

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        return bool(item["CidrBlock"] == self.account.params.aws_network)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By its range, and by security groups in it, whose descriptions stay as they were made."""
        if not self.fits(item, vpcs):
            return ""
        inside = [{"Name": "vpc-id", "Values": [item["VpcId"]]}]
        groups = self.pages("describe_security_groups", "SecurityGroups", Filters=inside)
        made = any(group["Description"].endswith(f" of {self.account.deployment}") for group in groups)
        return f"{self.account.deployment}-vpc" if made else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        tags = self.account.tagged("vpc", name)

        def ask() -> Found:
            answer = self.once.create_vpc(CidrBlock=spec["cidr"], TagSpecifications=tags)
            return self.found(name, answer["Vpc"]["VpcId"])

        return self.update(self.make(name, ask), spec, tuple(self._DNS))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        for field in changes:
            setting = {self._DNS[field]: {"Value": spec[field]}}
            self.account.create(self.ec2.modify_vpc_attribute, VpcId=found.id, **setting)
        return found

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_vpc, VpcId=found.id)


class Subnet(Kind):
    """A subnet in one zone."""

    name = "subnet"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        for item, id, name, lost in self.claimed(self.pages("describe_subnets", "Subnets"), "SubnetId", vpcs):
            spec = {"vpc": item["VpcId"], "cidr": item["CidrBlock"], "zone": item["AvailabilityZone"]}
            yield self.found(name, id, spec, **lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By its range, which no other subnet of the VPC can have."""
        kind = _kind_of(self.account.params, {item["CidrBlock"]}) if item["VpcId"] in vpcs else ""
        return kind and f"{self.account.deployment}-{kind}-{item['AvailabilityZone'][-1]}"

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        def ask() -> Found:
            answer = self.ec2.create_subnet(
                VpcId=spec["vpc"],
                CidrBlock=spec["cidr"],
                AvailabilityZone=spec["zone"],
                TagSpecifications=self.account.tagged("subnet", name),
            )
            return self.found(name, answer["Subnet"]["SubnetId"])

        return self.make(name, ask)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_subnet, SubnetId=found.id)


class InternetGateway(Kind):
    """An internet gateway, attached to its VPC."""

    name = "internet_gateway"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_internet_gateways", "InternetGateways")
        for item, id, name, lost in self.claimed(every, "InternetGatewayId", vpcs):
            attached = [a["VpcId"] for a in item["Attachments"]]
            yield self.found(name, id, {"vpc": attached[0] if attached else None}, **lost)

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        return super().fits(item, vpcs) and all(attachment["VpcId"] in vpcs for attachment in item["Attachments"])

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By its VPC, which has one at most."""
        ours = item["Attachments"] and self.fits(item, vpcs)
        return f"{self.account.deployment}-igw" if ours else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        def ask() -> Found:
            answer = self.once.create_internet_gateway(TagSpecifications=self.account.tagged("internet-gateway", name))
            return self.found(name, answer["InternetGateway"]["InternetGatewayId"])

        return self.update(self.make(name, ask), spec, ("vpc",))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        self._detach(found)
        try:
            self.account.create(self.ec2.attach_internet_gateway, InternetGatewayId=found.id, VpcId=spec["vpc"])
        except ClientError as error:
            if code(error) != "Resource.AlreadyAssociated" or not self._is_attached(found, spec["vpc"]):
                raise
        return found

    def destroy(self, found: Found) -> None:
        self._detach(found)
        self.account.remove(self.ec2.delete_internet_gateway, InternetGatewayId=found.id)

    def _is_attached(self, found: Found, vpc: str) -> bool:
        """Whether a call whose answer never came has attached it."""
        (item,) = self.ec2.describe_internet_gateways(InternetGatewayIds=[found.id])["InternetGateways"]
        return vpc in [a["VpcId"] for a in item["Attachments"]]

    def _detach(self, found: Found) -> None:
        if vpc := found.spec.get("vpc"):
            self.account.remove(self.ec2.detach_internet_gateway, InternetGatewayId=found.id, VpcId=vpc)


class ElasticIp(Kind):
    """A public address that stays."""

    name = "elastic_ip"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = [item for item in self.pages("describe_addresses", "Addresses") if "AllocationId" in item]
        for item, id, name, lost in self.claimed(every, "AllocationId", vpcs):
            yield self.found(name, id, address=item["PublicIp"], **lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the NAT gateway that has it."""
        if "AssociationId" not in item or item.get("InstanceId") or not vpcs:
            return ""
        gateways = self.pages("describe_nat_gateways", "NatGateways", Filters=self.account.ours())
        held = {a.get("AllocationId") for gateway in gateways for a in gateway.get("NatGatewayAddresses", [])}
        return f"{self.account.deployment}-nat" if item["AllocationId"] in held else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        tags = self.account.tagged("elastic-ip", name)

        def ask() -> Found:
            answer = self.once.allocate_address(Domain="vpc", TagSpecifications=tags)
            return self.found(name, answer["AllocationId"], address=answer["PublicIp"])

        return self.make(name, ask)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.release_address, AllocationId=found.id)


class NatGateway(Kind):
    """A NAT gateway with its elastic address."""

    name = "nat_gateway"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_nat_gateways", "NatGateways", Filters=in_state("pending", "available"))
        for item, _, name, lost in self.claimed(every, "NatGatewayId", vpcs):
            yield self._found(item, name, lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By its elastic address."""
        held = [a["AllocationId"] for a in item.get("NatGatewayAddresses", []) if a.get("AllocationId")]
        if item["VpcId"] not in vpcs or not held:
            return ""
        addresses = self.pages("describe_addresses", "Addresses", Filters=self.account.ours())
        ours = {address.get("AllocationId") for address in addresses}
        return f"{self.account.deployment}-nat" if ours.issuperset(held) else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        answer = self.account.create(
            self.ec2.create_nat_gateway,
            SubnetId=spec["subnet"],
            AllocationId=spec["elastic_ip"],
            TagSpecifications=self.account.tagged("natgateway", name),
        )
        # Routes to a gateway that is pending may be refused, so dependants wait.
        return self.wait(self.found(name, answer["NatGateway"]["NatGatewayId"]))

    def wait(self, found: Found) -> Found:
        seen = self._until(found, "available", "failed", "deleted")
        if seen["State"] != "available":
            raise CloudError(
                "the NAT gateway could not be made",
                resource=found.key,
                expected="available",
                seen=f"{seen['State']}: {seen.get('FailureCode', '')} {seen.get('FailureMessage', '')}".strip(),
                remedy="mend what the message names and run the step again",
            )
        return self._found(seen, found.attributes["name"])

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_nat_gateway, NatGatewayId=found.id)
        self._until(found, "deleted", "failed")

    def _until(self, found: Found, *states: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            items = self.pages("describe_nat_gateways", "NatGateways", NatGatewayIds=[found.id])
            return items[0] if items else {"State": "deleted"}

        return self.account.until(
            lambda: self.account.create(look),
            lambda seen: seen["State"] in states,
            f"{found.key} to be {states[0]}",
            describe=lambda seen: seen["State"],
        )

    def _found(self, item: Mapping[str, Any], name: str, lost: Mapping[str, Any] = MappingProxyType({})) -> Found:
        addresses = [a["AllocationId"] for a in item.get("NatGatewayAddresses", []) if a.get("AllocationId")]
        spec = {"subnet": item["SubnetId"], "elastic_ip": addresses[0] if addresses else None}
        return self.found(name, item["NatGatewayId"], spec, ready=item["State"] == "available", **lost)


class RouteTable(Kind):
    """A route table with its routes, the subnets it serves, and the gateways whose routes it learns."""

    name = "route_table"
    _FIELDS = ("subnets", "routes", "propagating")
    # The parameter that names a route's target, by the beginning of the target's id.
    _TARGETS: Mapping[str, str] = {"igw": "GatewayId", "vgw": "GatewayId", "nat": "NatGatewayId", "i": "InstanceId"}

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_route_tables", "RouteTables")
        for item, table, name, lost in self.claimed(every, "RouteTableId", vpcs):
            links = [link for link in item["Associations"] if link.get("SubnetId")]
            routes = [
                {"destination": route["DestinationCidrBlock"], "target": self._target(route)}
                for route in item["Routes"]
                if route.get("Origin") == "CreateRoute" and "DestinationCidrBlock" in route
            ]
            spec = {
                "vpc": item["VpcId"],
                "subnets": [link["SubnetId"] for link in links],
                "routes": routes,
                "propagating": [gateway["GatewayId"] for gateway in item.get("PropagatingVgws", [])],
            }
            associations = {link["SubnetId"]: link["RouteTableAssociationId"] for link in links}
            learned = [
                route["DestinationCidrBlock"]
                for route in item["Routes"]
                if route.get("Origin") == "EnableVgwRoutePropagation" and route.get("State") == "active"
            ]
            yield self.found(name, table, spec, associations=associations, learned=sorted(learned), **lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the subnets that it serves, as each is served by one table."""
        served = [link["SubnetId"] for link in item["Associations"] if link.get("SubnetId")]
        if item["VpcId"] not in vpcs or not served:
            return ""
        subnets = {subnet["CidrBlock"] for subnet in self.pages("describe_subnets", "Subnets", SubnetIds=served)}
        kind = _kind_of(self.account.params, subnets)
        return kind and f"{self.account.deployment}-{kind}"

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        answer = self.account.create(
            self.ec2.create_route_table, VpcId=spec["vpc"], TagSpecifications=self.account.tagged("route-table", name)
        )
        return self.update(self.found(name, answer["RouteTable"]["RouteTableId"]), spec, self._FIELDS)

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        if "subnets" in changes:
            self._serve(found, spec["subnets"])
        if "routes" in changes:
            self._route(found, spec["routes"])
        if "propagating" in changes:
            seen = set(found.spec.get("propagating", ()))
            for gateway in sorted(set(spec["propagating"]) - seen):
                self._call("enable_vgw_route_propagation", RouteTableId=found.id, GatewayId=gateway)
            for gateway in sorted(seen - set(spec["propagating"])):
                self.ec2.disable_vgw_route_propagation(RouteTableId=found.id, GatewayId=gateway)
        return found

    def destroy(self, found: Found) -> None:
        self._serve(found, [])
        self.account.remove(self.ec2.delete_route_table, RouteTableId=found.id)

    def _serve(self, found: Found, subnets: list[str]) -> None:
        known: Mapping[str, str] = found.attributes.get("associations", {})
        for subnet in sorted(known.keys() - set(subnets)):
            self.account.remove(self.ec2.disassociate_route_table, AssociationId=known[subnet])
        for subnet in subnets:
            if subnet not in known:
                self._associate(found.id, subnet)

    def _associate(self, table: str, subnet: str) -> None:
        try:
            self._call("associate_route_table", RouteTableId=table, SubnetId=subnet)
        except ClientError as error:
            serving = [{"Name": "association.subnet-id", "Values": [subnet]}]
            if code(error) != "Resource.AlreadyAssociated" or table not in [
                item["RouteTableId"] for item in self.pages("describe_route_tables", "RouteTables", Filters=serving)
            ]:
                raise

    def _route(self, found: Found, routes: list[Mapping[str, str]]) -> None:
        seen = {route["destination"]: route["target"] for route in found.spec.get("routes", ())}
        wanted = {route["destination"]: route["target"] for route in routes}
        for destination, target in wanted.items():
            if seen.get(destination) != target:
                way = {self._TARGETS[target.split("-")[0]]: target}
                self._lead(destination in seen, RouteTableId=found.id, DestinationCidrBlock=destination, **way)
        for destination in seen.keys() - wanted.keys():
            self.ec2.delete_route(RouteTableId=found.id, DestinationCidrBlock=destination)

    def _lead(self, exists: bool, **route: str) -> None:
        """Set a route; one that is there, though it was not listed, is replaced, which may be the same by the same."""
        try:
            self._call("replace_route" if exists else "create_route", **route)
        except ClientError as error:
            if code(error) != "RouteAlreadyExists":
                raise
            self._call("replace_route", **route)

    def _call(self, operation: str, **arguments: Any) -> None:
        self.account.create(getattr(self.ec2, operation), **arguments)

    @staticmethod
    def _target(route: Mapping[str, Any]) -> str:
        words = ("NatGatewayId", "GatewayId", "InstanceId", "NetworkInterfaceId", "TransitGatewayId")
        return str(next((route[word] for word in words if route.get(word)), ""))


def _kind_of(params: Params, ranges: set[str]) -> str:
    """``public`` or ``private``, whichever subnets have these ranges; empty if neither. Pure."""
    kinds = zip(("public", "private"), aws_subnets(params), strict=True)
    return next((kind for kind, wanted in kinds if ranges <= set(wanted)), "")
