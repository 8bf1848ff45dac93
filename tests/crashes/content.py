"""Everything that both emulated clouds hold, whoever made it and however it is tagged, comparable between two runs.

What is read is the clouds' own listings and store, not the library's inventory, so that what nobody finds again, for
want of a tag, is seen as well.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Raw = Mapping[str, Sequence[Mapping[str, Any]]]
Content = Mapping[str, Counter[str]]

# EC2's listings, what each is called in its answer, and the field that identifies an entry.
_LISTINGS = (
    ("vpcs", "Vpcs", "VpcId"),
    ("subnets", "Subnets", "SubnetId"),
    ("network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("volumes", "Volumes", "VolumeId"),
    ("addresses", "Addresses", "AllocationId"),
    ("internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("nat_gateways", "NatGateways", "NatGatewayId"),
    ("route_tables", "RouteTables", "RouteTableId"),
    ("network_acls", "NetworkAcls", "NetworkAclId"),
    ("dhcp_options", "DhcpOptions", "DhcpOptionsId"),
    ("security_groups", "SecurityGroups", "GroupId"),
    ("security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"),
    ("key_pairs", "KeyPairs", "KeyPairId"),
    ("customer_gateways", "CustomerGateways", "CustomerGatewayId"),
    ("vpn_gateways", "VpnGateways", "VpnGatewayId"),
    ("vpn_connections", "VpnConnections", "VpnConnectionId"),
    ("launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    ("iam_instance_profile_associations", "IamInstanceProfileAssociations", "AssociationId"),
)
_ENTITIES = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
_GONE = ("deleting", "deleted", "failed", "shutting-down", "terminated")
# What differs between two runs that came to the same: moments, identifiers that nothing refers to, digests of both.
_PASSING = frozenset(
    {
        *("AttachTime", "AttachedTime", "CreateDate", "CreateTime", "DeleteTime", "LaunchTime", "Timestamp"),
        *("CreationDate", "LastStatusChange", "StartTime", "UpdateDate", "UsageOperationUpdateTime"),
        *("creationTimestamp", "lastStartTimestamp", "lastStopTimestamp", "id", "fingerprint", "labelFingerprint"),
        *("MacAddress", "OwnerId", "PrivateDnsName", "PublicDnsName", "ReservationId", "ClientToken", "Reason"),
        *("Id", "sharedSecretHash", "InstanceProfileId", "RoleId", "UserId", "PolicyId"),
        *("StateTransitionReason", "CustomerGatewayConfiguration", "KeyFingerprint", "ResponseMetadata"),
    }
)
_ID = re.compile(r"\b[a-z]+(?:-[a-z]+)*-[0-9a-f]{8,17}\b")
_ADDRESS = re.compile(r"(?<![\d.])(?!169\.254\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d./])")
_DNS = re.compile(r"\b(?:ip|ec2)-(?:\d+-){3}\d+\b")


def read(ec2: Any, iam: Any, documents: Mapping[str, Mapping[str, Any]]) -> Raw:
    """Everything there is.

    Args:
        ec2: a boto3 client of the emulated EC2, of an operator who may see all.
        iam: the same for IAM.
        documents: GCP's, by path.
    """
    raw: dict[str, Sequence[Mapping[str, Any]]] = {
        f"aws {name}": getattr(ec2, f"describe_{name}")()[field] for name, field, _ in _LISTINGS
    }
    raw["aws vpc settings"] = [
        {"VpcId": vpc["VpcId"], name: ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)[answer]}
        for vpc in raw["aws vpcs"]
        for name, answer in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames"))
    ]
    found = [one for reservation in ec2.describe_instances()["Reservations"] for one in reservation["Instances"]]
    raw["aws instances"] = [
        one | {"UserData": ec2.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute="userData")}
        for one in found
        if _stays(one)
    ]
    entities = iam.get_account_authorization_details()
    raw |= {f"aws iam {name}": entities[name] for name in _ENTITIES}
    raw["aws iam InstanceProfiles"] = iam.list_instance_profiles()["InstanceProfiles"]
    for path, document in documents.items():
        raw[f"gcp {path}"] = [document]
    return raw


def content(raw: Raw) -> Content:
    """The same without what differs between two runs that came to the same. Pure.

    Identifiers, addresses and keys become the names of what they belong to, so that who refers to whom is kept.
    What is on its way out, or could not be made, counts as gone.
    """
    names = dict(_names(raw))
    return {
        kind: Counter(json.dumps(_plain(one, names), sort_keys=True, default=str) for one in every if _stays(one))
        for kind, every in raw.items()
        if any(map(_stays, every))
    }


def differences(expected: Content, seen: Content) -> list[str]:
    """What one has and the other has not, a line each. Pure."""
    lines = []
    for kind in sorted(expected.keys() | seen.keys()):
        before, now = expected.get(kind, Counter()), seen.get(kind, Counter())
        lines += [f"missing in {kind}: {text}" for text in (before - now).elements()]
        lines += [f"too much in {kind}: {text}" for text in (now - before).elements()]
    return lines


def _stays(one: Mapping[str, Any]) -> bool:
    state = one.get("State", "")
    return (state.get("Name") if isinstance(state, Mapping) else state) not in _GONE


def _names(raw: Raw) -> Iterator[tuple[str, str]]:
    """What each identifier, address and key is to be called instead."""
    identities = {f"aws {name}": field for name, _, field in _LISTINGS} | {"aws instances": "InstanceId"}
    for kind, field in identities.items():
        for one in filter(_stays, raw.get(kind, ())):
            tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
            name = tags.get("Name") or one.get("GroupName") or one.get("KeyName") or "nameless"
            yield one[field], f"<{kind} {name}>"
            if kind == "aws addresses":
                yield one["PublicIp"], f"<address {name}>"
            for number, tunnel in enumerate(one.get("Options", {}).get("TunnelOptions", ())):
                yield tunnel["OutsideIpAddress"], f"<address {number} of {name}>"
                yield tunnel["PreSharedKey"], f"<key {number} of {name}>"
    for path in filter(lambda kind: "/vpnGateways/" in kind, raw):
        for interface in raw[path][0].get("vpnInterfaces", ()):
            yield interface["ipAddress"], f"<address {interface.get('id', 0)} of {path}>"


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item, names) for name, item in value.items() if name not in _PASSING}
    if isinstance(value, (list, tuple)):
        return sorted((_plain(item, names) for item in value), key=lambda item: json.dumps(item, default=str))
    if not isinstance(value, str):
        return value
    if value in names:
        return names[value]
    value = _ID.sub(lambda match: names.get(match[0], "<id>"), value)
    value = _ADDRESS.sub(lambda match: names.get(match[0], "<address>"), value)
    return _DNS.sub("<host>", value)
