"""The firewalls of the deployment that stands, against the table: as it is, then with one rule altered at a time."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from google.cloud import compute_v1

from runbook_lib import consul, matrix, wait
from runbook_lib.params import Params
from runbook_lib.reach import PORTS, Policy, Probe, one_of_each, probes
from runbook_lib.resources import CLOUDS, CloudName, Host
from runbook_lib.site import Site, open_site
from runbook_lib.topology.network import places
from runbook_lib.topology.rules import Port, Rule, groups, table
from tests.e2e.operators import DEPLOYMENT, PROJECT, Operator
from tests.e2e.records import Run

MUTATIONS, SEED = 30, 20171106


@pytest.fixture(scope="module")
def site(operator: Operator, walk: Run) -> Iterator[Site]:
    """The deployment, as the notebooks open it."""
    opened = open_site(Params.load(operator.params))
    yield opened
    opened.close()


def test_every_packet_arrives_or_not_as_the_table_says(site: Site) -> None:
    seen = matrix.probe(site, site.hosts())
    print(seen)  # noqa: T201 - what -rA and a failure show
    assert len(seen.expected) >= 2000
    assert {*site.hosts()} == {*seen.hosts}
    assert (seen.intruders, seen.missing) == ((), ())
    # A tool that sends nothing, or calls everything arrived, would not come through.
    assert 100 < len(seen.arrived) < len(seen.expected) / 2


def test_probes_leave_nothing_on_the_hosts(site: Site) -> None:
    matrix.probe(site)
    for host in one_of_each(site.hosts()):
        left = site.access.run(host, "ps axo args | grep '[p]ython3 - ' || true; cat /proc/net/unix").stdout
        assert "python3 - " not in left
        assert "runbook-probe" not in left


def test_a_datagram_costs_consul_a_line_of_its_log_at_the_most(site: Site) -> None:
    """Agents with a gossip key say that they cannot decrypt it, and go on."""
    say = "grep -c 'Decrypt packet failed' /var/log/consul/consul.log || true"
    servers = site.hosts("consul")
    before = {host.name: int(site.access.run(host, say).stdout) for host in servers}
    alive = consul.members(site.access, servers[0])
    seen = matrix.probe(site, ports=(8301, 8302))
    arrived = Counter(probe.to for probe in seen.arrived if probe.protocol == "udp")
    assert arrived, "some do arrive"
    for host in servers:
        lines = int(site.access.run(host, say).stdout) - before[host.name]
        assert lines <= matrix.ROUNDS * arrived[host.name]
    assert consul.members(site.access, servers[0]) == alive


# ---- one rule altered ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutation:
    """One opening more or less in one cloud: a port of a group, for another group or for everybody.

    Args:
        cloud: where.
        opens: whether it is one more.
        rule: the name of the rule that loses it; empty for a new one.
        to: the group that is reached.
        port: what is opened or closed.
        source: a group, or ``0.0.0.0/0``.
    """

    cloud: CloudName
    opens: bool
    rule: str
    to: str
    port: Port
    source: str

    def __str__(self) -> str:
        verb = "open" if self.opens else f"close ({self.rule})"
        return f"{self.cloud}: {verb} {self.port.protocol} {self.port.low} of {self.to} to {self.source}"

    def table(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """The table with this mutation, the clouds' rules told apart."""
        if self.opens:
            one = Rule("mutant", "a mutation", (self.to,), (self.port,), clouds=(self.cloud,))
            wide = self.source == "0.0.0.0/0"
            return (*rules, replace(one, places=("anywhere",)) if wide else replace(one, groups=(self.source,)))
        return tuple(part for rule in rules for part in self._without(rule))

    def _without(self, rule: Rule) -> Iterator[Rule]:
        if rule.name != self.rule or self.cloud not in rule.clouds:
            yield rule
            return
        yield replace(rule, clouds=tuple(cloud for cloud in rule.clouds if cloud != self.cloud))
        others = tuple(port for port in rule.ports if port != self.port)
        here = replace(rule, clouds=(self.cloud,))
        yield replace(here, ports=others)
        yield replace(here, ports=(self.port,), to=tuple(group for group in rule.to if group != self.to))
        left = () if self.source == "0.0.0.0/0" else rule.places
        yield replace(
            here,
            ports=(self.port,),
            to=(self.to,),
            groups=tuple(group for group in rule.groups if group != self.source),
            places=left,
        )


def closable(rules: Sequence[Rule]) -> Iterator[Mutation]:
    """Every opening that can be taken away by itself."""
    for rule in rules:
        anywhere = ("0.0.0.0/0",) if "anywhere" in rule.places else ()
        for cloud in rule.clouds:
            for to in rule.to:
                for port in rule.ports:
                    for source in (*rule.groups, *anywhere):
                        yield Mutation(cloud, False, rule.name, to, port, source)


def additions(chance: random.Random) -> Iterator[Mutation]:
    """Openings at random, without end."""
    clouds: tuple[CloudName, ...] = ("aws", "gcp")
    while True:
        number = chance.choice(PORTS)
        port = Port(chance.choice(("tcp", "udp")), number, number)
        source = chance.choice((*groups(), "0.0.0.0/0"))
        yield Mutation(chance.choice(clouds), True, "", chance.choice(groups()), port, source)


