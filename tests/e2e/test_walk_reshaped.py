"""What somebody changed by hand is put right; other parameters change what they must, and visitors notice nothing.

The last before the teardown, as the deployment stays as these tests leave it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runbook_lib import consul, delivery, site, visits, wait
from runbook_lib.params import Params
from runbook_lib.plan import Plan
from runbook_lib.site import Site
from tests.e2e.operators import DEPLOYMENT, PROJECT, REGION, Operator
from tests.e2e.records import Run
from tests.visitor import Visitors

REPLACED = {"03_traefik": 4, "01_bootstrap": 6}


@pytest.fixture
def deployment(operator: Operator, walk: Run) -> Iterator[Callable[..., Site]]:
    """Opens the walk's deployment, with some parameters changed."""
    opened: list[Site] = []

    def open_it(**changed: Any) -> Site:
        opened.append(site.open_site(Params.load(operator.params, overrides=changed)))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


def planned(operator: Operator, *words: str) -> dict[str, Any]:
    """`runbook plan` as machines read it: name of a resource -> what is to be done and why."""
    done = operator.runbook("plan", "--json", "-f", operator.params, *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["deployment"] == DEPLOYMENT
    return {one["name"]: (one["verb"], one["reason"]) for plan in said["plans"] for one in plan["work"]}


def test_drift_is_shown_and_put_right(operator: Operator, walk: Run) -> None:
    assert planned(operator) == {}
    ec2 = operator.boto("ec2")
    mine = [{"Name": "group-name", "Values": [f"{DEPLOYMENT}-web"]}]
    [group] = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    opened = {"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[opened])
    operator.google("Firewalls").delete_unary(project=PROJECT, firewall=f"{DEPLOYMENT}-ping")
    [web] = operator.nodes("gcp-test-2")
    operator.google("Instances").delete_unary(project=PROJECT, zone=web["zone"], instance=web["name"])
    [traefik] = operator.nodes("aws-traefik-1")
    ec2.delete_tags(Resources=[traefik["id"]], Tags=[{"Key": "Role"}])
    wait.until(lambda: operator.nodes("gcp-test-2"), lambda seen: not seen, what="the instance to be gone", timeout=60)

    assert planned(operator) == {
        f"{DEPLOYMENT}-web": ("change", "ingress has tcp 23 23 0.0.0.0/0 besides"),
        f"{DEPLOYMENT}-ping": ("create", "missing"),
        web["name"]: ("create", "missing"),
        traefik["name"]: ("change", "tags.Role is unset, not traefik"),
    }
    again = operator.run("00", "01", "03", "04")
    assert again.done.returncode == 0, again.said
    assert planned(operator) == {}


def test_web_servers_come_and_go(deployment: Callable[..., Site]) -> None:
    with changed(deployment, "04_test", web_servers=5) as (here, plan, visitors):
        assert {(a.verb, a.key.rpartition("-")[2]) for a in plan.work} == {("create", n) for n in "345"}
        webs = here.hosts("web")
        here.access.wait_for(webs)
        delivery.deliver(here.access, webs)
        consul.until_ready(here.access, webs)
        consul.register(here.access, webs)
        visits.until_all_answer(here.params, here.hosts())
        wait.until(
            lambda: {visit.server for visit in visitors.visits if visit.server},
            lambda servers: len(servers) == 10,
            what="visitors to have met every web server",
            timeout=60,
        )
    with changed(deployment, "04_test", web_servers=1) as (here, plan, visitors):
        assert {(a.verb, a.key.rpartition("-")[2]) for a in plan.work} == {("destroy", n) for n in "2345"}
    assert {host.name for host in here.hosts("web")} == {"server-aws-test-1", "server-gcp-test-1"}


@pytest.mark.parametrize(
    ("step", "parameter", "value"),
    [("03_traefik", "domain", "example.org"), ("01_bootstrap", "consul_raft_multiplier", 2)],
)
def test_a_changed_configuration_reaches_one_host_after_the_other(
    deployment: Callable[..., Site], step: str, parameter: str, value: Any
) -> None:
    others = {"web_servers": 1, "domain": "example.org"}
    with changed(deployment, step, **{**others, parameter: value}) as (here, plan, visitors):
        assert [action.verb for action in plan.work] == ["replace"] * REPLACED[step]
        since = len(visitors.visits)
        wait.until(
            lambda: {visit.server for visit in visitors.visits[since:]},
            lambda servers: servers == {visits.server_name(here.params, host) for host in here.hosts("web")},
            what="visitors to meet both web servers",
            timeout=60,
        )
    for host in here.hosts("consul"):
        if host.name.endswith("-1"):
            voters = [peer.name for peer in consul.peers(here.access, host) if peer.voter]
            assert voters == [f"server-{host.cloud}-consul-{number}" for number in (1, 2, 3)]
            wan = {member.datacenter for member in consul.members(here.access, host, wan=True)}
            assert wan == {REGION, "europe-west1"}


@contextmanager
def changed(deployment: Callable[..., Site], step: str, **parameters: Any) -> Iterator[tuple[Site, Plan, Visitors]]:
    """A step carried out with other parameters while visitors keep asking, none of them in vain."""
    here, plain = deployment(**parameters), deployment()
    domains = sorted({here.params.domain, plain.params.domain})
    plan = here.plan(step)
    with Visitors(here.params, lambda: plain.hosts("traefik"), domains) as visitors:
        here.apply(plan)
        yield here, plan, visitors
    assert len(visitors.visits) > 50
    assert visitors.failed == []
    assert here.plan(step).work == ()
