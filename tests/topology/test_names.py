"""Names: what a deployment may call its things, and that no two deployments can call two things the same."""

from __future__ import annotations

import random
from itertools import permutations, product

import pytest

from runbook_lib.clouds.aws.lock import lock_name
from runbook_lib.errors import ParameterError
from runbook_lib.params import Params
from runbook_lib.plan import kind_of
from runbook_lib.topology import topology
from runbook_lib.topology.names import SUFFIXES, is_ours


def used(deployment: str) -> set[tuple[str, str]]:
    """Every ("cloud:kind", name) that the largest deployments of a name use, at either level of security."""
    most = {"deployment": deployment, "consul_servers": 7, "traefiks": 8, "web_servers": 16}
    names = {("aws:key_pair", lock_name(deployment))}
    for level in ("hardened", "article"):
        params = Params.parse({**most, "security": level}, source="test")
        wanted = topology(params, public_key="ssh-ed25519 AAAA", script=lambda p, cloud, role, name: name)
        names |= {(kind_of(resource.key), resource.name) for resource in wanted.resources}
    return names


USED = used("demo")


def test_the_grammar_knows_every_name_that_is_used_and_no_kind_is_missing() -> None:
    assert {kind for kind, _ in USED} == SUFFIXES.keys()
    lock = ("aws:key_pair", lock_name("demo"))
    assert [(kind, name) for kind, name in sorted(USED - {lock}) if not is_ours("demo", kind, name)] == []


@pytest.mark.parametrize(
    ("deployment", "kind", "name"),
    [
        ("demo", "aws:vpc", "demo-x-vpc"),
        ("demo", "aws:vpc", "demo-vpc-2"),
        ("demo", "aws:vpc", "demo-VPC"),
        ("demo", "aws:vpc", "my-demo-vpc"),
        ("demo", "aws:subnet", "demo-public-aa"),
        ("demo", "gcp:firewall", "demo-x-web"),
        ("demo", "gcp:instance", "demo-server-gcp-consul-0"),
        ("demo", "gcp:instance", "demo-server-aws-consul-1"),
        ("demo-server", "aws:instance", "demo-server-aws-consul-1"),
        ("demo-gcp", "aws:vpn_connection", "demo-gcp-a"),
        ("d.mo", "aws:vpc", "demo-vpc"),
    ],
)
def test_what_only_looks_alike_is_not_ours(deployment: str, kind: str, name: str) -> None:
    assert not is_ours(deployment, kind, name)


def clashing() -> set[str]:
    """What one deployment's name would have to add to another's, so that they call two things the same."""
    return {
        longer[len("demo-") : -len(shorter) + len("demo")]
        for (kind, longer), (other, shorter) in permutations(USED, 2)
        if kind == other and longer.endswith(shorter[len("demo") :])
    }


def test_the_only_names_that_could_clash_are_refused() -> None:
    assert clashing() == {"consul"}, "a security group is called traefik, and another one consul-traefik"
    for name in ("demo-consul", "demo-x-consul"):
        with pytest.raises(ParameterError, match="deployment") as raised:
            Params.parse({"deployment": name}, source="test")
        assert "consul" in str(raised.value.expected)
    assert Params.parse({"deployment": "consul"}, source="test").deployment == "consul"


def test_names_of_two_deployments_are_never_equal() -> None:
    words = sorted({word for _, name in USED for word in name.split("-")[1:]} | {"demo", "x", "9"})
    draw = random.Random(5)
    names = {"demo", "demo-x", "demo-server", "demo-gcp", "demo-aws", "demo-lock", "demo-server-aws"}
    while len(names) < 20:
        name = "-".join(["demo", *draw.choices(words, k=draw.randint(1, 3))])[:20].rstrip("-")
        if not name.endswith("-consul"):
            names.add(name)
    suffixes = sorted((kind, name[len("demo") :]) for kind, name in USED)
    owners: dict[tuple[str, str], str] = {}
    for deployment, (kind, suffix) in product(sorted(names), suffixes):
        assert Params.parse({"deployment": deployment}, source="test")
        assert owners.setdefault((kind, deployment + suffix), deployment) == deployment
    for (kind, name), owner in owners.items():
        assert not [other for other in names - {owner} if is_ours(other, kind, name)], (kind, name)
