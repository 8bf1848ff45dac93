"""`runbook lab credentials`: files of somebody who may do what files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.clouds import connect
from runbook_lib.errors import CloudError
from runbook_lib.lab import restricted
from runbook_lib.lab.errors import LabError
from runbook_lib.lab.host import Lab
from runbook_lib.params import Params
from tests.clouds.conftest import Emulated, aws_lab, gcp_lab

__all__ = ["aws_lab", "gcp_lab"]  # the fixtures


@pytest.fixture
def lab(aws_lab: Emulated, gcp_lab: Emulated, tmp_path: Path) -> Lab:
    """A lab as its starter knows it; the fixtures keep credentials where a lab does."""
    return Lab("x", str(tmp_path), 0, 0, aws_lab.url, gcp_lab.url, "", "")


def files(folder: Path, actions: list[str], permissions: list[str]) -> tuple[Path, Path]:
    policy, role = folder / "policy.json", folder / "role.yaml"
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    role.write_text(f"title: x\nincludedPermissions: {json.dumps(permissions)}\n")
    return policy, role


def test_who_has_them_may_do_that_and_no_more(lab: Lab, tmp_path: Path) -> None:
    policy, role = files(tmp_path, ["ec2:DescribeVpcs"], ["compute.networks.list"])
    lines = restricted.write(lab, policy, role, tmp_path / "less")
    given: Any = dict(line.split(": ") for line in lines)
    assert {Path(file).stat().st_mode & 0o777 for file in given.values()} == {0o600}
    clouds: Any = connect(Params(aws_endpoint=lab.aws_endpoint, gcp_endpoint=lab.gcp_endpoint, **given))
    assert clouds.aws._account.ec2.describe_vpcs()["Vpcs"] == []
    with pytest.raises(CloudError, match="AWS refused") as aws:
        clouds.aws.inventory()
    assert "allow ec2:" in aws.value.remedy
    with pytest.raises(CloudError, match=r"Required 'compute.[a-zA-Z]+.list' permission"):
        clouds.gcp.inventory()

    # Again, with more: the same members.
    policy, role = files(tmp_path, ["*"], ["compute.networks.list", *(f"compute.{name}.list" for name in _LISTED)])
    again: Any = dict(line.split(": ") for line in restricted.write(lab, policy, role, tmp_path / "less"))
    clouds = connect(Params(aws_endpoint=lab.aws_endpoint, gcp_endpoint=lab.gcp_endpoint, **again))
    assert clouds.inventory() == {}


_LISTED = (
    "subnetworks",
    "firewalls",
    "routes",
    "routers",
    "vpnGateways",
    "externalVpnGateways",
    "vpnTunnels",
    "instances",
)


def test_a_cloud_without_a_file_is_left_out(lab: Lab, tmp_path: Path) -> None:
    policy, role = files(tmp_path, ["ec2:DescribeVpcs"], [])
    assert [line.split(":")[0] for line in restricted.write(lab, policy, None, tmp_path / "a")] == ["aws_credentials"]
    assert [line.split(":")[0] for line in restricted.write(lab, None, role, tmp_path / "b")] == ["gcp_credentials"]


def test_files_that_are_none_are_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(LabError, match="the policy is refused"):
        restricted.write(lab, tmp_path / "text", None, tmp_path / "less")
    with pytest.raises(LabError, match="is no custom role"):
        restricted.write(lab, None, tmp_path / "text", tmp_path / "less")
