"""An existing network layer, read from what Terraform wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbook_lib import terraform_state
from runbook_lib.errors import ParameterError

OUTPUTS: dict[str, Any] = {
    "gcp_network": "shared",
    "gcp_pub_subnet": "shared-public",
    "gcp_priv_subnet": "shared-private",
    "aws_vpc": "vpc-0a",
    "aws_pub_subnet": ["subnet-1", "subnet-2"],
    "aws_priv_subnet": ["subnet-3", "subnet-4"],
    "aws_ngw": "nat-0a",
    "aws_igw": "igw-0a",
    "aws_bastion_sg": "sg-0a",
    "gcp_bastion_ip": "203.0.113.9",
    "aws_bastion_ip": "198.51.100.9",
}


def state(version: int, **changes: Any) -> dict[str, Any]:
    values = {name: value for name, value in (OUTPUTS | changes).items() if value is not ...}
    outputs = {name: {"sensitive": False, "type": "string", "value": value} for name, value in values.items()}
    if version == 4:
        return {"version": 4, "terraform_version": "1.5.7", "serial": 3, "lineage": "x", "outputs": outputs}
    inner = {"path": ["root", "vpc"], "outputs": {}}
    return {"version": 3, "modules": [inner, {"path": ["root"], "outputs": outputs, "resources": {}}]}


@pytest.mark.parametrize("version", [3, 4])
def test_both_formats_say_the_same(tmp_path: Path, version: int) -> None:
    file = tmp_path / "terraform.tfstate"
    file.write_text(json.dumps(state(version)), encoding="utf-8")
    network = terraform_state.read(file)
    assert network.aws_vpc == "vpc-0a"
    assert network.aws_priv_subnet == ("subnet-3", "subnet-4")
    assert network.gcp_bastion_ip == "203.0.113.9"


@pytest.mark.parametrize("value", ["subnet-1, subnet-2", ["subnet-1", "subnet-2"]])
def test_lists_may_be_text_with_commas(value: Any) -> None:
    assert terraform_state.parse(state(3, aws_pub_subnet=value)).aws_pub_subnet == ("subnet-1", "subnet-2")


def test_one_subnet_may_stand_alone() -> None:
    assert terraform_state.parse(state(4, aws_pub_subnet="subnet-1")).aws_pub_subnet == ("subnet-1",)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (state(4, aws_vpc=...), "missing: aws_vpc"),
        (state(4, aws_vpc=..., gcp_network=...), "missing: gcp_network, aws_vpc"),
        (state(4, aws_vpc="subnet-1"), "vpc-"),
        (state(4, aws_vpc=["vpc-1", "vpc-2"]), "one value"),
        (state(4, aws_pub_subnet=[]), "list of texts"),
        (state(4, aws_pub_subnet=["subnet-1", 7]), "list of texts"),
        (state(4, gcp_network=""), "gcp_network"),
        (state(4, gcp_network=None), "gcp_network"),
        (state(4, aws_bastion_ip="bastion.example"), "IPv4"),
        ({"version": 4}, "no outputs"),
        ({"version": 3, "modules": []}, "no outputs"),
        ({"version": 3, "modules": [{"path": ["root", "inner"], "outputs": {}}]}, "no outputs"),
        ({"version": 5, "outputs": {}}, "version 5"),
        ({}, "version None"),
        ([], "version None"),
    ],
)
def test_what_cannot_be_used_is_said(changed: Any, names: str) -> None:
    with pytest.raises(ParameterError) as raised:
        terraform_state.parse(changed)
    assert names in str(raised.value)
    assert raised.value.resource == "network_state"
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"{", "not JSON"), (b"\xff\xfe\x00", "read")]
)
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "terraform.tfstate"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ParameterError, match=message) as raised:
        terraform_state.read(file)
    assert str(file) in str(raised.value.seen)
