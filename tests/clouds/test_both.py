"""The whole deployment through both emulated clouds: made, found as wanted, unmade."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.clouds import Clouds, connect
from runbook_lib.clouds.base import Secret
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import absent, apply, destroy_all, hosts
from runbook_lib.terraform_state import parse
from runbook_lib.topology import Topology, topology

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
STEPS = ("00_provision", "01_bootstrap", "03_traefik", "04_test")


@pytest.fixture
def params(aws_lab: Any, gcp_lab: Any) -> Params:
    return Params(
        deployment="blue",
        aws_endpoint=aws_lab.url,
        aws_credentials=aws_lab.credentials,
        gcp_endpoint=gcp_lab.url,
        gcp_credentials=gcp_lab.credentials,
        timeout=30,
    )


def make(params: Params, clouds: Clouds, wanted: Topology, steps: tuple[str, ...] = STEPS) -> None:
    for step in steps:
        apply(plan(wanted, clouds.inventory(), step), clouds)


def test_made_found_as_wanted_and_unmade(params: Params, aws_lab: Any, gcp_lab: Any) -> None:
    clouds, wanted = connect(params), topology(params, public_key=KEY)
    clouds.both(lambda cloud: cloud.check())
    make(params, clouds, wanted)

    found = clouds.inventory()
    assert found.keys() == wanted.by_key.keys()
    assert {step: plan(wanted, found, step).work for step in STEPS} == dict.fromkeys(STEPS, ())
    made = aws_lab.counts.tally, gcp_lab.counts.tally
    assert aws_lab.counts.total() > 40 and gcp_lab.counts.total() > 30
    make(params, clouds, wanted)
    assert (aws_lab.counts.tally, gcp_lab.counts.tally) == made

    running = hosts(wanted, clouds)
    assert [host.name for host in running] == [node.name for node in wanted.nodes]
    assert {host.state for host in running} == {"running", "RUNNING"}
    assert all(bool(host.public_ip) is node.public for host, node in zip(running, wanted.nodes, strict=True))

    keys = [value for thing in found.values() for value in thing.attributes.values() if isinstance(value, Secret)]
    assert len(keys) == 4
    shown = repr((found, plan(wanted, found, "00_provision")))
    assert not any(str.__str__(key) in shown for key in keys)

    assert set(destroy_all(wanted, clouds)) == found.keys()
    assert absent(clouds) == ()


def test_a_deployment_on_an_existing_network_leaves_it_as_it_was(params: Params) -> None:
    base = params.model_copy(update={"deployment": "base"})
    base_clouds, base_wanted = connect(base), topology(base, public_key=KEY)
    make(base, base_clouds, base_wanted, ("00_provision",))
    before = base_clouds.inventory()
    aws = {zone: f"aws:subnet:base-{zone}" for zone in ("public-a", "private-a")}
    outputs = {
        "gcp_network": "base-network",
        "gcp_pub_subnet": "base-public",
        "gcp_priv_subnet": "base-private",
        "aws_vpc": before["aws:vpc:base-vpc"].id,
        "aws_pub_subnet": [before[aws["public-a"]].id],
        "aws_priv_subnet": [before[aws["private-a"]].id],
        "aws_ngw": before["aws:nat_gateway:base-nat"].id,
        "aws_igw": before["aws:internet_gateway:base-igw"].id,
        "aws_bastion_sg": before["aws:security_group:base-bastion"].id,
        "gcp_bastion_ip": before["gcp:instance:base-bastion-gcp"].attributes["public_ip"],
        "aws_bastion_ip": before["aws:instance:base-bastion-aws"].attributes["public_ip"],
    }
    network = parse({"version": 4, "outputs": {name: {"value": value} for name, value in outputs.items()}})

    clouds, wanted = connect(params), topology(params, public_key=KEY, network=network)
    make(params, clouds, wanted)
    found = clouds.inventory()
    assert found.keys() == wanted.by_key.keys()
    assert all(plan(wanted, found, step).work == () for step in STEPS)
    destroy_all(wanted, clouds)
    assert absent(clouds) == ()
    assert base_clouds.inventory() == before
