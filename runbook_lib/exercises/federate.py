"""Exercises of 02_federate: a name with a fallback, hosts without an agent, a question that passes one way only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import consul
from ..checks import Check, equal, is_true
from ..resources import CLOUDS, Host
from ..site import Site
from . import Exercise
from .looking import other, private_address, require_hardened, resolved, standing, together

CLOCK = "clock"


def _failover(site: Site) -> Iterator[Check]:
    gcp, aws = standing(site, "consul", "gcp")[0], standing(site, "consul", "aws")[0]
    name = f"{CLOCK}.query.consul"
    here, there, found = together(
        partial(_passing, site, gcp), partial(_passing, site, aws), partial(resolved, site, gcp, name)
    )
    yield equal(f"{gcp.datacenter}: {CLOCK}, passing", [], here)
    yield is_true(f"{aws.datacenter}: {CLOCK}, passing", there, "an address")
    yield Check(
        f"{gcp.name}: {name}",
        f"what {aws.datacenter} has",
        found,
        bool(found) and set(found) == set(there),
    )


def _passing(site: Site, host: Host) -> list[str]:
    return sorted({one.address for one in consul.health(site.access, host, CLOCK) if one.status == "passing"})


def _bastions(site: Site) -> Iterator[Check]:
    """Each bastion in the catalogue of its own datacenter, asked in the other one."""
    looks, wanted = {}, []
    for cloud in CLOUDS:
        bastion, asked = standing(site, "bastion", cloud)[0], standing(site, "consul", other(cloud))[0]
        name = f"{bastion.name}.node.{bastion.datacenter}.consul"
        looks[f"{asked.name}: {name}"] = partial(resolved, site, asked, name)
        wanted.append((private_address(site, bastion),))
    for look, address, seen in zip(looks, wanted, together(*looks.values()), strict=True):
        yield equal(look, address, seen)


def _one_way(site: Site) -> Iterator[Check]:
    require_hardened(site)
    gcp, aws = standing(site, "consul", "gcp")[0], standing(site, "consul", "aws")[0]
    own = f"{aws.name}.node.{aws.datacenter}.consul"
    far = f"{gcp.name}.node.{gcp.datacenter}.consul"
    pool, asked, local, across = together(
        partial(consul.members, site.access, aws, True),
        partial(resolved, site, gcp, own),
        partial(resolved, site, aws, own),
        partial(resolved, site, aws, far),
    )
    servers = {f"{host.name}.{host.datacenter}" for cloud in CLOUDS for host in standing(site, "consul", cloud)}
    alive = {member.name for member in pool if member.status == "alive"}
    yield equal(f"{aws.name}: servers that the WAN pool misses", [], servers - alive)
    yield equal(f"{gcp.name} asks {aws.datacenter} for {aws.name}", (aws.private_ip,), asked)
    yield equal(f"{aws.name} asks its own datacenter for itself", (aws.private_ip,), local)
    yield equal(f"{aws.name} asks {gcp.datacenter} for {gcp.name}", (), across)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "02-failover",
        f"{CLOCK}.query.consul, asked in GCP, names a service that runs in AWS alone",
        _failover,
    ),
    Exercise(
        "02-bastion-names",
        "each bastion, which runs no agent, has a name that the other datacenter resolves",
        _bastions,
    ),
    Exercise(
        "02-one-way",
        "every server is alive in the WAN pool, GCP may ask AWS, and AWS's first server gets no answer from GCP",
        _one_way,
    ),
)
