"""Who may do what: security groups, the instances' role, the operator's key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ...resources import Found
from ...topology.names import is_ours, role_name
from .answers import code, is_gone
from .kind import Kind, tags_of
from .lock import lock_name

Entry = Mapping[str, Any]


class SecurityGroup(Kind):
    """A security group, found together with its rules."""

    name = "security_group"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_security_groups", "SecurityGroups")
        for item, group, name, lost in self.claimed(every, "GroupId", vpcs):
            yield self.found(name, group, {"vpc": item["VpcId"], "description": item["Description"]}, **lost)
            if entries := [entry for permission in item["IpPermissions"] for entry in entries_of(permission)]:
                yield self.found(name, group, {"group": group, "ingress": entries}, kind="security_group_rules")

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        return self.recognise(item, vpcs) != ""

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the group's own name and its description, which stay as they were made."""
        name, deployment = item["GroupName"], self.account.deployment
        made = item["Description"] == f"{name.removeprefix(deployment + '-')} of {deployment}"
        return name if made and is_ours(deployment, f"aws:{self.name}", name) else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        def ask() -> Found:
            answer = self.ec2.create_security_group(
                GroupName=name,
                Description=spec["description"],
                VpcId=spec["vpc"],
                TagSpecifications=self.account.tagged("security-group", name),
            )
            return self.found(name, answer["GroupId"])

        return self.make(name, ask)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_security_group, GroupId=found.id)


class SecurityGroupRules(Kind):
    """All that one security group lets in; they are of their own because groups refer to each other."""

    name = "security_group_rules"

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        return self.update(self.found(name, spec["group"]), spec, ("ingress",))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        seen = list(found.spec.get("ingress", ()))
        self._authorize(found.id, [entry for entry in spec["ingress"] if entry not in seen])
        self._revoke(found.id, [entry for entry in seen if entry not in spec["ingress"]])
        return found

    def destroy(self, found: Found) -> None:
        self._revoke(found.id, list(found.spec.get("ingress", ())))

    def _authorize(self, group: str, entries: list[Entry]) -> None:
        if not entries:
            return
        permissions = [permission_of(entry) for entry in entries]
        try:
            self.account.create(self.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=permissions)
        except ClientError as error:
            if code(error) != "InvalidPermission.Duplicate":
                raise
            # Some are there though they were not listed, and one of them keeps all others out.
            if len(entries) > 1:
                for entry in entries:
                    self._authorize(group, [entry])

    def _revoke(self, group: str, entries: list[Entry]) -> None:
        if entries:
            permissions = [permission_of(entry) for entry in entries]
            self.account.remove(self.ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=permissions)


def permission_of(entry: Entry) -> dict[str, Any]:
    """One entry of ours as the API's IpPermission. Pure."""
    source = entry["source"]
    permission: dict[str, Any] = {"IpProtocol": "-1" if entry["protocol"] == "all" else entry["protocol"]}
    if entry["protocol"] != "all":
        permission |= {"FromPort": entry["low"], "ToPort": entry["high"]}
    if source.startswith("sg-"):
        permission["UserIdGroupPairs"] = [{"GroupId": source}]
    elif source.startswith("pl-"):
        permission["PrefixListIds"] = [{"PrefixListId": source}]
    elif ":" in source:
        permission["Ipv6Ranges"] = [{"CidrIpv6": source}]
    else:
        permission["IpRanges"] = [{"CidrIp": source}]
    return permission


def entries_of(permission: Mapping[str, Any]) -> Iterable[Entry]:
    """The API's IpPermission as entries of ours, one a source. Pure."""
    protocol = {"-1": "all"}.get(permission["IpProtocol"], permission["IpProtocol"])
    # ICMP has a type and a code there, -1 for any.
    low, high = (permission.get(end, -1 if protocol == "icmp" else 0) for end in ("FromPort", "ToPort"))
    if protocol == "all":
        low, high = 0, 0
    sources = [
        *(pair["GroupId"] for pair in permission.get("UserIdGroupPairs", [])),
        *(entry["CidrIp"] for entry in permission.get("IpRanges", [])),
        *(entry["CidrIpv6"] for entry in permission.get("Ipv6Ranges", [])),
        *(entry["PrefixListId"] for entry in permission.get("PrefixListIds", [])),
    ]
    for source in sources:
        yield {"protocol": protocol, "low": low, "high": high, "source": source}


