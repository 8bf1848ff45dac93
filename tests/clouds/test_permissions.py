"""The table of permissions is what is used: each deed passes with its own, and with one of them less it says which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.clouds import Clouds, connect
from runbook_lib.clouds.base import CloudApi
from runbook_lib.clouds.gcp.kinds import KINDS as GCP_KINDS
from runbook_lib.errors import CloudError, PrerequisiteError, RunbookError
from runbook_lib.lab import restricted
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.params import Params
from runbook_lib.permissions import policy, role
from runbook_lib.permissions.table import BESIDES, KINDS, READS
from runbook_lib.plan import plan
from runbook_lib.provision import absent, apply, destroy_all
from runbook_lib.resources import CLOUDS, CloudName, Found, Resource, resolve
from runbook_lib.topology import Topology, topology
from tests.clouds.conftest import World, served
from tests.clouds.test_both import KEY, STEPS

SSM_IMAGE = "ssm:/aws/service/debian/release/12/latest/amd64"
Deed = Callable[[CloudApi], object]
# Of instances, one that has a public address and a role; of other kinds, the first.
SAMPLE = "blue-server-{}-traefik-1"
# Kinds that are found together with another.
OWNERS = {"security_group_rules": "security_group", "router_peering": "router"}
CASES = [
    *((cloud, purpose, action) for cloud in CLOUDS for purpose, some in READS[cloud].items() for action in some),
    *(
        (cloud, f"{verb} {kind}", action)
        for cloud in CLOUDS
        for kind, verbs in KINDS[cloud].items()
        for verb, some in verbs.items()
        for action in some
    ),
]


class Accounts:
    """Both clouds, an operator who may do everything, and one who may do what he is given."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        aws_world, gcp_world = World(), World()
        aws, gcp = Ec2(aws_world, "us-west-2", settle=0.02), Gce(gcp_world, "runbook-lab", operation_seconds=0.05)
        gcp.ready()
        files = {name: folder / name for name in ("aws", "gcp", "less-aws", "less-gcp")}
        files["aws"].write_text(aws.operator_credentials())
        urls = stack.enter_context(served(aws, aws_world)), stack.enter_context(served(gcp, gcp_world))
        files["gcp"].write_text(json.dumps(gcp.operator_credentials(f"{urls[1]}/token")))
        self._user = restricted.Aws(urls[0], files["aws"], "us-west-2")
        self._account = restricted.Gcp(urls[1], files["gcp"])
        files["less-aws"].write_text(self._user.credentials())
        files["less-gcp"].write_text(self._account.credentials())
        places = {
            "aws_endpoint": urls[0],
            "gcp_endpoint": urls[1],
            "deployment": "blue",
            "timeout": 30,
            "aws_image": SSM_IMAGE,
        }
        self.params = Params(**places, aws_credentials=str(files["aws"]), gcp_credentials=str(files["gcp"]))
        self.operator: Clouds = connect(self.params)
        less = {"aws_credentials": str(files["less-aws"]), "gcp_credentials": str(files["less-gcp"])}
        self.less = self.params.model_copy(update=less)
        self.member: Clouds = connect(self.less)
        self.wanted: Topology = topology(self.params, public_key=KEY)

    def there(self, cloud: CloudName, key: str) -> Found | None:
        """One thing as the operator sees it; of its kind alone is asked, as this is done hundreds of times."""
        kind, operator = key.split(":")[1], self.operator[cloud]
        owner = OWNERS.get(kind, kind)
        found = operator._kinds[owner].find(frozenset()) if cloud == "aws" else operator._list(GCP_KINDS[owner])  # type: ignore[attr-defined]
        return next((thing for thing in found if thing.key == key), None)

    def give(self, cloud: CloudName, actions: Iterable[str]) -> None:
        if cloud == "gcp":
            self._account.allow(actions)
            return
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        self._user.allow(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def give_steps(self, steps: tuple[str, ...]) -> None:
        self._user.allow(json.dumps(policy("blue", steps)))
        self._account.allow(role("blue", steps)["includedPermissions"])


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    with ExitStack() as stack:
        yield Accounts(stack, tmp_path_factory.mktemp("accounts"))


class Trials:
    """What came of every deed, with one permission less: by cloud, purpose and permission."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.said: dict[tuple[str, str, str], RunbookError | None] = {}

    def run(
        self, cloud: CloudName, purpose: str, actions: tuple[str, ...], deed: Deed, mend: Callable[[], object]
    ) -> None:
        """Try a deed with each of its permissions missing, then with all of them, and no others than looking needs."""
        base = [one for one in READS[cloud]["look"] if purpose != "look"]
        member = self._accounts.member[cloud]
        for action in actions:
            self._accounts.give(cloud, [*base, *(one for one in actions if one != action)])
            try:
                deed(member)
            except (CloudError, PrerequisiteError) as error:
                self.said[cloud, purpose, action] = error
            mend()
        self._accounts.give(cloud, [*base, *actions])
        deed(member)


@pytest.fixture(scope="module")
def trials(accounts: Accounts) -> Iterator[Trials]:
    """The whole life of a deployment, once."""
    made = Trials(accounts)
    _create(accounts, made)
    _read(accounts, made)
    _destroy(accounts, made)
    assert absent(accounts.operator) == ()
    yield made


def _create(accounts: Accounts, trials: Trials) -> None:
    found: dict[str, Found] = {}
    tried: set[str] = set()
    for step in STEPS:
        for action in plan(accounts.wanted, accounts.operator.inventory(), step).actions:
            resource = action.resource
            assert resource is not None
            cloud, kind = resource.cloud, f"{resource.cloud}:{resource.kind}"
            sample = resource.kind != "instance" or resource.name == SAMPLE.format(cloud)

            def create(api: CloudApi, resource: Resource = resource) -> None:
                found[resource.key] = api.wait(api.create(resource, resolve(resource.spec, found)))

            def remove(resource: Resource = resource) -> None:
                if half := accounts.there(resource.cloud, resource.key):
                    accounts.operator[resource.cloud].destroy(half)

            if sample and kind not in tried:
                tried.add(kind)
                trials.run(cloud, f"create {resource.kind}", KINDS[cloud][resource.kind]["create"], create, remove)
                if kind in OTHER:
                    _change(accounts, trials, resource, found)
            else:
                create(accounts.operator[cloud])


def _read(accounts: Accounts, trials: Trials) -> None:
    for cloud in CLOUDS:
        instance = next(iter(accounts.operator[cloud].instances().values()))

        def console(api: CloudApi, instance: Found = instance) -> None:
            api.console_output(instance.id)

        deeds: dict[str, Deed] = {
            "look": lambda api: api.inventory(),
            # Whoever has found the image once does not look again.
            "check the parameters": lambda _, cloud=cloud: connect(accounts.less)[cloud].check(),  # type: ignore[misc]
            "read consoles": console,
        }
        for purpose, deed in deeds.items():
            trials.run(cloud, purpose, READS[cloud][purpose], deed, lambda: None)


# For each kind that changes in place, a field and another value for it, made of the wanted one.
OTHER: dict[str, dict[str, Callable[[Any, dict[str, Found]], Any]]] = {
    "aws:vpc": {"dns_hostnames": lambda _value, _found: False},
    "aws:internet_gateway": {"vpc": lambda value, _found: value},
    "aws:vpn_gateway": {"vpc": lambda value, _found: value},
    "aws:route_table": {
        "subnets": lambda value, _found: value[1:],
        "routes": lambda value, found: [
            {"destination": "0.0.0.0/0", "target": found["aws:vpn_gateway:blue-vgw"].id},
            {"destination": "10.9.0.0/16", "target": value[0]["target"]},
        ],
        "propagating": lambda _value, _found: [],
    },
    "aws:security_group_rules": {"ingress": lambda value, _found: [{**value[0], "source": "10.9.0.0/16"}]},
    "aws:iam_role": {"actions": lambda _value, _found: ["ec2:DescribeVpcs"]},
    "aws:instance_profile": {"role": lambda value, _found: value},
    "aws:instance": {"groups": lambda value, _found: value[1:], "tags": lambda value, _found: {**value, "Other": "x"}},
    "gcp:router": {"bgp": lambda _value, _found: {"asn": 65000}},
    "gcp:router_peering": {
        "bgp_peers": lambda value, _found: [{**peer, "advertised_route_priority": 7} for peer in value]
    },
    "gcp:firewall": {"priority": lambda _value, _found: 900},
    "gcp:instance": {
        "tags": lambda value, _found: {"items": value["items"][1:]},
        "labels": lambda value, _found: {**value, "other": "x"},
    },
}


def _change(accounts: Accounts, trials: Trials, resource: Resource, found: dict[str, Found]) -> None:
    others = OTHER[f"{resource.cloud}:{resource.kind}"]
    wanted = resolve(resource.spec, found)
    altered = {**wanted, **{field: other(wanted[field], found) for field, other in others.items()}}
    fields = (*others, *(("running",) if resource.kind == "instance" else ()))

    def change(api: CloudApi, specs: tuple[dict[str, Any], ...] = (altered, wanted)) -> None:
        for spec in specs:
            if "running" in fields:
                _stop(accounts, resource)
            thing = accounts.there(resource.cloud, resource.key)
            assert thing is not None
            api.update(resource, thing, spec, fields)

    def restore() -> None:
        change(accounts.operator[resource.cloud], specs=(wanted,))

    actions = KINDS[resource.cloud][resource.kind]["change"]
    trials.run(resource.cloud, f"change {resource.kind}", actions, change, restore)


def _stop(accounts: Accounts, resource: Resource) -> None:
    """Stop an instance through its cloud's API, as somebody might."""
    operator: Any = accounts.operator[resource.cloud]
    thing = operator.instances()[resource.key]
    if resource.cloud == "aws":
        operator._account.ec2.stop_instances(InstanceIds=[thing.id])
        operator._account.ec2.get_waiter("instance_stopped").wait(
            InstanceIds=[thing.id], WaiterConfig={"Delay": 0.05, "MaxAttempts": 200}
        )
        return
    where = {"zone": thing.attributes["zone"], "instance": resource.name}
    operator.api.change(resource.key, operator.api.client("InstancesClient").stop_unary, where)


def _destroy(accounts: Accounts, trials: Trials) -> None:
    tried: set[tuple[CloudName, str]] = set()
    for action in plan(accounts.wanted, accounts.operator.inventory(), "05_teardown").actions:
        cloud: CloudName = "aws" if action.key.startswith("aws") else "gcp"
        name = action.key.split(":")[1]
        key = action.key

        def destroy(api: CloudApi, cloud: CloudName = cloud, key: str = key) -> None:
            if thing := accounts.there(cloud, key):
                api.destroy(thing)

        if (cloud, name) not in tried:
            tried.add((cloud, name))
            # In the order of the calls, so that what a refusal leaves half done does not matter.
            trials.run(cloud, f"destroy {name}", KINDS[cloud][name]["destroy"], destroy, lambda: None)
        else:
            destroy(accounts.operator[cloud])


@pytest.mark.parametrize(("cloud", "purpose", "action"), [case for case in CASES if case[1] != "doctor"])
def test_one_permission_less_is_named_with_a_remedy(trials: Trials, cloud: str, purpose: str, action: str) -> None:
    error = trials.said.get((cloud, purpose, action))
    assert error is not None, f"{purpose} works without {action}"
    assert action in error.remedy
    assert "runbook permissions" in error.remedy


@pytest.mark.parametrize("action", BESIDES["aws"]["keep others out"])
def test_the_lock_needs_what_stands_for_it(accounts: Accounts, trials: Trials, action: str) -> None:
    lock = accounts.member.lock
    assert lock is not None
    look, own = ["ec2:DescribeKeyPairs"], BESIDES["aws"]["keep others out"]

    def hold() -> None:
        if (posted := lock.post(KEY, {"Holder": "me"})) is not None:
            lock.renew(posted, {"Holder": "me"})
            lock.remove(posted)

    accounts.give("aws", [*look, *own])
    hold()
    assert lock.look() is None
    accounts.give("aws", [*look, *(one for one in own if one != action)])
    with pytest.raises(CloudError) as raised:
        hold()
    assert action in raised.value.remedy
    accounts.give("aws", [*look, *own])
    if left := lock.look():
        lock.remove(left.id)


@pytest.mark.usefixtures("trials")
def test_every_step_works_with_what_is_printed_for_it(accounts: Accounts) -> None:
    for step in STEPS:
        accounts.give_steps((step,))
        if step == STEPS[0]:
            accounts.member.both(lambda cloud: cloud.check())
        apply(plan(accounts.wanted, accounts.member.inventory(), step), accounts.member)
    accounts.give_steps(("05_teardown",))
    destroy_all(accounts.wanted, accounts.member)
    assert absent(accounts.member) == ()
