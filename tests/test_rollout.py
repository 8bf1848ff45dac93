"""Who waits for whom when hosts with a service are replaced or removed, in tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from runbook_lib.plan import Plan, plan
from runbook_lib.provision import graph
from runbook_lib.rollout import Order, order
from tests.test_plan import built, make


def planned(before: dict[str, Any], after: dict[str, Any], step: str, *missing: str) -> Plan:
    found = built(make(**before))
    for name in missing:
        del found[f"{name.split('-')[1]}:instance:demo-{name}"]
    return plan(make(**after), found, step)


def host(key: str) -> str:
    return key.rpartition(":demo-server-")[2]


def waits(found: Order) -> dict[str, set[str]]:
    return {host(key): set(map(host, earlier)) for key, earlier in found.retire.items()}


@pytest.mark.parametrize("step", ["00_provision", "01_bootstrap", "03_traefik", "04_test"])
def test_a_first_run_and_a_second_have_no_order(step: str) -> None:
    wanted = make()
    assert order(plan(wanted, {}, step, alone=False)) == Order()
    assert order(plan(wanted, built(wanted), step)) == Order()


def test_a_teardown_asks_nobody_to_leave() -> None:
    wanted = make()
    assert order(plan(wanted, built(wanted), "05_teardown")) == Order()


def test_more_web_servers_disturb_nobody() -> None:
    assert order(planned({"web_servers": 2}, {"web_servers": 5}, "04_test")) == Order()


def test_surplus_web_servers_leave_together_once_those_that_stay_serve() -> None:
    found = order(planned({"web_servers": 3}, {"web_servers": 1}, "04_test"))
    assert set(map(host, found.settle)) == {"aws-test-1", "gcp-test-1"}
    assert waits(found) == {
        f"{cloud}-test-{number}": {f"{cloud}-test-1"} for cloud in ("aws", "gcp") for number in (2, 3)
    }


def test_load_balancers_are_replaced_one_at_a_time_in_both_clouds_together() -> None:
    size = {"aws_instance_type": "t3.large", "gcp_machine_type": "e2-medium"}
    found = order(planned({}, size, "03_traefik"))
    names = ["aws-traefik-1", "aws-traefik-2", "gcp-traefik-1", "gcp-traefik-2"]
    assert sorted(map(host, found.settle)) == names
    assert waits(found) == {"aws-traefik-1": set(), **{n: {b} for b, n in pairwise(names)}}


def test_servers_are_replaced_one_at_a_time_a_cloud_after_the_missing_one_is_back() -> None:
    plan = planned({}, {"aws_instance_type": "t3.large"}, "01_bootstrap", "server-aws-consul-2")
    assert waits(order(plan)) == {"aws-consul-1": {"aws-consul-2"}, "aws-consul-3": {"aws-consul-1"}}


def test_surplus_servers_leave_one_by_one() -> None:
    found = order(planned({"consul_servers": 5}, {"consul_servers": 3}, "01_bootstrap"))
    assert waits(found)["gcp-consul-5"] == {"gcp-consul-4"}
    assert waits(found)["gcp-consul-4"] <= {"gcp-consul-1", "gcp-consul-2", "gcp-consul-3"}


def test_the_jobs_follow_the_order() -> None:
    plan = planned({}, {"aws_instance_type": "t3.large"}, "04_test")
    jobs = {
        (host(job.key), job.verb): {(host(j.key), j.verb) for j in on} for job, on in graph(plan, order(plan)).items()
    }
    assert jobs == {
        ("aws-test-1", "retire"): set(),
        ("aws-test-1", "destroy"): {("aws-test-1", "retire")},
        ("aws-test-1", "make"): {("aws-test-1", "destroy")},
        ("aws-test-1", "settle"): {("aws-test-1", "make")},
        ("aws-test-2", "retire"): {("aws-test-1", "settle")},
        ("aws-test-2", "destroy"): {("aws-test-2", "retire")},
        ("aws-test-2", "make"): {("aws-test-2", "destroy")},
        ("aws-test-2", "settle"): {("aws-test-2", "make")},
    }
