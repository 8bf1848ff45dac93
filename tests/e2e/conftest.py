"""One lab, one operator and one deployment for all end-to-end tests.

The deployment is built by the first test that needs it. The files' names put first what needs an empty lab, and the
teardown last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.operators import DEPLOYMENT, Operator, at_work
from tests.e2e.records import Run


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A lab with nothing in it, and an operator; the lab is ended for certain."""
    with at_work(f"e2e-{os.getpid()}", tmp_path_factory.mktemp("operator")) as someone:
        yield someone


@pytest.fixture(scope="session")
def walk(operator: Operator) -> Run:
    """The walk, 00 to 04, as a user does it; what it built stands until the teardown."""
    walked = operator.run()
    assert walked.done.returncode == 0, walked.done.stdout + walked.done.stderr
    return walked


@pytest.fixture(scope="session")
def own_secrets(operator: Operator, walk: Run) -> Mapping[str, str]:
    """What the runbook made for itself: the operator's SSH key, Consul's keys and tokens, the dashboard's password."""
    return operator.own_secrets()


@pytest.fixture(scope="session")
def secrets(operator: Operator, own_secrets: Mapping[str, str]) -> Sequence[str]:
    """What no record may hold: the runbook's own, the tunnels' keys, and those of the accounts."""
    ours = {"Filters": [{"Name": "tag:Deployment", "Values": [DEPLOYMENT]}]}
    connections = operator.boto("ec2").describe_vpn_connections(**ours)["VpnConnections"]
    tunnels = [tunnel["PreSharedKey"] for one in connections for tunnel in one["Options"]["TunnelOptions"]]
    assert len(set(tunnels)) == 4
    home = Path(operator.lab.home)
    google = json.loads((home / "gcp-credentials.json").read_text())["private_key"].splitlines()[1]
    lines = (home / "aws-credentials").read_text().splitlines()
    [aws] = [line.partition("=")[2].strip() for line in lines if line.startswith("aws_secret_access_key")]
    return [*tunnels, *own_secrets.values(), google, aws]
