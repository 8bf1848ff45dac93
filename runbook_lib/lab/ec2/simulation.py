"""IAM's policy simulator, which moto does not have: what a user or role may do, told without doing it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from moto.iam.access_control import create_access_key
from moto.iam.models import iam_backends

from .base import ACCOUNT, PARTITION
from .errors import RefusedError
from .permissions import permitted


def answer(given: Mapping[str, str]) -> bytes:
    """The answer to ``SimulatePrincipalPolicy``.

    Args:
        given: the request's parameters.

    Raises:
        RefusedError: there is no such user or role.
    """
    policies = _policies(given.get("PolicySourceArn", ""))
    resources = _members(given, "ResourceArns") or ["*"]
    results = [
        (action, resource, "allowed" if permitted(policies, action, resource) else "implicitDeny")
        for action in _members(given, "ActionNames")
        for resource in resources
    ]
    rows = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}"
        f"</EvalResourceName><EvalDecision>{decision}</EvalDecision><MatchedStatements/></member>"
        for action, resource, decision in results
    )
    text = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{rows}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
    return text.encode()


def _members(given: Mapping[str, str], field: str) -> list[str]:
    """The values of a list in a query request, in order."""
    found, number = [], 1
    while (value := given.get(f"{field}.member.{number}")) is not None:
        found.append(value)
        number += 1
    return found


def _policies(arn: str) -> list[Any]:
    iam = iam_backends[ACCOUNT][PARTITION]
    kind, _, name = arn.rpartition(":")[2].partition("/")
    name = name.rpartition("/")[2]
    if kind == "user" and (user := iam.users.get(name)) is not None:
        keys = user.access_keys
        return create_access_key(ACCOUNT, PARTITION, keys[0].access_key_id, {}).collect_policies() if keys else []
    if kind == "role" and (role := next((r for r in iam.roles.values() if r.name == name), None)) is not None:
        return [*role.policies.values(), *role.managed_policies.values()]
    raise RefusedError("NoSuchEntity", f"The user or role {arn} cannot be found.", 404)
