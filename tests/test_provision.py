"""Carrying plans out: order, failures, going on, hosts. The clouds themselves are tested in tests/clouds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runbook_lib.clouds.base import Clouds, Image
from runbook_lib.errors import CloudError, LockError
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import WORKERS, Progress, _heights, _Job, absent, apply, destroy_all, hosts, hosts_of
from runbook_lib.resources import CloudName, Found, Resource, refs, resolve
from runbook_lib.topology import ExistingNetwork, Topology, topology

STEPS = ("00_provision", "01_bootstrap", "03_traefik", "04_test")


class Memory:
    """A cloud that keeps what it is told, so that it can be made to fail at any point."""

    def __init__(self, name: CloudName, wanted: Topology) -> None:
        self.name = name
        self.things: dict[str, Found] = {}
        self.log: list[tuple[str, str]] = []
        self.fail: Callable[[str, str], bool] = lambda verb, key: False
        self.slow: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._attributes = {
            r.key: {ref for o in wanted.resources for ref in refs(o.spec) if ref.key == r.key} for r in wanted.resources
        }
        self._nodes = {node.key: node for node in wanted.nodes}

    def _note(self, verb: str, key: str) -> None:
        with self._lock:
            self.log.append((verb, key))
        if self.fail(verb, key):
            raise CloudError("the cloud refused", resource=key, remedy="try again")

    def check(self) -> None: ...

    def inventory(self) -> dict[str, Found]:
        return dict(self.things)

    def instances(self) -> dict[str, Found]:
        return {key: thing for key, thing in self.things.items() if ":instance:" in key}

    def create(self, resource: Resource, spec: Mapping[str, Any]) -> Found:
        self._note("create", resource.key)
        assert resource.key not in self.things, "made twice"
        identity = f"id of {resource.key}"
        attributes: dict[str, Any] = {
            ref.attribute: f"{ref.attribute} of {ref.key}" for ref in self._attributes[resource.key]
        }
        attributes |= {"id": identity, "ready": resource.key not in self.slow}
        if node := self._nodes.get(resource.key):
            public = "192.0.2.1" if node.public else None
            attributes |= {
                "role": node.role,
                "zone": node.zone,
                "private_ip": "10.0.0.1",
                "public_ip": public,
                "state": "up",
            }
        self.things[resource.key] = Found(resource.key, identity, attributes, dict(spec))
        return self.things[resource.key]

    def update(self, resource: Resource, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        self._note("update", resource.key)
        self.things[resource.key] = Found(
            found.key, found.id, found.attributes, {**found.spec, **{c: spec[c] for c in changes}}
        )
        return self.things[resource.key]

    def wait(self, found: Found) -> Found:
        self._note("wait", found.key)
        self.things[found.key] = Found(found.key, found.id, {**found.attributes, "ready": True}, found.spec)
        return self.things[found.key]

    def destroy(self, found: Found) -> None:
        self._note("destroy", found.key)
        self.things.pop(found.key, None)

    def image(self) -> Image:
        raise NotImplementedError

    def console_output(self, host_id: str) -> str:
        return ""

    def guard(self, proceed: Callable[[], None] | None) -> None: ...


class Both:
    """Two clouds in memory, and a topology to be made in them."""

    def __init__(self, **values: Any) -> None:
        self.wanted = make(**values)
        self.aws, self.gcp = Memory("aws", self.wanted), Memory("gcp", self.wanted)
        self.clouds = Clouds(self.aws, self.gcp)

    def run(self, step: str = "00_provision", progress: Callable[[Progress], None] | None = None) -> dict[str, Found]:
        return apply(plan(self.wanted, self.clouds.inventory(), step), self.clouds, progress=progress)

    def fail(self, verb: str, key: str) -> None:
        self.aws.fail = self.gcp.fail = lambda v, k: (v, k) == (verb, key)

    def mend(self) -> None:
        self.aws.fail = self.gcp.fail = lambda v, k: False

    @property
    def log(self) -> list[tuple[str, str]]:
        return self.aws.log + self.gcp.log


def make(network: ExistingNetwork | None = None, **values: Any) -> Topology:
    return topology(
        Params(**values), public_key="ssh-ed25519 AAAA", network=network, script=lambda p, cloud, role, name: name
    )


def begun(events: list[Progress]) -> list[str]:
    return [event.key for event in events if event.state == "begun"]


def test_every_step_makes_what_it_should_and_once_only() -> None:
    both = Both()
    for step in STEPS:
        assert both.run(step).keys() == both.clouds.inventory().keys()
    assert both.clouds.inventory().keys() == both.wanted.by_key.keys()
    count = len(both.log)
    for step in STEPS:
        both.run(step)
    assert len(both.log) == count


def test_values_pass_between_the_clouds() -> None:
    both = Both()
    found = both.run()
    for resource in both.wanted.step("00_provision"):
        assert found[resource.key].spec == resolve(resource.spec, found)
    secret = found["gcp:vpn_tunnel:demo-aws-2"].spec["shared_secret"]
    assert secret == "key_2 of aws:vpn_connection:demo-gcp-a"


def test_nothing_begins_before_what_it_needs_is_done() -> None:
    both = Both()
    events: list[Progress] = []
    both.run(progress=events.append)
    done: set[str] = set()
    for event in events:
        if event.state == "begun" and event.verb == "create":
            assert both.wanted.by_key[event.key].needs() <= done, event.key
        elif event.state == "done":
            done.add(event.key)
    assert events[-1].done == events[-1].total == len(both.wanted.step("00_provision"))


def test_what_needs_time_is_waited_for_without_holding_up_what_needs_it() -> None:
    both = Both()
    events: list[Progress] = []
    slow = "aws:vpn_connection:demo-gcp-a"
    both.aws.slow = frozenset({slow})
    # It becomes ready only after all that refers to it was made.
    made = threading.Event()
    tunnel = "gcp:vpn_tunnel:demo-aws-1"

    def create_tunnel(verb: str, key: str) -> bool:
        if key == tunnel:
            made.set()
        return False

    both.gcp.fail = create_tunnel
    both.aws.fail = lambda verb, key: verb == "wait" and not made.wait(10)
    found = both.run(progress=events.append)
    assert found[slow].attributes["ready"] is True
    assert ("wait", slow) in both.aws.log
    assert [event.verb for event in events if event.key == slow and event.state == "done"] == ["create", "wait"]


def test_what_goes_on_for_long_is_told_of_with_how_long_it_has_taken() -> None:
    both = Both()
    events: list[Progress] = []
    vpc, told = "aws:vpc:demo-vpc", threading.Event()

    def tell(event: Progress) -> None:
        events.append(event)
        if (event.key, event.state) == (vpc, "running"):
            told.set()

    both.aws.fail = lambda verb, key: key == vpc and not told.wait(30)
    both.run(progress=tell)
    signs = [event for event in events if event.key == vpc]
    assert [signs[0].state, signs[1].state, signs[-1].state] == ["begun", "running", "done"]
    assert 0 < signs[1].seconds <= signs[-1].seconds


def test_what_most_depends_on_begins_first_and_waits_come_last() -> None:
    a, b, c, d = (_Job(key, "destroy") for key in ("a", "b", "c", "d"))
    assert _heights({a: set(), b: {a}, c: {b}, d: set()}) == {a: 2, b: 1, c: 0, d: 0}


def test_what_a_broken_run_left_unready_is_waited_for_by_the_next() -> None:
    both = Both()
    slow = "aws:nat_gateway:demo-nat"
    both.aws.slow = frozenset({slow})
    both.fail("wait", slow)
    with pytest.raises(CloudError):
        both.run()
    both.mend()
    assert both.run()[slow].attributes["ready"] is True
    assert both.aws.log.count(("wait", slow)) == 2


@pytest.mark.parametrize(
    "key",
    ["aws:vpc:demo-vpc", "gcp:network:demo-network", "aws:vpn_connection:demo-gcp-b", "gcp:router_peering:demo-vpn"],
)
def test_after_a_failure_nothing_that_needs_it_is_begun_and_the_next_run_goes_on(key: str) -> None:
    both = Both()
    events: list[Progress] = []
    both.fail("create", key)
    with pytest.raises(CloudError) as raised:
        both.run(progress=events.append)
    assert raised.value.resource == key
    assert not any(key in both.wanted.by_key[other].needs() for other in begun(events))
    first_failure = next(i for i, event in enumerate(events) if event.state == "failed")
    assert begun(events[first_failure:]) == []
    both.mend()
    both.run()
    assert both.clouds.inventory().keys() == {r.key for r in both.wanted.step("00_provision")}


def test_further_failures_are_noted_on_the_first() -> None:
    both = Both()
    together = threading.Barrier(2)
    keys = {"aws:vpc:demo-vpc", "gcp:network:demo-network"}

    def fail(verb: str, key: str) -> bool:
        if key in keys:
            together.wait(10)
        return key in keys

    both.aws.fail = both.gcp.fail = fail
    with pytest.raises(CloudError) as raised:
        both.run()
    (other,) = keys - {raised.value.resource}
    assert any(other in note for note in raised.value.__notes__)


def test_an_unexpected_error_names_the_resource_as_well() -> None:
    both = Both()

    def fail(verb: str, key: str) -> bool:
        raise ZeroDivisionError

    both.aws.fail = fail
    with pytest.raises(ZeroDivisionError) as raised:
        both.run()
    assert any("aws:" in note for note in raised.value.__notes__)


def test_what_is_replaced_is_ended_first_and_holders_follow_the_new_one() -> None:
    both = Both()
    both.run()
    key = "gcp:instance:demo-bastion-gcp"
    thing = both.gcp.things[key]
    both.gcp.things[key] = Found(key, thing.id, thing.attributes, {**thing.spec, "zone": "elsewhere"})
    both.gcp.log.clear()
    both.run()
    route = "gcp:route:demo-nat"
    assert both.gcp.log == [("destroy", route), ("destroy", key), ("create", key), ("create", route)]


def test_what_is_no_longer_wanted_goes_after_those_who_held_it_let_go() -> None:
    both = Both()
    both.run()
    old = Found("aws:internet_gateway:demo-old", "igw-old", {"id": "igw-old"})
    both.aws.things[old.key] = old
    table = both.aws.things["aws:route_table:demo-public"]
    held = {**table.spec, "routes": [{"destination": "0.0.0.0/0", "target": "igw-old"}]}
    both.aws.things[table.key] = Found(table.key, table.id, table.attributes, held)
    both.aws.log.clear()
    both.run()
    assert both.aws.log == [("update", table.key), ("destroy", old.key)]


def test_teardown_leaves_nothing_and_ends_holders_first() -> None:
    both = Both()
    events: list[Progress] = []
    for step in STEPS:
        both.run(step)
    destroyed = destroy_all(both.wanted, both.clouds, progress=events.append)
    assert set(destroyed) == both.wanted.by_key.keys()
    assert absent(both.clouds) == ()
    gone: set[str] = set()
    for event in events:
        if event.state == "begun":
            for resource in both.wanted.resources:
                if event.key in resource.needs() and event.key.startswith(resource.cloud):
                    assert resource.key in gone, (event.key, resource.key)
        elif event.state == "done":
            gone.add(event.key)
    assert destroy_all(both.wanted, both.clouds) == ()


def test_a_teardown_that_broke_off_goes_on() -> None:
    both = Both()
    both.run()
    both.fail("destroy", "aws:subnet:demo-public-a")
    with pytest.raises(CloudError):
        destroy_all(both.wanted, both.clouds)
    assert "aws:subnet:demo-public-a" in absent(both.clouds)
    both.mend()
    destroy_all(both.wanted, both.clouds)
    assert absent(both.clouds) == ()


def test_a_teardown_goes_on_where_a_failure_does_not_stand_in_the_way() -> None:
    both = Both()
    both.run()
    stuck = {"aws:subnet:demo-public-a", "gcp:firewall:demo-ssh"}
    both.aws.fail = both.gcp.fail = lambda verb, key: verb == "destroy" and key in stuck
    with pytest.raises(CloudError) as raised:
        destroy_all(both.wanted, both.clouds)
    (other,) = stuck - {raised.value.resource}
    assert any(other in note for note in raised.value.__notes__)
    assert set(absent(both.clouds)) == stuck | {"aws:vpc:demo-vpc", "gcp:network:demo-network"}


def test_a_teardown_that_may_not_go_on_stops_as_a_whole() -> None:
    both = Both()
    both.run()
    lost: list[str] = []

    def fail(verb: str, key: str) -> bool:
        if verb == "destroy":
            lost.append(key)
            raise LockError("taken over")
        return False

    both.aws.fail = both.gcp.fail = fail
    with pytest.raises(LockError):
        destroy_all(both.wanted, both.clouds)
    assert set(lost) < both.wanted.by_key.keys()
    assert len(lost) <= WORKERS
    assert len(absent(both.clouds)) == len(both.wanted.step("00_provision"))


def test_hosts_are_the_instances_by_the_articles_names() -> None:
    both = Both()
    for step in STEPS[:2]:
        both.run(step)
    seen = hosts(both.wanted, both.clouds)
    assert [host.name for host in seen] == [node.name for node in both.wanted.nodes if node.step in STEPS[:2]]
    (bastion,) = (host for host in seen if host.name == "bastion-aws")
    assert (bastion.datacenter, bastion.public_ip, bastion.zone) == ("us-west-2", "192.0.2.1", "us-west-2a")


def test_an_existing_networks_bastions_are_known_by_their_addresses() -> None:
    network = ExistingNetwork(
        gcp_network="n",
        gcp_pub_subnet="p",
        gcp_priv_subnet="q",
        aws_vpc="vpc-1",
        aws_pub_subnet=("subnet-1",),
        aws_priv_subnet=("subnet-2",),
        aws_ngw="nat-1",
        aws_igw="igw-1",
        aws_bastion_sg="sg-1",
        gcp_bastion_ip="203.0.113.9",
        aws_bastion_ip="198.51.100.9",
    )
    seen = {host.name: host.public_ip for host in hosts_of(make(network), {})}
    assert seen == {"bastion-aws": "198.51.100.9", "bastion-gcp": "203.0.113.9"}
