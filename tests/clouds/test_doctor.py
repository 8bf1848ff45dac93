"""`runbook doctor -f` against both emulated clouds: what is amiss is found, named and left as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.clouds import connect
from runbook_lib.clouds.survey import surveyor
from runbook_lib.doctor import Finding, examine
from runbook_lib.lab import restricted
from runbook_lib.params import Params
from runbook_lib.permissions import policy, role
from runbook_lib.plan import plan
from runbook_lib.provision import apply
from runbook_lib.resources import STEPS
from runbook_lib.topology import topology
from tests.clouds.test_both import KEY, params

__all__ = ["params"]  # the fixture


def by_check(found: tuple[Finding, ...]) -> dict[tuple[str, str], Finding]:
    return {(finding.cloud, finding.check): finding for finding in found}


def amiss(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.cloud, finding.check) for finding in found if not finding.ok]


def test_empty_accounts_will_do_and_stay_empty(params: Params, aws_lab: Any) -> None:
    found = examine(params)
    assert amiss(found) == []
    seen = by_check(found)
    assert "user/operator in account 123456789012" in seen["aws", "credentials"].seen
    assert seen["gcp", "credentials"].seen == "runbook@runbook-lab.iam.gserviceaccount.com in project runbook-lab"
    # Eight instances of two CPUs each, three of them public.
    cpus = seen["aws", "quota Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"]
    assert (cpus.expected, cpus.seen) == ("room for 16 more", "0 of 32 used")
    assert seen["gcp", "quota IN_USE_ADDRESSES in europe-west1"].expected == "room for 3 more"
    assert seen["gcp", "quota VPN_TUNNELS"].seen == "0 of 10 used"
    assert aws_lab.counts.total() == 0
    assert connect(params).inventory() == {}


def test_what_stands_already_needs_no_room(params: Params) -> None:
    clouds, wanted = connect(params), topology(params, public_key=KEY)
    apply(plan(wanted, clouds.inventory(), STEPS[0]), clouds)
    seen = by_check(examine(params))
    for check in (("aws", "quota VPCs per Region"), ("gcp", "quota NETWORKS")):
        assert (seen[check].expected, seen[check].seen) == ("room for 0 more", "1 of 5 used")
    assert seen["gcp", "quota CPUS in europe-west1"].seen == "2 of 24 used"
    assert seen["gcp", "quota CPUS in europe-west1"].expected == "room for 14 more"


def test_a_quota_that_is_too_small_is_told(params: Params) -> None:
    many = params.model_copy(update={"web_servers": 12})
    seen = by_check(examine(many))
    assert not seen["gcp", "quota CPUS in europe-west1"].ok
    assert seen["gcp", "quota CPUS in europe-west1"].remedy.startswith("ask for 36")
    assert not seen["aws", "quota Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"].ok
    assert seen["aws", "quota VPCs per Region"].ok


def test_names_that_others_have_are_told(params: Params) -> None:
    aws, gcp = (surveyor(params, cloud) for cloud in ("aws", "gcp"))
    account: Any = aws
    account._account.ec2.import_key_pair(KeyName="blue-operator", PublicKeyMaterial=KEY.encode())
    account._account.iam.create_role(RoleName="blue-ec2-describe-instances", AssumeRolePolicyDocument="{}")
    api: Any = gcp._api  # type: ignore[attr-defined]
    body = {"name": "blue-network", "auto_create_subnetworks": False}
    api.change("a network", api.client("NetworksClient").insert_unary, {"network_resource": body})
    seen = by_check(examine(params))
    assert amiss(tuple(seen.values())) == [("aws", "names"), ("gcp", "names")]
    assert (
        seen["aws", "names"].seen == "others have: aws:key_pair:blue-operator, aws:iam_role:blue-ec2-describe-instances"
    )
    assert seen["gcp", "names"].seen == "others have: gcp:network:blue-network"


@pytest.fixture
def given(params: Params, tmp_path: Path) -> Callable[[list[str], list[str]], Params]:
    """Parameters with the credentials of somebody who has just these permissions."""

    def give(actions: list[str], permissions: list[str]) -> Params:
        user = restricted.Aws(params.aws_endpoint, Path(params.aws_credentials), params.aws_region)
        account = restricted.Gcp(params.gcp_endpoint, Path(params.gcp_credentials))
        files = tmp_path / "less-aws", tmp_path / "less-gcp"
        files[0].write_text(user.credentials())
        files[1].write_text(account.credentials())
        document = policy("blue")
        for statement in document["Statement"]:
            statement["Action"] = [action for action in statement["Action"] if action not in actions]
        user.allow(json.dumps(document))
        has = role("blue")["includedPermissions"]
        account.allow([one for one in has if one not in permissions])
        return params.model_copy(update={"aws_credentials": str(files[0]), "gcp_credentials": str(files[1])})

    return give


def test_the_printed_permissions_are_enough_to_look(given: Callable[..., Params]) -> None:
    assert amiss(examine(given([], []))) == []


def test_missing_permissions_are_named(given: Callable[..., Params]) -> None:
    seen = by_check(examine(given(["ec2:CreateVpc", "iam:PassRole"], ["compute.vpnTunnels.create"])))
    assert amiss(tuple(seen.values())) == [("aws", "permissions"), ("gcp", "permissions")]
    assert seen["aws", "permissions"].seen == "2 missing: ec2:CreateVpc, iam:PassRole"
    assert seen["gcp", "permissions"].seen == "1 missing: compute.vpnTunnels.create"
    assert "runbook permissions --format role" in seen["gcp", "permissions"].remedy


@pytest.mark.parametrize(
    ("action", "checks"),
    [
        ("iam:SimulatePrincipalPolicy", ["permissions"]),
        # That it is missing is told by the one, and by the other, which needs it.
        ("servicequotas:ListServiceQuotas", ["permissions", "quotas"]),
    ],
)
def test_one_check_that_is_not_allowed_stops_no_other(
    given: Callable[..., Params], action: str, checks: list[str]
) -> None:
    seen = by_check(examine(given([action], [])))
    assert sorted(amiss(tuple(seen.values()))) == [("aws", check) for check in checks]
    wrong = seen["aws", checks[-1]]
    assert action in wrong.remedy
    assert "`runbook permissions`" in wrong.remedy
    assert ("aws", "names") in seen


def test_no_credentials_are_a_finding_and_a_wrong_parameter_is(params: Params) -> None:
    found = examine(params.model_copy(update={"aws_credentials": "/nowhere", "gcp_machine_type": "e2-giant"}))
    seen = by_check(found)
    assert [check for check in seen if check[0] == "aws"] == [("aws", "credentials")]
    assert not seen["aws", "credentials"].ok
    assert "/nowhere" in seen["aws", "credentials"].seen
    assert not seen["gcp", "parameters"].ok
    assert "gcp_machine_type" in seen["gcp", "parameters"].remedy
    assert seen["gcp", "permissions"].ok
