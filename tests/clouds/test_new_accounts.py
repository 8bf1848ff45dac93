"""Accounts that nobody has used yet: what the clouds answer then comes with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.clouds import connect
from runbook_lib.doctor import examine
from runbook_lib.errors import CloudError
from runbook_lib.lab.calls import Answer, Call, Serve
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.params import Params
from tests.clouds.conftest import World, served

_REFUSAL = (
    "<Response><Errors><Error><Code>OptInRequired</Code><Message>You are not subscribed to this service. Please go to "
    "http://aws.amazon.com to subscribe.</Message></Error></Errors><RequestID>1</RequestID></Response>"
)
_DISABLED = (
    "Compute Engine API has not been used in project 100 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project=100 then retry."
)


def unsubscribed(call: Call, serve: Serve) -> Answer:
    """EC2's answer to an account that never subscribed; other services answer as ever."""
    if not call.action.startswith("ec2:"):
        return serve()
    return Answer("401 Unauthorized", (("Content-Type", "text/xml"),), _REFUSAL.encode())


def disabled(_call: Call, _serve: Serve) -> Answer:
    """Compute's answer in a project that has not enabled it."""
    item = {"message": _DISABLED, "domain": "usageLimits", "reason": "accessNotConfigured"}
    error = {"code": 403, "message": _DISABLED, "errors": [item], "status": "PERMISSION_DENIED"}
    return Answer("403 Forbidden", (("Content-Type", "application/json"),), json.dumps({"error": error}).encode())


@pytest.fixture
def params(tmp_path: Path) -> Iterator[Params]:
    """Two accounts, as new as can be."""
    aws_world, gcp_world = World(), World()
    aws, gcp = Ec2(aws_world, "us-west-2"), Gce(gcp_world, "runbook-lab")
    gcp.ready()
    files = tmp_path / "aws", tmp_path / "gcp"
    files[0].write_text(aws.operator_credentials())
    with ExitStack() as stack:
        first = stack.enter_context(served(aws, aws_world, unsubscribed))
        second = stack.enter_context(served(gcp, gcp_world, disabled))
        files[1].write_text(json.dumps(gcp.operator_credentials(f"{second}/token")))
        yield Params(
            aws_endpoint=first, gcp_endpoint=second, aws_credentials=str(files[0]), gcp_credentials=str(files[1])
        )


def test_the_doctor_says_how_to_begin(params: Params) -> None:
    found = {(finding.cloud, finding.check): finding for finding in examine(params)}
    assert found["aws", "credentials"].ok
    assert found["gcp", "credentials"].ok
    for check in ("parameters", "quotas"):
        assert "sign in to the AWS console" in found["aws", check].remedy
        assert "gcloud services enable compute.googleapis.com" in found["gcp", check].remedy
    # What does not depend on the services is told all the same.
    assert found["aws", "permissions"].ok
    assert found["gcp", "permissions"].ok


def test_the_first_step_says_so_too(params: Params) -> None:
    clouds: Any = connect(params)
    with pytest.raises(CloudError, match="AWS refused") as aws:
        clouds.aws.inventory()
    assert "OptInRequired" in str(aws.value.seen)
    assert "sign in to the AWS console" in aws.value.remedy
    with pytest.raises(CloudError, match="has not been used in project") as gcp:
        clouds.gcp.inventory()
    assert "gcloud services enable compute.googleapis.com" in gcp.value.remedy
