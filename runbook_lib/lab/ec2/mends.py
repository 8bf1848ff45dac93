"""Every place where moto's EC2 behaves otherwise than EC2 does, and where that is mended.

Nothing in moto itself is changed: a region of the lab is a ``Region``, which extends moto's state of a region,
and a request is answered by a subclass of ``LabResponse``, which extends moto's handlers. Each method there says
what the cloud does and what moto does.

    instances.py   states follow machines, MinCount/MaxCount, every reference of RunInstances checked
    addresses.py   private and public addresses that exist once, elastic addresses, NAT gateways
    networks.py    VPCs, subnets, gateways, security groups: what depends on what
    routes.py      route targets, blackholes, propagated routes
    vpn.py         VPN connections with two real tunnels, static routes, telemetry
    responses.py   missing actions, pages, client tokens, console output, rules all or none
    images.py      the images there are
    here           zones, tags, filters, key pairs by id
"""

from __future__ import annotations

import fnmatch
from typing import Any

from moto.ec2.models.availability_zones_and_regions import Zone
from moto.ec2.models.instances import Reservation
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from . import images
from .addresses import AddressBackend
from .base import refuse
from .instances import InstanceBackend
from .networks import NetworkBackend
from .vpn import VpnBackend

# EC2's instance filters and where an instance keeps the values; moto knows half of them, and no wildcards.
_INSTANCE_FILTERS = {
    "architecture": "architecture",
    "availability-zone": "availability_zone",
    "client-token": "client_token",
    "dns-name": "public_dns_name",
    "image-id": "image_id",
    "instance-id": "id",
    "instance-state-code": "state_code",
    "instance-state-name": "state",
    "instance-type": "instance_type",
    "ip-address": "public_ip",
    "key-name": "key_name",
    "owner-id": "owner_id",
    "private-dns-name": "private_dns_name",
    "private-ip-address": "private_ip",
    "network-interface.addresses.private-ip-address": "private_ip",
    "root-device-name": "root_device_name",
    "root-device-type": "root_device_type",
    "source-dest-check": "source_dest_check",
    "state-reason-code": "state_reason.code",
    "subnet-id": "subnet_id",
    "network-interface.subnet-id": "subnet_id",
    "virtualization-type": "virtualization_type",
    "vpc-id": "vpc_id",
    "network-interface.vpc-id": "vpc_id",
}


class Region(InstanceBackend, AddressBackend, NetworkBackend, VpnBackend):
    """One region of the lab's AWS."""

    def _load_amis(self) -> None:
        """Debian's images alone, the same in every region."""
        images.load(self)

    def describe_images(
        self,
        ami_ids: list[str] | None = None,
        filters: dict[str, Any] | None = None,
        exec_users: list[str] | None = None,
        owners: list[str] | None = None,
    ) -> list[Any]:
        """Ids, owners and filters narrow the answer together; moto looks at nothing else where ids are given."""
        matching = super().describe_images(None, filters, exec_users, owners)
        return [image for image in super().describe_images(ami_ids) if image in matching] if ami_ids else matching

    def describe_snapshots(self, snapshot_ids: list[str] | None = None, filters: Any = None) -> list[Any]:
        """The image's snapshot is its publisher's own; moto shows it to everybody."""
        found = super().describe_snapshots(snapshot_ids, filters)
        return [snapshot for snapshot in found if snapshot.owner_id != images.IMAGE_OWNER]

    def describe_availability_zones(
        self,
        filters: Any = None,
        zone_names: list[str] | None = None,
        zone_ids: list[str] | None = None,
    ) -> list[Zone]:
        """The zones that the lab was asked to have, in its home region."""
        found = super().describe_availability_zones(filters, zone_names, zone_ids)
        if self.lab.zones and self.region_name == self.lab.home:
            found = [zone for zone in found if zone.name in self.lab.zones]
        for wanted in zone_names or []:
            if wanted not in [zone.name for zone in found]:
                refuse("InvalidParameterValue", f"Invalid availability zone: [{wanted}]")
        return found

    def do_resources_exist(self, resource_ids: list[str]) -> bool:
        """Only what exists can be tagged; moto tags key pairs that do not."""
        for resource in resource_ids:
            if get_prefix(resource) == "key":
                self.key_pairs_by_id([resource])
        return super().do_resources_exist(resource_ids)

    def key_pairs_by_id(self, ids: list[str]) -> list[Any]:
        """Key pairs by their ids, which moto does not look at.

        Raises:
            EC2ClientError: ``InvalidKeyPair.NotFound``.
        """
        known = {pair.id: pair for pair in self.key_pairs.values()}
        for wanted in ids:
            if wanted not in known:
                refuse("InvalidKeyPair.NotFound", f"The key pair ID '{wanted}' does not exist")
        return [known[wanted] for wanted in ids]

    def describe_tags(self, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
        """One resource's tags are looked up; moto matches patterns against every tag there is, for each resource."""
        if filters and set(filters) == {"resource-id"} and not set("*?") & set("".join(filters["resource-id"])):
            return [
                {
                    "resource_id": resource,
                    "key": key,
                    "value": value,
                    "resource_type": EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource), ""),
                }
                for resource in filters["resource-id"]
                for key, value in self.tags.get(resource, {}).items()
            ]
        return super().describe_tags(filters)

    def all_reservations(self, filters: Any = None) -> list[Reservation]:
        """Filters by any documented name, with wildcards; moto compares literally and answers 500 to others."""
        reservations = super().all_reservations()
        for name, values in (filters or {}).items():
            for reservation in reservations:
                reservation.instances = [
                    instance for instance in reservation.instances if self._matches(instance, reservation, name, values)
                ]
        return [reservation for reservation in reservations if reservation.instances or not filters]

    def get_reservations_by_instance_ids(self, instance_ids: list[str], filters: Any = None) -> list[Reservation]:
        found = super().get_reservations_by_instance_ids(instance_ids)
        kept = {instance.id for r in self.all_reservations(filters) for instance in r.instances}
        for reservation in found:
            reservation.instances = [instance for instance in reservation.instances if instance.id in kept]
        return [reservation for reservation in found if reservation.instances]

    def _matches(self, instance: Any, reservation: Reservation, name: str, values: list[str]) -> bool:
        tags = self.tags.get(instance.id, {})
        seen: list[Any]
        if name.startswith("tag:"):
            seen = [tags[name[4:]]] if name[4:] in tags else []
        elif name == "tag-key":
            seen = list(tags)
        elif name == "reservation-id":
            seen = [reservation.id]
        elif name in ("group-id", "instance.group-id", "network-interface.group-id"):
            seen = [group.id for group in instance.security_groups]
        elif name in ("group-name", "instance.group-name", "network-interface.group-name"):
            seen = [group.name for group in instance.security_groups]
        elif name == "iam-instance-profile.arn":
            seen = [(instance.iam_instance_profile or {}).get("Arn")]
        elif name == "network-interface.network-interface-id":
            seen = [interface.id for interface in instance.network_interfaces]
        elif name in _INSTANCE_FILTERS:
            value: Any = instance
            for part in _INSTANCE_FILTERS[name].split("."):
                value = getattr(value, part)
            seen = [str(value).lower() if isinstance(value, bool) else value]
        else:
            refuse("InvalidParameterValue", f"The filter '{name}' is invalid")
        return any(
            fnmatch.fnmatchcase(str(value), pattern) for value in seen if value is not None for pattern in values
        )