class Clouds:
    """Both clouds' own clients, altering one opening."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._ec2 = operator.boto("ec2")
        found = self._ec2.describe_security_groups(Filters=[{"Name": "tag:Deployment", "Values": [DEPLOYMENT]}])
        self._groups = {g["GroupName"].removeprefix(f"{DEPLOYMENT}-"): g["GroupId"] for g in found["SecurityGroups"]}
        self._firewalls = operator.google("Firewalls")

    def make(self, one: Mutation) -> Callable[[], None]:
        """Alter it; what is returned puts it back."""
        return self._aws(one) if one.cloud == "aws" else self._gcp(one)

    def _aws(self, one: Mutation) -> Callable[[], None]:
        permission: dict[str, Any] = {
            "IpProtocol": one.port.protocol,
            "FromPort": one.port.low,
            "ToPort": one.port.high,
        }
        if one.source in self._groups:
            permission["UserIdGroupPairs"] = [{"GroupId": self._groups[one.source]}]
        else:
            permission["IpRanges"] = [{"CidrIp": one.source}]
        what = {"GroupId": self._groups[one.to], "IpPermissions": [permission]}
        add, take = self._ec2.authorize_security_group_ingress, self._ec2.revoke_security_group_ingress
        if one.opens:
            add(**what)
            return lambda: take(**what)
        take(**what)
        return lambda: add(**what)

    def _gcp(self, one: Mutation) -> Callable[[], None]:
        body = compute_v1.Firewall(
            name=f"{DEPLOYMENT}-mutant", network=f"global/networks/{DEPLOYMENT}-network", target_tags=[one.to]
        )
        what = {"I_p_protocol": one.port.protocol, "ports": [str(one.port.low)]}
        if one.opens:
            body.allowed = [compute_v1.Allowed(**what)]
        else:
            # Closes one opening of a rule that has several.
            body.denied, body.priority = [compute_v1.Denied(**what)], 10
        if one.source == "0.0.0.0/0":
            body.source_ranges = [one.source]
        else:
            body.source_tags = [one.source]
        self._done(self._firewalls.insert_unary(project=PROJECT, firewall_resource=body))
        return lambda: self._done(self._firewalls.delete_unary(project=PROJECT, firewall=body.name))

    def _done(self, operation: Any) -> None:
        client = self._operator.google("GlobalOperations")
        while operation.status != compute_v1.Operation.Status.DONE:
            operation = client.wait(project=PROJECT, operation=operation.name)
        assert not operation.error.errors, operation.error


@pytest.fixture(scope="module")
def few(site: Site) -> tuple[Host, ...]:
    """One host of each role in each cloud, and a second Consul server, as servers have rules among themselves."""
    seconds = tuple(site.hosts("consul", cloud)[1] for cloud in ("aws", "gcp"))
    return (*one_of_each(site.hosts()), *seconds)


def arriving(site: Site, rules: Sequence[Rule], few: tuple[Host, ...], port: int) -> frozenset[Probe]:
    """What should arrive at a port, by a table."""
    ranges = {cloud: places(site.params, cloud, None) for cloud in CLOUDS}
    policy = Policy(rules, ranges, few)
    return frozenset(one for one in probes(few, (port,)) if policy.passes(one))


@pytest.fixture(scope="module")
def mutations(site: Site, few: tuple[Host, ...]) -> tuple[Mutation, ...]:
    """Half of them close, half of them open; each makes a difference to some packet among the hosts."""
    chance, rules = random.Random(SEED), table(site.params)

    def differs(one: Mutation) -> bool:
        before = arriving(site, rules, few, one.port.low)
        return arriving(site, one.table(rules), few, one.port.low) != before

    closings = [one for one in closable(rules) if differs(one)]
    openings = itertools.islice(filter(differs, additions(chance)), MUTATIONS - MUTATIONS // 2)
    return (*chance.sample(closings, MUTATIONS // 2), *openings)


def test_each_altered_rule_is_noticed_as_what_it_is(
    site: Site, operator: Operator, few: tuple[Host, ...], mutations: tuple[Mutation, ...]
) -> None:
    clouds, rules = Clouds(operator), table(site.params)
    assert len({*mutations}) >= 30
    assert (
        {one.cloud for one in mutations if one.opens}
        == {one.cloud for one in mutations if not one.opens}
        == {
            "aws",
            "gcp",
        }
    )
    for one in mutations:
        wanted = arriving(site, one.table(rules), few, one.port.low)
        undo = clouds.make(one)
        try:
            seen = wait.until(
                lambda one=one: matrix.probe(site, few, ports=(one.port.low,)),  # type: ignore[misc]
                lambda seen, wanted=wanted: seen.arrived == wanted,  # type: ignore[misc]
                what=f"the matrix to show: {one}",
                timeout=40,
            )
        finally:
            undo()
        noticed = (*seen.intruders, *seen.missing)
        print(f"{one}: {len(noticed)} mismatches, for example {noticed[0]}")  # noqa: T201
        assert seen.intruders if one.opens else seen.missing
        assert not (seen.missing if one.opens else seen.intruders)
    wait.until(
        lambda: matrix.probe(site, few),
        lambda seen: not (seen.intruders or seen.missing),
        what="the matrix to agree again once every rule is back",
        timeout=40,
    )
