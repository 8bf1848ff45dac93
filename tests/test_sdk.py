"""The clouds' own clients as a learner gets them, against emulated clouds."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.cloud import compute_v1

from runbook_lib import sdk
from runbook_lib.errors import ParameterError
from runbook_lib.params import Params
from tests.clouds.conftest import Emulated, aws_lab, gcp_lab

__all__ = ["aws_lab", "gcp_lab"]  # fixtures


def test_a_client_of_aws_asks_the_endpoint_of_the_parameters(aws_lab: Emulated) -> None:
    params = Params(aws_endpoint=aws_lab.url, aws_credentials=aws_lab.credentials)
    made = sdk.aws(params).create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    assert made in {vpc["VpcId"] for vpc in sdk.aws(params).describe_vpcs()["Vpcs"]}
    assert sdk.aws(params, "sts").get_caller_identity()["Account"]


def test_a_change_at_gcp_can_be_waited_for_as_google_shows_it(gcp_lab: Emulated) -> None:
    params = Params(gcp_endpoint=gcp_lab.url, gcp_credentials=gcp_lab.credentials)
    networks = sdk.gcp(params, "Networks")
    body = compute_v1.Network(name="own", auto_create_subnetworks=False)
    networks.insert(project=params.gcp_project, network_resource=body).result(timeout=60)
    assert networks.get(project=params.gcp_project, network="own").name == "own"
    subnet = compute_v1.Subnetwork(name="own", ip_cidr_range="10.2.0.0/24", network="global/networks/own")
    subnets = sdk.gcp(params, "Subnetworks")
    subnets.insert(project=params.gcp_project, region=params.gcp_region, subnetwork_resource=subnet).result(timeout=60)
    assert [one.name for one in subnets.list(project=params.gcp_project, region=params.gcp_region)] == ["own"]


@pytest.mark.parametrize("field", ["aws_credentials", "gcp_credentials"])
def test_credentials_that_are_not_there_are_told(field: str, tmp_path: Path) -> None:
    params = Params(**{field: str(tmp_path / "none")})
    with pytest.raises(ParameterError) as raised:
        sdk.aws(params) if field.startswith("aws") else sdk.gcp(params, "Networks")
    assert raised.value.resource == field