class KeyPair(Kind):
    """The public half of the operator's key."""

    name = "key_pair"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        deployment = self.account.deployment
        for item in self.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]:
            name, owner = item["KeyName"], tags_of(item).get("Deployment")
            lost = not owner and bool(vpcs) and is_ours(deployment, "aws:key_pair", name)
            if owner != deployment and not lost:
                continue
            if name == lock_name(deployment):
                continue  # it comes and goes with whoever is at work
            public = " ".join(item.get("PublicKey", "").split()[:2])
            yield self.found(name, item["KeyPairId"], {"public_key": public} if public else {}, **_lost(owner))

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        def ask() -> Found:
            answer = self.ec2.import_key_pair(
                KeyName=name,
                PublicKeyMaterial=spec["public_key"].encode(),
                TagSpecifications=self.account.tagged("key-pair", name),
            )
            return self.found(name, answer["KeyPairId"])

        return self.make(name, ask)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_key_pair, KeyName=found.attributes["name"])


class IamRole(Kind):
    """A role that a service may take, with one policy of its own. IAM knows names only, so the id is the name."""

    name = "iam_role"
    _POLICY = "runbook"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        name = role_name(self.account.deployment)
        role = _unless_gone(lambda: self.iam.get_role(RoleName=name)["Role"])
        owner = tags_of(role or {}).get("Deployment")
        if role is None or owner not in (None, self.account.deployment):
            return
        policy = _unless_gone(lambda: self.iam.get_role_policy(RoleName=name, PolicyName=self._POLICY))
        if not owner and not policy:
            return  # only the name is ours
        trust = _document(role["AssumeRolePolicyDocument"])["Statement"][0]
        allowed = _document(policy["PolicyDocument"])["Statement"][0]["Action"] if policy else None
        yield self.found(name, name, {"service": trust["Principal"].get("Service"), "actions": allowed}, **_lost(owner))

    def mark(self, found: Found, name: str, spec: Mapping[str, Any]) -> None:
        self.iam.tag_role(RoleName=found.id, Tags=self.account.tags(name))

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        trust = {"Effect": "Allow", "Principal": {"Service": spec["service"]}, "Action": "sts:AssumeRole"}

        def ask() -> Found:
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust), Tags=self.account.tags(name))
            return self.found(name, name)

        return self.update(self.make(name, ask), spec, ("actions",))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        allowed = _policy({"Effect": "Allow", "Action": list(spec["actions"]), "Resource": "*"})
        self.account.create(
            self.iam.put_role_policy, RoleName=found.id, PolicyName=self._POLICY, PolicyDocument=allowed
        )
        return found

    def destroy(self, found: Found) -> None:
        self.account.remove(self.iam.delete_role_policy, RoleName=found.id, PolicyName=self._POLICY)
        self.account.remove(self.iam.delete_role, RoleName=found.id)


class InstanceProfile(Kind):
    """What hands a role to instances."""

    name = "instance_profile"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        name = role_name(self.account.deployment)
        profile = _unless_gone(lambda: self.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"])
        owner = tags_of(profile or {}).get("Deployment")
        roles = [role["RoleName"] for role in profile["Roles"]] if profile else []
        if profile and (owner == self.account.deployment or (not owner and roles == [name])):
            yield self.found(name, name, {"role": roles[0] if roles else None}, **_lost(owner))

    def mark(self, found: Found, name: str, spec: Mapping[str, Any]) -> None:
        self.iam.tag_instance_profile(InstanceProfileName=found.id, Tags=self.account.tags(name))

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        def ask() -> Found:
            self.iam.create_instance_profile(InstanceProfileName=name, Tags=self.account.tags(name))
            return self.found(name, name)

        return self.update(self.make(name, ask), spec, ("role",))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        self._empty(found)
        add, names = self.iam.add_role_to_instance_profile, {"InstanceProfileName": found.id, "RoleName": spec["role"]}
        try:
            self.account.create(add, **names)
        except ClientError as error:
            # A profile holds one role: that is refused also when a call whose answer never came has put ours in.
            if code(error) != "LimitExceeded" or [f.spec["role"] for f in self.find(frozenset())] != [spec["role"]]:
                raise
        return found

    def destroy(self, found: Found) -> None:
        self._empty(found)
        self.account.remove(self.iam.delete_instance_profile, InstanceProfileName=found.id)

    def _empty(self, found: Found) -> None:
        if role := found.spec.get("role"):
            self.account.remove(self.iam.remove_role_from_instance_profile, InstanceProfileName=found.id, RoleName=role)


def _lost(owner: str | None) -> dict[str, Any]:
    return {} if owner else {"marked": False}


def _unless_gone(call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return call()
    except ClientError as error:
        if is_gone(error):
            return None
        raise


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _document(policy: Any) -> dict[str, Any]:
    return dict(json.loads(policy)) if isinstance(policy, str) else dict(policy)
