"""What a request has to be allowed, besides the action that it names: IAM's dependent permissions.

After the Service Authorization Reference's pages on EC2 and IAM: tags that come with a creation need a tagging action
of their own, and handing a role to something needs ``iam:PassRole`` for that role.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from moto.iam.access_control import IAMPolicy, PermissionResult

from .base import ACCOUNT

# Creations in IAM that may bring tags along, and the action that these need.
_TAGGING = {"CreateRole": "iam:TagRole", "CreateInstanceProfile": "iam:TagInstanceProfile"}


class Need(NamedTuple):
    """One thing that must be allowed.

    Args:
        action: ``ec2:RunInstances``.
        resource: an ARN; ``*`` where the lab tells no resources apart.
    """

    action: str
    resource: str = "*"


def form(environ: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """The parameters of a query request, from its URL and body."""
    text = body.decode("utf-8", "replace")
    return dict([*parse_qsl(environ.get("QUERY_STRING", "")), *parse_qsl(text)])


def needs(service: str, action: str, given: Mapping[str, str], role_of: Mapping[str, str]) -> list[Need]:
    """Everything that one request needs, in the order in which it is asked for.

    Args:
        service: ``ec2``, ``iam``, ...
        action: without the service.
        given: the request's parameters.
        role_of: the name of the role in each instance profile.
    """
    wanted = [Need(f"{service}:{action}", _arn(given) if service == "iam" else "*")]
    if service == "ec2":
        profile = given.get("IamInstanceProfile.Name") or given.get("IamInstanceProfile.Arn", "").rpartition("/")[2]
        if action == "RunInstances" and profile in role_of:
            wanted.append(Need("iam:PassRole", _role(role_of[profile])))
        if any(name.startswith("TagSpecification.") for name in given):
            wanted.append(Need("ec2:CreateTags"))
    elif service == "iam":
        if action in _TAGGING and any(name.startswith("Tags.member.") for name in given):
            wanted.append(Need(_TAGGING[action], _arn(given)))
        if action == "AddRoleToInstanceProfile":
            wanted.append(Need("iam:PassRole", _role(given.get("RoleName", ""))))
    return wanted


def permitted(policies: list[Any], action: str, resource: str = "*") -> bool:
    """Whether policies allow an action on a resource: one allows it and none denies it."""
    results = [IAMPolicy(policy).is_action_permitted(action, resource) for policy in map(_document, policies)]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _document(policy: Any) -> Any:
    return policy["policy_document"] if isinstance(policy, dict) else policy


def _arn(given: Mapping[str, str]) -> str:
    """What an IAM request is about; a profile, where it names both a profile and a role."""
    if name := given.get("InstanceProfileName"):
        return f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}"
    return _role(name) if (name := given.get("RoleName")) else "*"


def _role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"
