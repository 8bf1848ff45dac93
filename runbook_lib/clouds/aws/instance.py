"""EC2 instances."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ...errors import CloudError
from ...resources import Found
from ..base import Image
from . import images
from .account import Account, is_gone
from .kind import Kind, name_of, tags_of

# How often one instance may be ended and made again while AWS remembers the ended ones.
_GENERATIONS = 50
_ALIVE = ["pending", "running", "stopping", "stopped"]
# The runbook's own tags, which are no part of the wanted ones.
_OWN = ("Name", "Deployment", "ScriptDigest")


class Instance(Kind):
    """An instance with one interface."""

    name = "instance"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._image: Image | None = None
        self._looking = threading.Lock()

    def find(self) -> Iterable[Found]:
        states = self.account.ours(instance_state_name=_ALIVE)
        for reservation in self.pages("describe_instances", "Reservations", Filters=states):
            yield from map(self._found, reservation["Instances"])

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        request = self._request(name, spec)
        # A token that an ended instance has used up gives that one back, as it was at first; so the next is tried.
        for generation in range(_GENERATIONS):
            token = self.account.token(name, request, generation)
            answer = self.account.create(self.ec2.run_instances, **request, ClientToken=token)
            item = self._now(answer["Instances"][0])
            if item["State"]["Name"] in _ALIVE:
                return self._found(item)
        raise CloudError(
            "AWS gives ended instances back again and again",
            resource=f"aws:instance:{name}",
            remedy="wait an hour, in which AWS forgets them, and run the step again",
        )

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        if "groups" in changes:
            self.ec2.modify_instance_attribute(InstanceId=found.id, Groups=list(spec["groups"]))
        if "tags" in changes:
            self.ec2.create_tags(Resources=[found.id], Tags=self.account.tags(found.attributes["name"], spec["tags"]))
            surplus = found.spec["tags"].keys() - spec["tags"].keys()
            if surplus:
                self.ec2.delete_tags(Resources=[found.id], Tags=[{"Key": key} for key in sorted(surplus)])
        if "running" in changes:
            if found.attributes["state"] == "stopping":
                self._until(found, "stopped")
            self.ec2.start_instances(InstanceIds=[found.id])
            return self.wait(found)
        return found

    def wait(self, found: Found) -> Found:
        seen = self._until(found, "running", "shutting-down", "terminated")
        if seen["State"]["Name"] != "running":
            reason = seen.get("StateReason", {}).get("Message", "") or seen.get("StateTransitionReason", "")
            raise CloudError(
                "the instance ended before it ran",
                resource=found.key,
                expected="running",
                seen=f"{seen['State']['Name']}: {reason}",
                remedy="mend what the message names and run the step again",
            )
        return self._found(seen)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.terminate_instances, InstanceIds=[found.id])
        self._until(found, "terminated")

    def console_output(self, instance: str) -> str:
        """What it wrote to its console, the newest that AWS has."""
        answer = self.ec2.get_console_output(InstanceId=instance)
        return str(answer.get("Output") or "")

    def image(self) -> Image:
        """The newest image that the parameters name, looked up once, so that a run's instances boot the same.

        Raises:
            ParameterError: there is none.
        """
        with self._looking:
            if self._image is None:
                self._image = images.newest(self.account)
            return self._image

    def _request(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        own = {"ScriptDigest": spec["script_digest"]}
        tags = self.account.tagged("instance", name, {**spec["tags"], **own})
        return {
            "ImageId": self.image().id,
            "InstanceType": spec["instance_type"],
            "MinCount": 1,
            "MaxCount": 1,
            "KeyName": spec["key_pair"],
            "UserData": spec["user_data"],
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": spec["subnet"],
                    "Groups": list(spec["groups"]),
                    "AssociatePublicIpAddress": spec["public_ip"],
                }
            ],
            # Version 2 of the metadata service only, and for this machine's own processes only.
            "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "TagSpecifications": [*tags, *self.account.tagged("volume", name)],
            **({"IamInstanceProfile": {"Name": spec["profile"]}} if spec["profile"] else {}),
        }

    def _now(self, item: dict[str, Any]) -> dict[str, Any]:
        """An instance as it is now; as it was answered while AWS does not know it everywhere."""
        try:
            answer = self.ec2.describe_instances(InstanceIds=[item["InstanceId"]])
        except ClientError as error:
            if is_gone(error):
                return item
            raise
        return dict(answer["Reservations"][0]["Instances"][0])

    def _until(self, found: Found, *states: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            answer = self.account.create(self.ec2.describe_instances, InstanceIds=[found.id])
            return dict(answer["Reservations"][0]["Instances"][0])

        return self.account.until(
            look,
            lambda seen: seen["State"]["Name"] in states,
            f"{found.key} to be {states[0]}",
            describe=lambda seen: seen["State"]["Name"],
        )

    def _found(self, item: Mapping[str, Any]) -> Found:
        tags, state = tags_of(item), item["State"]["Name"]
        spec: dict[str, Any] = {
            "instance_type": item["InstanceType"],
            "subnet": item.get("SubnetId"),
            "groups": [group["GroupId"] for group in item.get("SecurityGroups", [])],
            "key_pair": item.get("KeyName"),
            "profile": item.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2],
            "script_digest": tags.get("ScriptDigest"),
            "tags": {key: value for key, value in tags.items() if key not in _OWN and not key.startswith("aws:")},
        }
        if state == "running":
            spec["public_ip"] = bool(item.get("PublicIpAddress"))
        return self.found(
            name_of(item, item["InstanceId"]),
            item["InstanceId"],
            spec,
            role=tags.get("Role", ""),
            zone=item["Placement"]["AvailabilityZone"],
            private_ip=item.get("PrivateIpAddress", ""),
            public_ip=item.get("PublicIpAddress"),
            state=state,
            ready=state != "pending",
            running=state in ("pending", "running"),
        )
