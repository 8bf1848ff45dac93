"""Wanted against found, in tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook_lib.errors import PrerequisiteError
from runbook_lib.params import Params
from runbook_lib.plan import kind_needs, plan, require_step
from runbook_lib.resources import Found, Ref, refs, resolve
from runbook_lib.topology import Topology, topology

STEPS = ("00_provision", "01_bootstrap", "03_traefik", "04_test")


def make(**values: Any) -> Topology:
    return topology(Params(**values), public_key="ssh-ed25519 AAAA", script=lambda p, cloud, role, name: name)


def built(wanted: Topology, steps: tuple[str, ...] = STEPS) -> dict[str, Found]:
    """All of some steps, as it would be found just as wanted."""
    things = {}
    roles = {node.key: {"role": node.role} for node in wanted.nodes}
    for resource in wanted.resources:
        if resource.step in steps:
            named = roles.get(resource.key, {})
            attributes = {ref.attribute: f"{ref.attribute} of {ref.key}" for ref in all_refs(wanted, resource.key)}
            identity = f"id of {resource.key}"
            things[resource.key] = Found(resource.key, identity, {**attributes, "id": identity, **named})
    return {key: replace(thing, spec=resolve(wanted.by_key[key].spec, things)) for key, thing in things.items()}


def all_refs(wanted: Topology, key: str) -> list[Ref]:
    return [ref for resource in wanted.resources for ref in refs(resource.spec) if ref.key == key]


def verbs(wanted: Topology, found: dict[str, Found], step: str) -> dict[str, str]:
    return {action.key: action.verb for action in plan(wanted, found, step).work}


def test_everything_is_created_where_nothing_is() -> None:
    wanted = make()
    first = plan(wanted, {}, "00_provision")
    assert {action.verb for action in first.actions} == {"create"}
    assert {action.key for action in first.actions} == {resource.key for resource in wanted.step("00_provision")}
    position = {action.key: index for index, action in enumerate(first.actions)}
    for key, index in position.items():
        assert all(position[needed] < index for needed in wanted.by_key[key].needs())


def test_the_order_is_always_the_same() -> None:
    orders = {tuple(action.key for action in plan(make(), {}, "00_provision").actions) for _ in range(3)}
    assert len(orders) == 1


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_done_where_all_is_as_wanted(step: str) -> None:
    wanted = make()
    again = plan(wanted, built(wanted), step)
    assert again.work == ()
    assert "nothing to do" in str(again)


def test_a_missing_rule_set_alone_is_created() -> None:
    wanted = make()
    found = built(wanted)
    del found["aws:security_group_rules:demo-web"]
    assert verbs(wanted, found, "00_provision") == {"aws:security_group_rules:demo-web": "create"}


@pytest.mark.parametrize(
    ("key", "field", "value", "verb"),
    [
        ("aws:vpc:demo-vpc", "dns_hostnames", False, "change"),
        ("aws:vpc:demo-vpc", "cidr", "10.0.0.0/16", "replace"),
        ("aws:internet_gateway:demo-igw", "vpc", None, "change"),
        ("aws:route_table:demo-public", "routes", [], "change"),
        ("aws:key_pair:demo-operator", "public_key", "ssh-ed25519 BBBB", "replace"),
        ("gcp:firewall:demo-web", "source_ranges", ["0.0.0.0/0"], "change"),
        ("gcp:firewall:demo-web", "direction", "EGRESS", "replace"),
        ("gcp:router_peering:demo-vpn", "bgp_peers", [], "change"),
    ],
)
def test_a_difference_is_changed_in_place_if_the_cloud_can(key: str, field: str, value: Any, verb: str) -> None:
    wanted = make()
    found = built(wanted)
    found[key] = replace(found[key], spec={**found[key].spec, field: value})
    action = next(a for a in plan(wanted, found, "00_provision").work if a.key == key)
    assert (action.verb, action.changes) == (verb, (field,))
    assert field in action.reason


def test_what_stands_on_something_made_anew_follows_it() -> None:
    wanted = make()
    found = built(wanted)
    del found["aws:nat_gateway:demo-nat"]
    assert verbs(wanted, found, "00_provision") == {
        "aws:nat_gateway:demo-nat": "create",
        "aws:route_table:demo-private": "change",
    }


def test_a_stopped_instance_is_started() -> None:
    wanted = make()
    found = built(wanted)
    key = "aws:instance:demo-server-aws-test-1"
    found[key] = replace(found[key], attributes={**found[key].attributes, "running": False})
    (action,) = plan(wanted, found, "04_test").work
    assert (action.key, action.verb, action.changes) == (key, "change", ("running",))


def test_what_is_still_being_made_is_kept_but_waited_for() -> None:
    wanted = make()
    found = built(wanted)
    key = "aws:vpn_connection:demo-gcp-a"
    found[key] = replace(found[key], attributes={**found[key].attributes, "ready": False})
    pending = [action.key for action in plan(wanted, found, "00_provision").actions if action.pending]
    assert pending == [key]


def test_fewer_web_servers_are_destroyed_by_their_own_step() -> None:
    found = built(make(web_servers=3))
    fewer = make(web_servers=2)
    assert verbs(fewer, found, "04_test") == {
        "aws:instance:demo-server-aws-test-3": "destroy",
        "gcp:instance:demo-server-gcp-test-3": "destroy",
    }
    for step in ("00_provision", "01_bootstrap", "03_traefik"):
        assert verbs(fewer, found, step) == {}


def test_without_the_test_its_servers_go() -> None:
    found = built(make())
    assert set(verbs(make(test=False), found, "04_test").values()) == {"destroy"}


def test_a_duplicate_is_destroyed() -> None:
    wanted = make()
    found = built(wanted)
    found["aws:vpc:demo-vpc#vpc-2"] = Found("aws:vpc:demo-vpc#vpc-2", "vpc-2")
    assert verbs(wanted, found, "00_provision") == {"aws:vpc:demo-vpc#vpc-2": "destroy"}


def test_teardown_destroys_whatever_is_found_and_holders_before_what_they_hold() -> None:
    wanted = make()
    found = built(wanted)
    found["aws:instance:i-1"] = Found("aws:instance:i-1", "i-1")
    actions = plan(wanted, found, "05_teardown").actions
    assert {action.verb for action in actions} == {"destroy"}
    position = {action.key: index for index, action in enumerate(actions)}
    assert position.keys() == found.keys()
    for resource in wanted.resources:
        for needed in resource.needs():
            if needed.startswith(resource.cloud):
                assert position[resource.key] < position[needed], (resource.key, needed)
    assert position["aws:instance:i-1"] < position["aws:subnet:demo-public-a"]


def test_kinds_stand_on_kinds_of_their_own_cloud_and_never_on_themselves() -> None:
    needs = kind_needs(make())
    assert "aws:vpc" in needs["aws:instance"]
    assert "gcp:network" in needs["gcp:router_peering"]
    for kind, below in needs.items():
        assert kind not in below
        assert {other.split(":")[0] for other in below} <= {kind.split(":")[0]}


@pytest.mark.parametrize(
    ("there", "step", "named"),
    [
        ((), "01_bootstrap", "00_provision has not run"),
        ((), "04_test", "00_provision has not run"),
        (("00_provision",), "03_traefik", "01_bootstrap has not run"),
        (("00_provision", "01_bootstrap"), "04_test", "03_traefik has not run"),
    ],
)
def test_a_step_names_the_one_that_must_run_first(there: tuple[str, ...], step: str, named: str) -> None:
    wanted = make()
    with pytest.raises(PrerequisiteError, match=named) as raised:
        plan(wanted, built(wanted, there), step)
    assert raised.value.step == step
    assert raised.value.remedy.startswith(f"run {named.split()[0]} first")


def test_a_step_that_broke_off_is_told_from_one_that_never_ran() -> None:
    wanted = make()
    found = built(wanted, ("00_provision",))
    del found["gcp:network:demo-network"]
    with pytest.raises(PrerequisiteError, match="not run to its end") as raised:
        require_step(wanted, found, "01_bootstrap")
    assert raised.value.resource == "gcp:network:demo-network"


@pytest.mark.parametrize(
    ("there", "step"), [((), "00_provision"), (STEPS[:2], "02_federate"), (STEPS[:2], "03_traefik")]
)
def test_a_step_is_content_with_what_came_before(there: tuple[str, ...], step: str) -> None:
    wanted = make()
    require_step(wanted, built(wanted, there), step)
    assert plan(wanted, built(wanted, there), step).step == step


def test_all_steps_can_be_planned_at_once_before_any_has_run() -> None:
    wanted = make()
    with pytest.raises(PrerequisiteError):
        plan(wanted, {}, "03_traefik")
    whole = [plan(wanted, {}, step, alone=False) for step in STEPS]
    assert {action.key for one in whole for action in one.work} == set(wanted.by_key)


def test_a_plan_for_machines_says_what_is_done_and_why() -> None:
    wanted = make(web_servers=1)
    found = built(make())
    thing = found["aws:instance:demo-server-aws-test-1"]
    found[thing.key] = replace(thing, spec={**thing.spec, "tags": {"Consul": "client"}})
    said = plan(wanted, found, "04_test").as_json()
    assert said["step"] == "04_test"
    assert said["counts"] == {"change": 1, "keep": 1, "destroy": 2}
    assert said["work"][0] == {
        "verb": "change",
        "cloud": "aws",
        "kind": "instance",
        "name": "demo-server-aws-test-1",
        "id": f"id of {thing.key}",
        "reason": "tags.Role is unset, not web",
        "fields": ["tags"],
    }
    assert [(one["verb"], one["name"]) for one in said["work"][1:]] == [
        ("destroy", "demo-server-aws-test-2"),
        ("destroy", "demo-server-gcp-test-2"),
    ]
