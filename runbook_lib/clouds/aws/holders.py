"""Who holds on to something that cannot be removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from ...errors import CloudError
from ...resources import Found
from .account import Account, code
from .answers import is_held
from .kind import tags_of

# The filter that finds the network interfaces which hold on to a thing of this kind, and what of it is filtered by.
_INTERFACES: Mapping[str, str] = {"subnet": "subnet-id", "security_group": "group-id", "vpc": "vpc-id"}


@contextmanager
def naming_holders(account: Account, found: Found) -> Iterator[None]:
    """Where AWS refuses to remove something because of what holds on to it, say what that is.

    Raises:
        CloudError: it refused so.
    """
    try:
        yield
    except ClientError as error:
        held: tuple[str, ...] = ()
        if is_held(error):
            with suppress(ClientError):  # whoever may not look is told as much as AWS says
                held = holders(account, found)
        if not held:
            raise
        raise CloudError(
            "AWS does not remove what something else holds on to",
            resource=found.key,
            expected="nothing there but what the runbook made",
            seen=f"{code(error)}: held by {'; '.join(held)}",
            remedy="remove what is named, or move it elsewhere, and run the step again",
        ) from error


def holders(account: Account, found: Found) -> tuple[str, ...]:
    """What stands in a VPC, subnet or security group, or on an internet gateway: kind, id, name and owner of each.

    Args:
        account: clients.
        found: what cannot be removed.
    """
    kind = found.key.split(":")[1]
    if kind == "internet_gateway":  # held by the public addresses in its VPC
        by, value = "vpc-id", str(found.spec.get("vpc"))
    elif kind in _INTERFACES:
        by, value = _INTERFACES[kind], found.id
    else:
        return ()
    filters = [{"Name": by, "Values": [value]}]
    seen = list(_interfaces(account, filters))
    if kind == "vpc":
        seen += _inside(account, filters)
    return tuple(seen)


def _interfaces(account: Account, filters: list[dict[str, Any]]) -> Iterator[str]:
    for interface in account.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
        attached = interface.get("Attachment", {}).get("InstanceId")
        what = f"instance {attached}" if attached else interface.get("Description") or "nothing"
        owner = interface.get("RequesterId") or interface.get("OwnerId", "?")
        yield f"network interface {interface['NetworkInterfaceId']} of {what}, owner {owner}"


def _inside(account: Account, filters: list[dict[str, Any]]) -> Iterator[str]:
    for subnet in account.ec2.describe_subnets(Filters=filters)["Subnets"]:
        yield f"subnet {subnet['SubnetId']} ({_name(subnet)})"
    for group in account.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]:
        if group["GroupName"] != "default":
            yield f"security group {group['GroupId']} ({group['GroupName']})"
    for table in account.ec2.describe_route_tables(Filters=filters)["RouteTables"]:
        if not any(link.get("Main") for link in table["Associations"]):
            yield f"route table {table['RouteTableId']} ({_name(table)})"


def _name(item: Mapping[str, Any]) -> str:
    return tags_of(item).get("Name", "without a name")
