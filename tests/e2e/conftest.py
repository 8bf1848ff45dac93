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
import yaml

from runbook_lib.lab import host
from tests.e2e.operators import DEPLOYMENT, Operator
from tests.e2e.records import Run


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A lab with nothing in it, and an operator; the lab is ended for certain."""
    name = f"e2e-{os.getpid()}"
    folder = tmp_path_factory.mktemp("operator")
    with pytest.MonkeyPatch.context() as patch:
        # No developer's own account: what is needed stands in the parameter file, or is given to the clients.
        for variable in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_"))]:
            patch.delenv(variable)
        try:
            lab, fresh = host.up(name)
            assert fresh
            home = Path(lab.home)
            settings = {
                "deployment": DEPLOYMENT,
                "aws_endpoint": lab.aws_endpoint,
                "aws_credentials": str(home / "aws-credentials"),
                "gcp_endpoint": lab.gcp_endpoint,
                "gcp_credentials": str(home / "gcp-credentials.json"),
                "internet_proxy": lab.internet_proxy,
                "keys": str(folder / "keys"),
            }
            (folder / "lab.yaml").write_text(yaml.safe_dump(settings))
            account = {
                "AWS_SHARED_CREDENTIALS_FILE": settings["aws_credentials"],
                "AWS_CONFIG_FILE": str(folder / "none"),
            }
            records = {"RUNBOOK_OUTPUT": str(folder / "outputs")}
            yield Operator(lab, folder, {**os.environ, **account, **records, "COLUMNS": "200"})
        finally:
            host.down(name)


@pytest.fixture(scope="session")
def walk(operator: Operator) -> Run:
    """The walk, 00 to 04, as a user does it; what it built stands until the teardown."""
    walked = operator.run()
    assert walked.done.returncode == 0, walked.done.stdout + walked.done.stderr
    return walked


@pytest.fixture(scope="session")
def own_secrets(operator: Operator, walk: Run) -> Mapping[str, str]:
    """What the runbook made for itself: the operator's SSH key, Consul's keys and tokens, the dashboard's password."""
    files = {file.name: file.read_text() for file in (operator.folder / "keys").rglob("*") if file.is_file()}
    del files["known_hosts"], files["signing-key.pub"]  # public keys
    found = {}
    for name, text in files.items():
        # A line of a private key is enough to know it by, however a record may have wrapped it.
        key = text[text.index("PRIVATE KEY") :].splitlines()[1] if "PRIVATE KEY" in text else text.strip()
        found[name] = key.partition(":")[2] if name == "dashboard-users" else key
    assert {"id_ed25519", "gossip-key", "authority", "dashboard-password", "consul-token.operator"} <= found.keys()
    return found


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
