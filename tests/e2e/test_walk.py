"""The walk: what its records show, and what stands, asked of the agents and of clients that we did not write."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Run

STEPS = ("00_provision", "01_bootstrap", "02_federate", "03_traefik", "04_test")
CENTERS = {"gcp": "europe-west1", "aws": "us-west-2"}
BALANCERS = [f"server-{cloud}-traefik-{number}" for cloud in CENTERS for number in (1, 2)]
HOSTS = {
    "bastion-gcp",
    "bastion-aws",
    *BALANCERS,
    *(f"server-{cloud}-consul-{number}" for cloud in CENTERS for number in (1, 2, 3)),
    *(f"server-{cloud}-test-{number}" for cloud in CENTERS for number in (1, 2)),
}

# What the article builds, by the check that shows it.
SHOWN = [
    ("00_provision", "AWS: the VPC's range"),
    ("00_provision", "AWS: public subnets, one a zone"),
    ("00_provision", "AWS: private subnets, one a zone"),
    ("00_provision", "AWS: the NAT gateway stands in the first public subnet"),
    ("00_provision", "GCP: private hosts go out by the bastion (next hop, priority, tags)"),
    ("00_provision", "AWS: instances may only list instances"),
    ("00_provision", "AWS: tunnels up"),
    ("00_provision", "GCP: tunnels established"),
    ("00_provision", "AWS: learned routes reach the private subnets"),
    ("01_bootstrap", "gcp: all name one leader"),
    ("01_bootstrap", "aws: voters"),
    ("01_bootstrap", "gcp: servers found through the cloud's API"),
    ("01_bootstrap", "aws: servers found through the cloud's API"),
    ("01_bootstrap", "server-aws-consul-3: retry_join"),
    ("01_bootstrap", "server-gcp-consul-2: consul.service.consul, through dnsmasq"),
    ("02_federate", "server-gcp-consul-1: the WAN pool, alive"),
    ("02_federate", "server-aws-consul-2: retry_join_wan"),
    ("02_federate", "server-gcp-consul-1: asks us-west-2 for its servers"),
    *(("03_traefik", f"{name}: answers the public on port 80") for name in BALANCERS),
    *(("03_traefik", f"{name}: dashboard by way of the bastion") for name in BALANCERS),
    *(("03_traefik", f"{name}: other ports open to the public") for name in BALANCERS),
    ("03_traefik", "server-gcp-traefik-1: tags"),
    *(("04_test", f"{name}: answered by") for name in BALANCERS),
    *(("04_test", f"curl demo.exemple.com, mapped to {name}") for name in BALANCERS),
    ("04_test", "server-gcp-consul-1: demo, passing"),
    ("04_test", "server-gcp-consul-1: demo asked with dc=us-west-2"),
    ("04_test", "failed requests once it had left"),
    ("04_test", "failed requests after its return"),
]
PICTURES = {"00_provision": 2, "01_bootstrap": 1, "02_federate": 0, "03_traefik": 1, "04_test": 3}


# ---- the record ------------------------------------------------------------------------------------------


def test_run_json_says_how_it_went(walk: Run) -> None:
    record = walk.record
    assert record["outcome"] == "succeeded"
    assert [(step["step"], step["outcome"]) for step in record["steps"]] == [(step, "succeeded") for step in STEPS]
    seconds = [step["seconds"] for step in record["steps"]]
    assert min(seconds) > 0
    assert record["seconds"] == pytest.approx(sum(seconds), abs=0.01)


def test_it_prints_each_step_and_the_ways_to_look_around(walk: Run, operator: Operator) -> None:
    assert not [step for step in STEPS if step not in walk.said]
    assert str(walk.folder) in walk.said
    for node in operator.nodes("-traefik-"):
        assert f"http://{node['public_ip']}/" in walk.said


@pytest.mark.parametrize("step", STEPS)
def test_every_cell_ran_and_every_check_agrees(walk: Run, step: str) -> None:
    book = walk.notebook(step)
    assert book.errors == []
    required = [cell for cell in book.cells if "rb.require(" in cell.source]
    assert required and len(book.tables) == len(required)
    assert all(book.tables)
    assert book.disagreeing == []


@pytest.mark.parametrize(("step", "check"), SHOWN)
def test_what_the_article_builds_is_shown(walk: Run, step: str, check: str) -> None:
    rows = [row for table in walk.notebook(step).tables for row in table]
    assert [row for row in rows if row.startswith(f"✓  {check}")]


@pytest.mark.parametrize(("step", "count"), PICTURES.items())
def test_pictures_are_there(walk: Run, step: str, count: int) -> None:
    pictures = [page for page in walk.notebook(step).outputs("text/html") if page.startswith("<figure")]
    assert len(pictures) >= count
    assert not [page for page in pictures if not re.search(r'<img alt="[^"]+" src="data:image/svg\+xml,', page)]


def test_no_secret_is_on_record(walk: Run, secrets: Sequence[str]) -> None:
    assert walk.folder
    files = sorted(walk.folder.iterdir())
    assert len(files) == 2 * len(STEPS) + 2, "a notebook and a page each, the record and the report"
    for text in (walk.done.stdout, walk.done.stderr, *(file.read_text() for file in files)):
        assert "PRIVATE KEY" not in text
        assert not [number for number, secret in enumerate(secrets) if secret in text]


# ---- what stands -----------------------------------------------------------------------------------------


def test_the_clouds_own_clients_list_every_instance(walk: Run, operator: Operator) -> None:
    groups = operator.aws("ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=running")
    aws = {
        tag["Value"] for group in groups["Reservations"] for one in group["Instances"] for tag in one["Tags"]
        if tag["Key"] == "Name"
    }  # fmt: skip
    gcp = {
        instance.name
        for _, scoped in operator.google("Instances").aggregated_list(project="runbook-lab")
        for instance in scoped.instances
        if instance.status == "RUNNING"
    }
    assert {name for name in aws | gcp if "aws" in name} == aws
    assert aws | gcp == {f"proof-{name}" for name in HOSTS}


@pytest.mark.parametrize("cloud", CENTERS)
def test_seven_agents_are_alive_in_each_datacenter(walk: Run, operator: Operator, cloud: str) -> None:
    lines = operator.asked(f"server-{cloud}-consul-1", "consul members").splitlines()[1:]
    alive = {name: kind for name, _, status, kind, *_ in map(str.split, lines) if status == "alive"}
    servers = {f"server-{cloud}-consul-{number}" for number in (1, 2, 3)}
    assert {name for name, kind in alive.items() if kind == "server"} == servers
    assert set(alive) == {name for name in HOSTS if f"server-{cloud}" in name}


@pytest.mark.parametrize("cloud", CENTERS)
def test_the_wan_pool_has_six_servers_alive(walk: Run, operator: Operator, cloud: str) -> None:
    lines = operator.asked(f"server-{cloud}-consul-3", "consul members -wan").splitlines()[1:]
    alive = {name for name, _, status, *_ in map(str.split, lines) if status == "alive"}
    assert alive == {f"server-{one}-consul-{number}.{dc}" for one, dc in CENTERS.items() for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("cloud", "query", "of"), [("gcp", "?dc=us-west-2", "aws"), ("gcp", "", "gcp"), ("aws", "", "aws")]
)
def test_the_catalogue_knows_the_service(walk: Run, operator: Operator, cloud: str, query: str, of: str) -> None:
    url = f"http://127.0.0.1:8500/v1/catalog/service/demo{query}"
    found: list[dict[str, Any]] = json.loads(operator.asked(f"server-{cloud}-consul-2", f"curl -sS --fail '{url}'"))
    assert {one["Node"] for one in found} == {f"server-{of}-test-1", f"server-{of}-test-2"}
    assert {(one["ServicePort"], *one["ServiceTags"]) for one in found} == {(80, "traefik.tags=exposed")}


@pytest.mark.parametrize("name", BALANCERS)
def test_each_load_balancer_spreads_requests_over_its_clouds_web_servers(
    walk: Run, operator: Operator, name: str
) -> None:
    [balancer] = operator.nodes(name)
    cloud = name.split("-")[1]
    pages = {
        f"welcome to webserver : {operator.asked(f'server-{cloud}-test-{number}', 'hostname').strip()}"
        for number in (1, 2)
    }
    seen = [operator.visit(f"http://{balancer['public_ip']}/", "-H", "Host: demo.exemple.com") for _ in range(6)]
    assert [done.stderr for done in seen if done.returncode] == []
    assert {page for page in pages for done in seen if page in done.stdout} == pages
    assert not [done.stdout for done in seen if not any(page in done.stdout for page in pages)]


@pytest.mark.parametrize("name", BALANCERS)
def test_dashboards_answer_the_bastion(walk: Run, operator: Operator, name: str) -> None:
    password = operator.runbook("secret", "dashboard-password", "-f", operator.params).stdout.strip()
    url = f"http://{operator.node(name)['private_ip']}:8080/api/overview"
    ask = f"curl -sS --max-time 5 --fail -u operator:{password} {url}"
    overview = json.loads(operator.asked(f"bastion-{name.split('-')[1]}", ask))
    assert "ConsulCatalog" in overview["providers"]
    assert overview["http"]["routers"]["errors"] == 0


def test_neither_dashboards_nor_consul_answer_the_public(walk: Run, operator: Operator) -> None:
    addresses = [node["public_ip"] for node in operator.nodes("-traefik-")]
    assert len(addresses) == 4
    doors = [f"http://{address}:{port}/" for address in addresses for port in (8080, 8500)]
    with ThreadPoolExecutor(len(doors)) as pool:
        asked = dict(zip(doors, pool.map(operator.visit, doors), strict=True))
    assert [door for door, done in asked.items() if done.returncode == 0] == []


@pytest.mark.parametrize("cloud", CENTERS)
def test_consul_names_resolve_on_the_hosts(walk: Run, operator: Operator, cloud: str) -> None:
    servers = {node["private_ip"] for node in operator.nodes(f"server-{cloud}-consul-")}
    webs = {node["private_ip"] for node in operator.nodes(f"server-{cloud}-test-")}
    assert len(servers) == 3
    # As any program on a host looks names up.
    for node, name, wanted in (("consul-2", "consul", servers), ("traefik-1", "demo", webs)):
        lines = operator.asked(f"server-{cloud}-{node}", f"getent ahostsv4 {name}.service.consul").splitlines()
        assert {line.split()[0] for line in lines} == wanted
