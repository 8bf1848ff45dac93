"""Someone at work: the commands that a user types, and clients of both clouds that we did not write."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from google.cloud import compute_v1
from google.oauth2 import service_account

from runbook_lib.lab import host
from tests.e2e.records import Done, Run

CLONE = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEPLOYMENT, PROJECT, REGION = "proof", "runbook-lab", "us-west-2"
BOUND = 600.0  # seconds for a command; a whole walk takes two minutes or more, and longer on a busy machine

AWS_KINDS = (
    ("vpcs", "Vpcs", "VpcId"),
    ("subnets", "Subnets", "SubnetId"),
    ("security_groups", "SecurityGroups", "GroupId"),
    ("internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("route_tables", "RouteTables", "RouteTableId"),
    ("nat_gateways", "NatGateways", "NatGatewayId"),
    ("addresses", "Addresses", "AllocationId"),
    ("key_pairs", "KeyPairs", "KeyPairId"),
    ("vpn_gateways", "VpnGateways", "VpnGatewayId"),
    ("customer_gateways", "CustomerGateways", "CustomerGatewayId"),
    ("vpn_connections", "VpnConnections", "VpnConnectionId"),
)
GCP_GLOBAL = ("Networks", "Firewalls", "Routes", "ExternalVpnGateways")
GCP_SCOPED = {
    "Instances": "instances",
    "Subnetworks": "subnetworks",
    "Routers": "routers",
    "VpnGateways": "vpn_gateways",
    "VpnTunnels": "vpn_tunnels",
    "Addresses": "addresses",
}


class Account(service_account.Credentials):
    """The lab's service account. Google's class would look it up at Google's IAM in the background."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


