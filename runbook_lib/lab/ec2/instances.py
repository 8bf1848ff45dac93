"""Instances: states that follow real machines, addresses that exist, requests checked as EC2 checks them."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceState, Reservation, StateReason
from moto.ec2.utils import filter_iam_instance_profiles, random_reservation_id
from moto.iam.exceptions import NotFoundException

from ..model import MachineState
from .base import LabBackend, free_addresses, private_name, raw, refuse

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
USER_DATA_LIMIT = 16384  # bytes before base64: Amazon EC2 User Guide, "Run commands at launch"
_BY_USER = StateReason("Client.UserInitiatedShutdown: User initiated shutdown", "Client.UserInitiatedShutdown")
_BY_ITSELF = StateReason(
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown", "Client.InstanceInitiatedShutdown"
)


class LabInstance(Instance):
    """An instance whose state follows a machine; moto's is running at once and keeps its addresses for ever."""

    known = False  # the world has reported something about it
    rebooting = False
    ended: float | None = None
    public_key = ""
    since = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.become("pending")
        self.security_groups = list(self.nics[0]._group_set)
        pair = self.ec2_backend.key_pairs.get(self.key_name)
        # The instance keeps its key when the pair is deleted.
        self.public_key = pair.public_key if pair else ""

    def prep_nics(
        self,
        nic_spec: list[dict[str, Any]],
        private_ip: str | None = None,
        associate_public_ip: bool | None = None,
        security_groups: list[Any] | None = None,
        ipv6_address_count: int | None = None,
    ) -> None:
        """EC2 gives the instance an interface with an address that is free; moto draws lots and fails with 500."""
        self.nics = {}
        wish = nic_spec[0] if nic_spec else {}
        if existing := wish.get("NetworkInterfaceId"):
            interface = self.ec2_backend.get_network_interface(existing)
            if interface.instance:
                refuse("InvalidNetworkInterface.InUse", f"Interface: [{existing}] in use.")
            interface.public_ip_auto_assign = False
        else:
            asked = wish.get("AssociatePublicIpAddress")
            interface = self.ec2_backend.create_network_interface(
                self.ec2_backend.get_subnet(self.subnet_id),
                private_ip or self._get_private_ip_from_nic(wish) or "",
                group_ids=[*(wish.get("Groups") or []), *(group.id for group in security_groups or [])],
                description=wish.get("Description") or "",
                public_ip_auto_assign=bool(associate_public_ip if asked is None else asked),
                delete_on_termination=wish.get("DeleteOnTermination") is not False,
            )
        self.attach_eni(interface, 0)

    def setup_defaults(self) -> None:
        """The root volume is attached where the image says; moto's is always /dev/sda1."""
        volume = self.ec2_backend.create_volume(size=8, zone_name=self.availability_zone)
        self.ec2_backend.attach_volume(volume.id, self.id, self.root_device_name, True)

    def become(self, name: str, reason: StateReason | None = None) -> None:
        self._state = InstanceState(name, STATES[name])
        self.since = time.monotonic()
        self.state_reason = reason or StateReason()
        stamp = utcnow().strftime("%Y-%m-%d %H:%M:%S GMT")
        self._reason = f"User initiated ({stamp})" if reason is _BY_USER else ""

    def early(self, state: MachineState) -> float:
        """Seconds by which a machine got somewhere sooner than the cloud's would have; the lab has been told these."""
        changes = {("pending", "running"): "ec2:RunInstances", ("shutting-down", "gone"): "ec2:TerminateInstances"}
        action = changes.get((self.state, state), "")
        durations: Mapping[str, float] = self.ec2_backend.lab.durations
        return self.since + durations[action] - time.monotonic() if action in durations else 0.0

    def release(self) -> None:
        """A terminated instance holds no interface, address, volume or profile."""
        for interface in list(self.nics.values()):
            for address in self.ec2_backend.addresses:
                if address.eni is interface:
                    self.ec2_backend.disassociate_address(association_id=address.association_id)
            interface.public_ip = None
            self.detach_eni(interface)
            if interface.delete_on_termination:
                self.ec2_backend.enis.pop(interface.id, None)
        self.teardown_defaults()
        self._subnet_id = None
        self.security_groups = []
        association = self.ec2_backend.iam_instance_profile_associations.get(self.id)
        if association:
            self.ec2_backend.disassociate_iam_instance_profile(association.association_id)
        self.ended = time.monotonic()

    @property
    def private_ip(self) -> str | None:
        return self.nics[0].private_ip_address if self.nics else None

    @property
    def private_ip_address(self) -> str | None:
        return self.private_ip

    @property
    def private_dns_name(self) -> str:
        return private_name(self.private_ip, self.region_name) if self.private_ip else ""

    @property
    def public_ip(self) -> str | None:
        return self.nics[0].public_ip if self.nics else None

    @property
    def public_ip_address(self) -> str | None:
        return self.public_ip

    def __del__(self) -> None:
        """moto gives addresses back here; ours are free as soon as no interface holds them."""


