"""EC2 instances."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from ...bootstrap import digest, written_for
from ...errors import CloudError
from ...resources import Found
from ..base import Image
from . import images
from .account import Account, is_gone
from .kind import Kind, tags_of

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

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        # By the tag, and by the key, which stays as it was at launch.
        key = {"Name": "key-name", "Values": [f"{self.account.deployment}-operator"]}
        alive = {"Name": "instance-state-name", "Values": _ALIVE}
        every = {
            item["InstanceId"]: item
            for filters in ([*self.account.ours(), alive], [key, alive])
            for reservation in self.pages("describe_instances", "Reservations", Filters=filters)
            for item in reservation["Instances"]
        }
        for item, _, name, lost in self.claimed(every.values(), "InstanceId", vpcs):
            script = {} if tags_of(item).get("ScriptDigest") else {"marked": False}
            yield self._found(item, name, {**lost, **script})

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        return bool(item.get("KeyName") == f"{self.account.deployment}-operator")

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the script that it was made with, which says for whom it was written."""
        written = written_for(self._script(item["InstanceId"]))
        return f"{written[0]}-{written[1]}" if written and written[0] == self.account.deployment else ""

    def mark(self, found: Found, name: str, spec: Mapping[str, Any]) -> None:
        own = {"ScriptDigest": found.spec["script_digest"]}
        self.ec2.create_tags(Resources=[found.id], Tags=self.account.tags(name, {**spec["tags"], **own}))

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        request = self._request(name, spec)
        # A token that an ended instance has used up gives that one back, as it was at first; so the next is tried.
        for generation in range(_GENERATIONS):
            token = self.account.token(name, request, generation)
            answer = self.account.create(self.ec2.run_instances, **request, ClientToken=token)
            item = self._now(answer["Instances"][0])
            if item["State"]["Name"] in _ALIVE:
                return self._found(item, name)
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
        return self._found(seen, found.attributes["name"])

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

    def _script(self, instance: str) -> str:
        answer = self.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return base64.b64decode(answer["UserData"].get("Value", "")).decode(errors="replace")

    def _found(self, item: Mapping[str, Any], name: str, lost: Mapping[str, Any] = MappingProxyType({})) -> Found:
        tags, state = tags_of(item), item["State"]["Name"]
        spec: dict[str, Any] = {
            "instance_type": item["InstanceType"],
            "subnet": item.get("SubnetId"),
            "groups": [group["GroupId"] for group in item.get("SecurityGroups", [])],
            "key_pair": item.get("KeyName"),
            "profile": item.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2],
            "script_digest": tags.get("ScriptDigest") or digest(self._script(item["InstanceId"])),
            "tags": {key: value for key, value in tags.items() if key not in _OWN and not key.startswith("aws:")},
        }
        if state == "running":
            spec["public_ip"] = bool(item.get("PublicIpAddress"))
        return self.found(
            name,
            item["InstanceId"],
            spec,
            role=tags.get("Role", ""),
            zone=item["Placement"]["AvailabilityZone"],
            private_ip=item.get("PrivateIpAddress", ""),
            public_ip=item.get("PublicIpAddress"),
            state=state,
            ready=state != "pending",
            running=state in ("pending", "running"),
            **lost,
        )