@dataclass(frozen=True)
class Operator:
    """Someone in a clone, with a lab and a parameter file for it.

    Args:
        lab: the lab.
        folder: where the parameter file, the keys and the records are.
    """

    lab: host.Lab
    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    @property
    def params(self) -> Path:
        """The parameter file."""
        return self.folder / "lab.yaml"

    def command(self, *words: str | Path, cwd: Path = CLONE, timeout: float = BOUND) -> Done:
        """A command's end, whatever it is; nothing is on its standard input."""
        return subprocess.run(
            list(map(str, words)),
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def runbook(self, *words: str | Path, timeout: float = BOUND) -> Done:
        """The `runbook` command."""
        return self.command(sys.executable, "-m", "runbook_lib.cli", *words, timeout=timeout)

    def run(self, *words: str | Path, deployment: str = DEPLOYMENT, timeout: float = BOUND) -> Run:
        """`runbook run` with the parameter file, unless the words name another one."""
        runs = self.folder / "outputs" / deployment / "runs"
        before = set(runs.glob("*"))
        files = () if "-f" in words else ("-f", self.params)
        done = self.runbook("run", *words, *files, "--output", self.folder / "outputs", timeout=timeout)
        made = set(runs.glob("*")) - before
        return Run(done, made.pop() if made else None)

    def papermill(self, *words: str | Path, cwd: Path = CLONE) -> Done:
        """Papermill as it is published."""
        return self.command(BIN / "papermill", *words, cwd=cwd)

    def inside(self, node: str, command: str) -> Done:
        """A shell command in an instance, by its name without the deployment."""
        return self.runbook("lab", "exec", "--name", self.lab.name, node, "--", "sh", "-c", command)

    def asked(self, node: str, command: str) -> str:
        """The output of a shell command in an instance, which succeeds."""
        done = self.inside(node, command)
        assert done.returncode == 0, f"{node}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def nodes(self, part: str = "") -> list[dict[str, Any]]:
        """Instances whose name holds the part, as `runbook lab status --json` lists them."""
        done = self.runbook("lab", "status", "--json", "--name", self.lab.name)
        nodes = json.loads(done.stdout)["nodes"]
        return sorted((node for node in nodes if part in node["name"]), key=lambda node: str(node["name"]))

    def node(self, name: str) -> dict[str, Any]:
        """One instance, by its name without the deployment."""
        [found] = [node for node in self.nodes() if node["name"].endswith(f"-{name}")]
        return found

    def visit(self, url: str, *more: str) -> Done:
        """curl by way of the lab's internet."""
        proxy = self.lab.internet_proxy.partition("//")[2]
        return self.command("curl", "-sS", "--max-time", "10", "--socks5-hostname", proxy, *more, url)

    def aws(self, *words: str) -> Any:
        """AWS's own command line against the lab's endpoint."""
        options = ("--endpoint-url", self.lab.aws_endpoint, "--region", REGION, "--output", "json")
        done = self.command(BIN / "aws", *options, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def boto(self, service: str) -> Any:
        """One of AWS's own Python clients, against the lab's endpoint."""
        account = configparser.ConfigParser()
        account.read(Path(self.lab.home) / "aws-credentials")
        session: Any = boto3.Session(
            account["default"]["aws_access_key_id"], account["default"]["aws_secret_access_key"], region_name=REGION
        )
        return session.client(service, endpoint_url=self.lab.aws_endpoint)

    def google(self, name: str) -> Any:
        """One of Google's own clients, for example ``Instances``, against the lab's endpoint."""
        kind = getattr(compute_v1, f"{name}Client")
        transports = importlib.import_module(f"{kind.__module__.rpartition('.')[0]}.transports.rest")
        credentials = Account.from_service_account_file(
            str(Path(self.lab.home) / "gcp-credentials.json"), scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        address = self.lab.gcp_endpoint.removeprefix("http://")
        transport = getattr(transports, f"{name}RestTransport")
        return kind(transport=transport(host=address, credentials=credentials, url_scheme="http"))

    def own_secrets(self) -> dict[str, str]:
        """What the runbook made for itself, by file: keys, tokens, the dashboard's password."""
        files = {file.name: file.read_text() for file in (self.folder / "keys").rglob("*") if file.is_file()}
        del files["known_hosts"], files["signing-key.pub"]  # public keys
        found = {}
        for name, text in files.items():
            # A line of a private key is enough to know it by, however a record may have wrapped it.
            key = text[text.index("PRIVATE KEY") :].splitlines()[1] if "PRIVATE KEY" in text else text.strip()
            found[name] = key.partition(":")[2] if name == "dashboard-users" else key
        assert {"id_ed25519", "gossip-key", "authority", "dashboard-password", "consul-token.operator"} <= found.keys()
        return found

    # ---- what exists -------------------------------------------------------------------------------------

    def resources(self, deployment: str = DEPLOYMENT) -> set[tuple[str, str]]:
        """(kind, identity) of all that exists of a deployment in both clouds, as the clouds' own clients list it."""
        return {*self._in_aws(deployment), *self._in_gcp(deployment)}

    def _in_aws(self, deployment: str) -> Iterator[tuple[str, str]]:
        ec2, iam = self.boto("ec2"), self.boto("iam")
        ours = {"Filters": [{"Name": "tag:Deployment", "Values": [deployment]}]}
        for reservation in ec2.describe_instances(**ours)["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] != "terminated":  # listed for an hour after its end
                    yield "aws instance", instance["InstanceId"]
        for call, answer, identity in AWS_KINDS:
            for one in getattr(ec2, f"describe_{call}")(**ours)[answer]:
                if one.get("State") != "deleted":  # listed for a while after its end, too
                    yield f"aws {call}", one[identity]
        for role in (*iam.list_roles()["Roles"], *iam.list_instance_profiles()["InstanceProfiles"]):
            if f"/{deployment}-" in role["Arn"]:
                yield "aws iam", role["Arn"]

    def _in_gcp(self, deployment: str) -> Iterator[tuple[str, str]]:
        every: list[Any] = []
        for name in GCP_GLOBAL:
            every += self.google(name).list(project=PROJECT)
        for name, field_name in GCP_SCOPED.items():
            for _, scoped in self.google(name).aggregated_list(project=PROJECT):
                every += getattr(scoped, field_name)
        for one in every:
            if one.name.startswith(f"{deployment}-"):
                yield one.self_link.split("/")[-2], f"{one.name} {one.id}"


@contextmanager
def at_work(name: str, folder: Path) -> Iterator[Operator]:
    """A lab with nothing in it, and an operator; the lab is ended for certain.

    Args:
        name: the lab's.
        folder: an empty one, for the parameter file, the keys and the records.
    """
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