class InstanceBackend(LabBackend):
    """RunInstances and the states after it."""

    def launch(self, minimum: int, maximum: int, image: str, user_data: Base64EncodedString | None, **wish: Any) -> Any:
        """Between ``minimum`` and ``maximum`` instances, or none; moto makes ``minimum`` and checks little."""
        if not 1 <= minimum <= maximum:
            refuse("InvalidParameterValue", f"Invalid value '{maximum}' for instanceCount. Must be at least minCount")
        self.describe_images(ami_ids=[image])
        if wish["instance_type"] not in INSTANCE_TYPES:
            refuse("InvalidParameterValue", f"Invalid value '{wish['instance_type']}' for InstanceType.")
        if len(raw(user_data)) > USER_DATA_LIMIT:
            refuse("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")
        if wish["key_name"] and wish["key_name"] not in self.key_pairs:
            refuse("InvalidKeyPair.NotFound", f"The key pair '{wish['key_name']}' does not exist")
        groups = self._groups(wish.pop("group_names"), wish.pop("group_ids"))
        profile = self._profile(wish.pop("profile_name"), wish.pop("profile_arn"))
        count = self._room(minimum, maximum, groups, wish)

        reservation = Reservation(random_reservation_id(), self.account_id)
        tags = wish.pop("tags")
        volumes = wish.pop("block_device_mappings")
        for index in range(count):
            wish["ami_launch_index"] = index
            instance = LabInstance(self, image, user_data, groups, **wish)  # type: ignore[abstract]  # moto's leftovers of CloudFormation
            reservation.instances.append(instance)
            self.reservations[reservation.id] = reservation
            instance.add_tags(tags.get("instance", {}))
            instance.nics[0].add_tags(tags.get("network-interface", {}))
            self._add_volumes(instance, volumes, tags.get("volume", {}))
            if profile:
                self.associate_iam_instance_profile(instance.id, iam_instance_profile_arn=profile.arn)
        return reservation

    def _groups(self, names: list[str], ids: list[str]) -> list[Any]:
        groups = []
        for wanted in (*names, *ids):
            group = self.get_security_group_by_name_or_id(wanted)
            if group is None:
                refuse("InvalidGroup.NotFound", f"The security group '{wanted}' does not exist")
            groups.append(group)
        return groups

    def _profile(self, name: str | None, arn: str | None) -> Any:
        if not (name or arn):
            return None
        try:
            return filter_iam_instance_profiles(self.account_id, self.partition, arn, name)
        except NotFoundException:
            field, value = ("name", name) if name else ("arn", arn)
            refuse(
                "InvalidParameterValue",
                f"Value ({value}) for parameter iamInstanceProfile.{field} is invalid. "
                f"Invalid IAM Instance Profile {'name' if name else 'ARN'}",
            )

    def _room(self, minimum: int, maximum: int, groups: list[Any], wish: dict[str, Any]) -> int:
        """How many instances the subnet takes; everything about the network is checked before the first is made."""
        nics = wish["nics"]
        if len(nics) > 1:
            refuse("AttachmentLimitExceeded", "Interface count 2 exceeds the limit of 1 of the lab's instances")
        nic = nics[0] if nics else {}
        subnet_id = wish["subnet_id"] or nic.get("SubnetId")
        if existing := nic.get("NetworkInterfaceId"):
            subnet_id = self.get_network_interface(existing).subnet_id
        if not subnet_id:
            refuse("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
        wish["subnet_id"] = subnet_id
        subnet = self.get_subnet(subnet_id)
        zone = wish.pop("zone")
        if zone and zone != subnet.availability_zone:
            refuse("InvalidParameterValue", f"The availability zone {zone} and subnet {subnet_id} do not match.")
        for group in (*groups, *self._groups([], nic.get("Groups") or [])):
            if group.vpc_id != subnet.vpc_id:
                refuse(
                    "InvalidParameter",
                    f"Security group {group.id} and subnet {subnet_id} belong to different networks.",
                )
        if existing or wish["private_ip"] or nic.get("PrivateIpAddress"):
            if maximum > 1:
                refuse("InvalidParameterCombination", "An address or interface can be given to one instance only")
            return 1
        free = len(list(free_addresses(subnet.cidr_block, self.private_addresses(subnet_id))))
        if free < minimum:
            refuse(
                "InsufficientFreeAddressesInSubnet",
                f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number"
                " of instances.",
            )
        return min(maximum, free)

    def _add_volumes(self, instance: LabInstance, mappings: list[dict[str, Any]], tags: dict[str, str]) -> None:
        if not mappings:
            instance.setup_defaults()
        for mapping in mappings:
            disk = mapping["Ebs"]
            instance.add_block_device(
                disk["VolumeSize"] or 8,
                mapping["DeviceName"],
                disk["SnapshotId"],
                disk["Encrypted"],
                disk["DeleteOnTermination"],
                disk["KmsKeyId"],
                disk["VolumeType"],
            )
        for _, device in instance.get_block_device_mapping:
            for volume in self.describe_volumes(volume_ids=[device.volume_id]):
                volume.add_tags(tags)

    # ---- states ------------------------------------------------------------------------------------------

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """Termination takes as long as the machine does; moto's instances are gone at once."""
        instances = self._targets(instance_ids)
        for instance in instances:
            if instance.disable_api_termination:
                refuse(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' "
                    "instance attribute and try again.",
                )
        answer = []
        for instance in instances:
            answer.append((instance, copy.copy(instance._state)))
            if instance.state in ("shutting-down", "terminated"):
                continue
            stopped = instance.state == "stopped" or not instance.known
            instance.become("terminated" if stopped else "shutting-down", _BY_USER)
            if stopped:
                instance.release()
        return answer  # type: ignore[return-value]  # LabInstance is an Instance

    def stop_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        instances = self._targets(instance_ids)
        for instance in instances:
            if instance.state not in ("running", "stopping", "stopped"):
                _wrong_state(instance, "stopped")
        answer = []
        for instance in instances:
            answer.append((instance, copy.copy(instance._state)))
            if instance.state == "running":
                instance.become("stopping", _BY_USER)
        return answer  # type: ignore[return-value]  # LabInstance is an Instance

    def start_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        instances = self._targets(instance_ids)
        for instance in instances:
            if instance.state not in ("pending", "running", "stopped"):
                _wrong_state(instance, "started")
        answer = []
        for instance in instances:
            answer.append((instance, copy.copy(instance._state)))
            if instance.state == "stopped":
                instance.nics[0].start()
                instance.become("pending")
        return answer  # type: ignore[return-value]  # LabInstance is an Instance

    def reboot_instances(self, instance_ids: list[str]) -> list[Instance]:
        """The machine stops and starts again while the state stays ``running``."""
        instances = self._targets(instance_ids)
        for instance in instances:
            if instance.state not in ("pending", "running"):
                _wrong_state(instance, "rebooted")
            instance.rebooting = instance.known
        return list(instances)

    def _targets(self, instance_ids: list[str]) -> list[LabInstance]:
        if not instance_ids:
            refuse("InvalidParameterCombination", "No instances specified")
        return self.get_multi_instances_by_id(instance_ids)  # type: ignore[return-value]  # all are LabInstance

    def report(self, instance: LabInstance, state: MachineState) -> bool:
        """Let an instance follow its machine; tells whether the world should look again."""
        instance.known = True
        if state in ("booting", "running"):
            if instance.state == "pending" and state == "running":
                instance.become("running")
            return False
        if state == "stopping":
            return False
        if instance.rebooting and instance.state in ("pending", "running"):
            instance.rebooting = False
            return True
        if instance.state == "shutting-down" or (state == "gone" and instance.state in ("pending", "running")):
            instance.become("terminated", instance.state_reason if instance.state_reason.code else _BY_ITSELF)
            instance.release()
            return True
        if instance.state in ("pending", "running", "stopping"):
            instance.become("stopped", instance.state_reason if instance.state == "stopping" else _BY_ITSELF)
            instance.nics[0].stop()
            return True
        return False

    def modify_instance_security_groups(self, instance_id: str, new_group_id_list: list[str]) -> Instance:
        """The groups belong to the interface; moto changes the instance's list alone, and takes unknown groups."""
        instance = self.get_instance(instance_id)
        groups = self._groups([], new_group_id_list)
        instance.security_groups = groups
        instance.nics[0]._group_set = list(groups)
        return instance

    def modify_instance_attribute(self, instance_id: str, key: str, value: Any) -> Instance:
        """SourceDestCheck is the interface's as well; type and user data change in a stopped instance only."""
        instance = self.get_instance(instance_id)
        if key in ("instance_type", "user_data", "kernel") and instance.state != "stopped":
            refuse("IncorrectInstanceState", f"The instance '{instance_id}' is not in the 'stopped' state.")
        if key == "source_dest_check":
            value = str(value).lower() == "true"
            instance.nics[0].source_dest_check = value
        return super().modify_instance_attribute(instance_id, key, value)

    def modify_instance_metadata_options(self, instance_id: str, *args: Any, **options: Any) -> Any:
        """Options that are not mentioned stay; moto resets them to its defaults."""
        old = self.get_instance(instance_id).metadata_options
        kept = {
            "http_tokens": old.http_tokens,
            "hop_limit": old.http_put_response_hop_limit,
            "http_endpoint": old.http_endpoint,
            "http_protocol": old.http_protocol_ipv6,
            "metadata_tags": old.instance_metadata_tags,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return super().modify_instance_metadata_options(instance_id, **(kept | given))

    def sweep(self) -> None:
        super().sweep()
        now = time.monotonic()
        for reservation in list(self.reservations.values()):
            ended = [getattr(instance, "ended", None) for instance in reservation.instances]
            if all(at is not None and now - at >= self.lab.keep for at in ended):
                del self.reservations[reservation.id]


def _wrong_state(instance: Instance, verb: str) -> None:
    refuse(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {verb}.",
    )
