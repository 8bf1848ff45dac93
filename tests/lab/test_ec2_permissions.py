"""What AWS asks besides a request's own action, the policy simulator, and Service Quotas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from runbook_lib.lab.ec2.permissions import needs, permitted
from runbook_lib.lab.errors import LabError
from runbook_lib.lab.restricted import Aws
from tests.clouds.conftest import Emulated, aws_lab

__all__ = ["aws_lab"]  # the fixture

ARN = "arn:aws:iam::123456789012:"


@pytest.mark.parametrize(
    ("service", "action", "given", "expected"),
    [
        ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/16"}, ["ec2:CreateVpc *"]),
        ("ec2", "CreateVpc", {"TagSpecification.1.ResourceType": "vpc"}, ["ec2:CreateVpc *", "ec2:CreateTags *"]),
        (
            "ec2",
            "RunInstances",
            {"IamInstanceProfile.Name": "p"},
            ["ec2:RunInstances *", f"iam:PassRole {ARN}role/r"],
        ),
        ("ec2", "RunInstances", {"IamInstanceProfile.Name": "unknown"}, ["ec2:RunInstances *"]),
        (
            "iam",
            "CreateRole",
            {"RoleName": "r", "Tags.member.1.Key": "k"},
            [f"iam:CreateRole {ARN}role/r", f"iam:TagRole {ARN}role/r"],
        ),
        (
            "iam",
            "AddRoleToInstanceProfile",
            {"RoleName": "r", "InstanceProfileName": "p"},
            [f"iam:AddRoleToInstanceProfile {ARN}instance-profile/p", f"iam:PassRole {ARN}role/r"],
        ),
        ("iam", "ListUsers", {}, ["iam:ListUsers *"]),
    ],
)
def test_requests_need_what_aws_documents(service: str, action: str, given: Any, expected: list[str]) -> None:
    assert [f"{need.action} {need.resource}" for need in needs(service, action, given, {"p": "r"})] == expected


@pytest.mark.parametrize(
    ("resource", "allowed"), [(f"{ARN}role/blue-x", True), (f"{ARN}role/green-x", False), ("*", False)]
)
def test_a_policy_for_one_role_is_for_no_other(resource: str, allowed: bool) -> None:
    statement = {"Effect": "Allow", "Action": "iam:GetRole", "Resource": "arn:aws:iam::*:role/blue-x"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert permitted([document], "iam:GetRole", resource) is allowed


@pytest.fixture
def user(aws_lab: Emulated, tmp_path: Path) -> Callable[..., Any]:
    """Makes a client of a service, of somebody who may do some actions."""
    restricted = Aws(aws_lab.url, Path(aws_lab.credentials), "us-west-2")
    file = tmp_path / "less"
    file.write_text(restricted.credentials())
    key, secret = (line.partition(" = ")[2] for line in file.read_text().splitlines()[1:])

    def make(service: str, *actions: str) -> Any:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        restricted.allow(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        session: Any = boto3.Session(key, secret, region_name="us-west-2")
        return session.client(service, endpoint_url=aws_lab.url)

    return make


def test_tags_of_a_creation_are_refused_before_anything_is_made(user: Callable[..., Any]) -> None:
    ec2 = user("ec2", "ec2:CreateVpc", "ec2:DescribeVpcs")
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "x"}]}]
    with pytest.raises(ClientError, match="not authorized to perform: ec2:CreateTags because") as caught:
        ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tags)
    assert caught.value.response["Error"]["Code"] == "UnauthorizedOperation"
    assert "10.9.0.0/16" not in {vpc["CidrBlock"] for vpc in ec2.describe_vpcs()["Vpcs"]}
    ec2.create_vpc(CidrBlock="10.9.0.0/16")


def test_the_simulator_tells_without_doing(user: Callable[..., Any]) -> None:
    iam = user("iam", "iam:SimulatePrincipalPolicy", "ec2:Describe*")
    source = f"{ARN}user/restricted"
    answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["ec2:DescribeVpcs", "ec2:DeleteVpc"])
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}
    assert decisions == {"ec2:DescribeVpcs": "allowed", "ec2:DeleteVpc": "implicitDeny"}
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.simulate_principal_policy(PolicySourceArn=f"{ARN}user/nobody", ActionNames=["ec2:DeleteVpc"])


def test_service_quotas_are_told_and_refused_as_json(user: Callable[..., Any]) -> None:
    quotas = user("service-quotas", "servicequotas:ListServiceQuotas")
    known = {q["QuotaCode"]: q["Value"] for q in quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]}
    assert known["L-F678F1CE"] == 5
    with pytest.raises(quotas.exceptions.NoSuchResourceException):
        quotas.list_service_quotas(ServiceCode="s3")
    with pytest.raises(ClientError, match="servicequotas:ListServiceQuotas"):
        user("service-quotas", "ec2:DescribeVpcs").list_service_quotas(ServiceCode="vpc")


def test_new_credentials_end_the_old_ones(aws_lab: Emulated) -> None:
    restricted = Aws(aws_lab.url, Path(aws_lab.credentials), "us-west-2")
    first, second, third = (restricted.credentials() for _ in range(3))  # AWS allows two keys at a time
    assert len({first, second, third}) == 3
    with pytest.raises(LabError, match="the policy is refused"):
        restricted.allow("{}")
