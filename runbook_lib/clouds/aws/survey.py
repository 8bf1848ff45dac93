"""AWS asked beforehand: identity, permissions (IAM's policy simulator), quotas (Service Quotas), names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import CloudError
from ...params import Params
from ...resources import CloudName, Found, Resource
from ...topology.names import role_name
from ..survey import CPUS, Quota
from . import Aws
from .account import errors, is_gone, open_account
from .kind import Kind, tags_of

# AWS's codes of quotas, from its table of service quotas: service, code, and what is counted.
_QUOTAS: tuple[tuple[str, str, str], ...] = (
    ("vpc", "L-F678F1CE", "vpc"),
    ("vpc", "L-A4707A72", "internet_gateway"),
    ("vpc", "L-FE5A380F", "nat_gateway"),
    ("vpc", "L-E79EC296", "security_group"),
    ("ec2", "L-0263D0A3", "elastic_ip"),
    ("ec2", "L-7029FAB6", "vpn_gateway"),
    ("ec2", "L-4FB7FF5D", "customer_gateway"),
    ("ec2", "L-3E6EC3A3", "vpn_connection"),
    ("ec2", "L-1216C47A", CPUS),
)
# The families that the last of them is about: A, C, D, H, I, M, R, T and Z, by the beginning of a type's name.
_STANDARD = re.compile(r"([acdhimrtz]|im|is)\d")
# What is gone, or on its way, counts no more.
_GONE = ("deleted", "deleting", "failed", "terminated", "shutting-down", "stopped", "stopping")
_AT_ONCE = 50  # actions in one question, far below the 2048 that a request may have


class AwsSurveyor:
    """``clouds.survey.Surveyor`` for AWS.

    Args:
        params: the deployment.
    """

    name: CloudName = "aws"

    def __init__(self, params: Params) -> None:
        self._params = params
        self._account = open_account(params)
        self._aws = Aws(self._account)

    def identity(self) -> str:
        """See ``Surveyor.identity``."""
        who = self._caller()
        return f"{who['Arn']} in account {who['Account']}"

    def check(self) -> None:
        """See ``Surveyor.check``."""
        self._aws.check()

    def found(self) -> Mapping[str, Found]:
        """See ``Surveyor.found``."""
        return self._aws.inventory()

    def denied(self, permissions: Iterable[str]) -> tuple[str, ...]:
        """See ``Surveyor.denied``; the policies of an organization are beyond what the simulator tells for sure."""
        who = self._caller()
        if who["Arn"].endswith(":root"):
            return ()  # the account's own user may do everything, and cannot be asked about
        source = principal(who["Arn"])
        found: list[str] = []
        with errors("aws permissions"):
            for resource, actions in _by_resource(permissions, who["Account"], self._account.deployment).items():
                for start in range(0, len(actions), _AT_ONCE):
                    answer = self._account.iam.simulate_principal_policy(
                        PolicySourceArn=source,
                        ActionNames=actions[start : start + _AT_ONCE],
                        **({"ResourceArns": [resource]} if resource else {}),
                    )
                    results = answer["EvaluationResults"]
                    found += [one["EvalActionName"] for one in results if one["EvalDecision"] != "allowed"]
        return tuple(sorted(found))

    def quotas(self) -> tuple[Quota, ...]:
        """See ``Surveyor.quotas``."""
        with errors("aws quotas"):
            asked = self._account.client("service-quotas")
            limits = {
                quota["QuotaCode"]: quota
                # What an account was given itself is told apart from what everybody has, and comes second.
                for told in ("list_aws_default_service_quotas", "list_service_quotas")
                for service in dict.fromkeys(service for service, _, _ in _QUOTAS)
                for page in asked.get_paginator(told).paginate(ServiceCode=service)
                for quota in page["Quotas"]
            }
            used, each = self._used()
        if unknown := [code for _, code, _ in _QUOTAS if code not in limits]:
            raise CloudError(
                "AWS does not tell all quotas that matter",
                resource="aws quotas",
                expected=", ".join(code for _, code, _ in _QUOTAS),
                seen=f"without {', '.join(unknown)}",
                remedy="look at Service Quotas in AWS's console for them",
            )
        return tuple(
            Quota(quota["QuotaName"], counts, int(quota["Value"]), used[counts], each if counts == CPUS else 1)
            for quota, counts in ((limits[code], counts) for _, code, counts in _QUOTAS)
        )

    def taken(self, wanted: Iterable[Resource]) -> tuple[str, ...]:
        """See ``Surveyor.taken``: key pairs, the role and its profile; other things have ids and may share names."""
        keys = {(resource.kind, resource.name): resource.key for resource in wanted}
        with errors("aws names"):
            seen = [*self._key_pairs(), *self._of_role()]
        return tuple(keys[one] for one in seen if one in keys)

    def _caller(self) -> Mapping[str, str]:
        with errors("aws credentials"):
            answer: Mapping[str, str] = self._account.client("sts").get_caller_identity()
        return answer

    def _used(self) -> tuple[Counter[str], int]:
        """How many of everything there are in the region, and how many CPUs one wanted instance has."""
        ec2, zone = self._account.ec2, self._params.aws_zones[0]
        pages = Kind(self._account).pages
        counted = Counter(
            {
                "vpc": len(pages("describe_vpcs", "Vpcs")),
                "internet_gateway": len(pages("describe_internet_gateways", "InternetGateways")),
                "security_group": len(pages("describe_security_groups", "SecurityGroups")),
                "elastic_ip": len(ec2.describe_addresses()["Addresses"]),
                "vpn_gateway": _alive(ec2.describe_vpn_gateways()["VpnGateways"]),
                "customer_gateway": _alive(ec2.describe_customer_gateways()["CustomerGateways"]),
                "vpn_connection": _alive(ec2.describe_vpn_connections()["VpnConnections"]),
            }
        )
        subnets = pages("describe_subnets", "Subnets", Filters=[{"Name": "availability-zone", "Values": [zone]}])
        inside = {subnet["SubnetId"] for subnet in subnets}
        gateways = pages("describe_nat_gateways", "NatGateways")
        counted["nat_gateway"] = _alive(gateway for gateway in gateways if gateway.get("SubnetId") in inside)
        instances = [one for part in pages("describe_instances", "Reservations") for one in part["Instances"]]
        types = Counter(one["InstanceType"] for one in instances if _counts(one))
        cpus = self._cpus({self._params.aws_instance_type, *types})
        counted[CPUS] = sum(number * cpus[name] for name, number in types.items())
        return counted, cpus[self._params.aws_instance_type]

    def _cpus(self, types: set[str]) -> Mapping[str, int]:
        answer = self._account.ec2.describe_instance_types(InstanceTypes=sorted(types))
        return {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in answer["InstanceTypes"]}

    def _key_pairs(self) -> Iterator[tuple[str, str]]:
        for pair in self._account.ec2.describe_key_pairs()["KeyPairs"]:
            if tags_of(pair).get("Deployment") != self._account.deployment:
                yield "key_pair", pair["KeyName"]

    def _of_role(self) -> Iterator[tuple[str, str]]:
        name, iam = role_name(self._account.deployment), self._account.iam
        asks: tuple[tuple[str, str, Callable[[], Any]], ...] = (
            ("iam_role", "Role", lambda: iam.get_role(RoleName=name)),
            ("instance_profile", "InstanceProfile", lambda: iam.get_instance_profile(InstanceProfileName=name)),
        )
        for kind, field, ask in asks:
            try:
                thing = ask()[field]
            except self._account.iam.exceptions.ClientError as error:
                if not is_gone(error):
                    raise
                continue
            if tags_of(thing).get("Deployment") != self._account.deployment:
                yield kind, name


def principal(arn: str) -> str:
    """The user or role behind a caller's ARN, as IAM is asked about it. Pure.

    A session's ARN does not tell the path of its role, if that has one.
    """
    if ":assumed-role/" not in arn:
        return arn
    account, name = arn.split(":")[4], arn.split("/")[1]
    return f"{arn.split(':sts:', maxsplit=1)[0]}:iam::{account}:role/{name}"


def _counts(instance: Mapping[str, Any]) -> bool:
    """Whether the quota of running on-demand standard instances counts one: no spot, and no GPU, Mac or the like."""
    standard = _STANDARD.match(instance["InstanceType"]) and "InstanceLifecycle" not in instance
    return bool(standard) and instance["State"]["Name"] not in _GONE


def _alive(items: Iterable[Mapping[str, Any]]) -> int:
    return sum(item["State"] not in _GONE for item in items)


def _by_resource(permissions: Iterable[str], account: str, deployment: str) -> Mapping[str, list[str]]:
    """The actions by the ARN that they are asked for; empty for those that are asked for everything."""
    name = role_name(deployment)
    found: dict[str, list[str]] = {}
    for action in permissions:
        resource = ""
        if action.startswith("iam:") and action != "iam:SimulatePrincipalPolicy":
            kind = "instance-profile" if "InstanceProfile" in action else "role"
            resource = f"arn:aws:iam::{account}:{kind}/{name}"
        found.setdefault(resource, []).append(action)
    return found
