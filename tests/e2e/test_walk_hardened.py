"""The hardened level on what stands after the walk: secrets stay where they belong, and strangers get nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.operators import DEPLOYMENT, PROJECT, Operator
from tests.e2e.records import Run

CENTERS = {"aws": "us-west-2", "gcp": "europe-west1"}
HOST_LOGS = "cat /var/log/consul/*.log /var/log/traefik/*.log /var/log/apache2/*.log /var/log/*.log /var/log/syslog"


def told_by_aws(operator: Operator) -> Iterator[tuple[str, str]]:
    """Everything that EC2 tells of instances, user data and console output included."""
    ec2 = operator.boto("ec2")
    ours = [{"Name": "tag:Deployment", "Values": [DEPLOYMENT]}]  # terminated ones are listed for a while
    for reservation in ec2.describe_instances(Filters=ours)["Reservations"]:
        for instance in reservation["Instances"]:
            name = instance["InstanceId"]
            data = ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")["UserData"].get("Value", "")
            yield f"{name} user data", base64.b64decode(data).decode()
            yield f"{name} console", ec2.get_console_output(InstanceId=name).get("Output", "")
            yield name, json.dumps(instance, default=str)
    yield "tags", json.dumps(ec2.describe_tags(), default=str)


def told_by_gcp(operator: Operator) -> Iterator[tuple[str, str]]:
    """The same of Compute Engine, and its tunnels, whose keys it keeps to itself."""
    instances = operator.google("Instances")
    for _, scoped in instances.aggregated_list(project=PROJECT):
        for one in scoped.instances:
            where = {"project": PROJECT, "zone": one.zone.rpartition("/")[2], "instance": one.name}
            yield one.name, str(one)
            yield f"{one.name} console", instances.get_serial_port_output(**where).contents
    for _, scoped in operator.google("VpnTunnels").aggregated_list(project=PROJECT):
        yield from ((one.name, str(one)) for one in scoped.vpn_tunnels)


def test_no_secret_is_in_an_api_user_data_or_a_log(
    walk: Run, operator: Operator, own_secrets: Mapping[str, str]
) -> None:
    home = Path(operator.lab.home)
    logs = [home / "world.log", *(home / "consoles").iterdir()]
    places = dict([*told_by_aws(operator), *told_by_gcp(operator)])
    places |= {file.name: file.read_text(errors="replace") for file in logs}
    places |= {
        node["name"]: operator.inside(node["name"], f"{HOST_LOGS} 2>/dev/null").stdout for node in operator.nodes()
    }
    assert len([name for name in places if name.endswith("user data")]) == 8
    assert "boot finished" in "".join(places.values()), "the consoles were read"
    assert "Consul agent running" in "".join(places.values()), "the agents' logs were read"
    found = [(place, name) for place, text in places.items() for name, secret in own_secrets.items() if secret in text]
    assert found == []


def test_only_its_own_account_reads_a_service_s_secrets(walk: Run, operator: Operator) -> None:
    """Nobody else on a host does; and what is left to read is not secret."""
    files = "/etc/consul/secrets.json /etc/consul/tls/agent.pem /etc/traefik/consul.token"
    for node in ("server-aws-traefik-1", "server-gcp-traefik-2"):
        done = operator.inside(node, f"setpriv --reuid=65534 --regid=65534 --clear-groups cat {files}")
        assert done.returncode != 0
        assert done.stdout == ""
        assert done.stderr.count("Permission denied") == 3


def test_services_run_as_accounts_of_their_own(walk: Run, operator: Operator) -> None:
    wanted = {"consul": {"consul"}, "traefik": {"traefik"}, "apache2": {"www-data"}}
    for node in ("server-aws-consul-1", "server-gcp-traefik-1", "server-aws-test-1"):
        lines = [line.split() for line in operator.asked(node, "ps -eo user:20=,comm=").splitlines()]
        seen = {name: {user for user, command in lines if command == name} for name in wanted}
        assert {name: users for name, users in seen.items() if users and users != wanted[name]} == {}
        assert any(seen.values())


@pytest.mark.parametrize("cloud", CENTERS)
def test_the_dashboard_asks_the_bastion_for_a_password_too(walk: Run, operator: Operator, cloud: str) -> None:
    traefik = operator.node(f"server-{cloud}-traefik-1")
    ask = "curl -s -o /dev/null -w '%{http_code}' --max-time 5"
    password = operator.runbook("secret", "dashboard-password", "-f", operator.params).stdout.strip()
    url = f"http://{traefik['private_ip']}:8080/api/overview"
    assert operator.asked(f"bastion-{cloud}", f"{ask} {url}") == "401"
    assert operator.asked(f"bastion-{cloud}", f"{ask} -u operator:wrong {url}") == "401"
    assert operator.asked(f"bastion-{cloud}", f"{ask} -u operator:{password} {url}") == "200"
    page = operator.asked(f"bastion-{cloud}", f"curl -sL -u operator:{password} http://{traefik['private_ip']}:8080/")
    assert "<title>Traefik" in page


@pytest.mark.parametrize("cloud", CENTERS)
def test_consul_s_api_is_not_even_the_bastion_s(walk: Run, operator: Operator, cloud: str) -> None:
    server = operator.node(f"server-{cloud}-consul-1")
    done = operator.inside(
        f"bastion-{cloud}", f"curl -s --max-time 2 http://{server['private_ip']}:8500/v1/status/leader"
    )
    assert done.returncode in (7, 28), "refused or dropped"
    assert operator.asked(f"server-{cloud}-consul-1", "curl -s http://127.0.0.1:8500/v1/status/leader").startswith('"')


@pytest.mark.parametrize("cloud", CENTERS)
def test_a_server_hangs_up_on_who_does_not_encrypt(walk: Run, operator: Operator, cloud: str) -> None:
    """A web server may reach port 8300; the first byte says what is spoken there, and 4 is RPC in the clear."""
    server = operator.node(f"server-{cloud}-consul-1")["private_ip"]
    ask = (
        f"import socket as s; c = s.create_connection(('{server}', 8300), 10); c.sendall(bytes([4])); print(c.recv(1))"
    )
    assert operator.asked(f"server-{cloud}-test-1", f'python3 -c "{ask}"').strip() == "b''"
    log = operator.asked(f"server-{cloud}-consul-1", "cat /var/log/consul/consul.log")
    assert "Non-TLS connection attempted with VerifyIncoming set" in log
