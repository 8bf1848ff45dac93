"""Exercises of 01_bootstrap: discovery refused, a leader killed, names gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .. import consul
from ..checks import Check, equal, is_true
from ..resources import Host
from ..site import Site
from ..topology.names import role_name
from . import Exercise
from .looking import ANSWERS, connection, lives, resolved, standing, together

LISTS = "ec2:DescribeInstances"
_FOUND, _REFUSED = "Discovered servers: cluster=LAN", "DescribeInstancesInput failed"
_LED, _LOST, _TOLD = "cluster leadership acquired", "cluster leadership lost", "Caught: signal"


# ---- 01-no-discovery -------------------------------------------------------------------------------------


def _undiscovered(site: Site) -> Iterator[Check]:
    servers = standing(site, "consul", "aws")
    role = site.clouds.aws.inventory().get(f"aws:iam_role:{role_name(site.params.deployment)}")
    allowed = list(role.spec["actions"] or ()) if role else ["there is no such role"]
    yield Check("AWS: what instances may do", f"not {LISTS}", allowed, role is not None and LISTS not in allowed)
    told = together(*(partial(lives, site, host, f"{_FOUND}|{_REFUSED}") for host in servers))
    refused = [host.name for host, every in zip(servers, told, strict=True) if _is_refused(every)]
    yield is_true("AWS: servers that have searched since their start, and were only refused", refused, "one or more")
    leader, members = together(
        partial(consul.leader, site.access, servers[0]), partial(consul.members, site.access, servers[0])
    )
    yield is_true("AWS: a leader", leader)
    alive = {member.name for member in members if member.role == "server" and member.status == "alive"}
    yield equal("AWS: servers alive", {host.name for host in servers}, alive)


def _is_refused(every: tuple[tuple[str, ...], ...]) -> bool:
    """Whether the present life of an agent was refused its search and did not succeed in it."""
    now = every[-1] if every else ()
    return any(_REFUSED in line for line in now) and not any(_FOUND in line for line in now)


# ---- 01-election -----------------------------------------------------------------------------------------


def _election(site: Site) -> Iterator[Check]:
    """By the servers' logs: one whose last life breaks off while it led, which another now does.

    Whoever is asked to end says so in the log; whoever is killed does not come to that.
    """
    servers = standing(site, "consul", "aws", least=3)
    told = together(*(partial(lives, site, host, f"{_LED}|{_LOST}|{_TOLD}") for host in servers))
    killed = [host.name for host, every in zip(servers, told, strict=True) if _died_leading(every)]
    yield is_true("AWS: servers killed while they led", killed, "one")
    peers = consul.peers(site.access, servers[0])
    leader = [peer.name for peer in peers if peer.leader]
    yield Check("AWS: leads now", "another server", leader, bool(leader) and bool({*killed} - {*leader}))
    alive = {member.name for member in consul.members(site.access, servers[0]) if member.status == "alive"}
    back = [peer.name for peer in peers if peer.voter and peer.name in alive]
    yield equal("AWS: alive, and voters", [host.name for host in servers], back)


def _died_leading(every: tuple[tuple[str, ...], ...]) -> bool:
    """Whether an agent runs again, whose life before the present one broke off while it led."""
    before = every[-2] if len(every) > 1 else ()
    return bool(before) and _LED in before[-1]


# ---- 01-names --------------------------------------------------------------------------------------------


def _names(site: Site) -> Iterator[Check]:
    server = standing(site, "consul", "gcp")[0]
    ours, theirs, agent = together(
        partial(resolved, site, server, "consul.service.consul"),
        partial(resolved, site, server, "compute.googleapis.com"),
        partial(_dns_of_agent, site, server),
    )
    yield equal(f"{server.name}: consul.service.consul, as any program asks", (), ours)
    yield is_true(f"{server.name}: compute.googleapis.com, asked the same way", theirs, "an address")
    yield equal(f"{server.name}: the agent's own DNS, on port 8600", ANSWERS, agent)


def _dns_of_agent(site: Site, server: Host) -> str:
    return connection(site, server, "127.0.0.1", 8600, 1)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "01-no-discovery",
        "AWS refuses to name the servers, one of them was restarted all the same, and the cluster goes on",
        _undiscovered,
    ),
    Exercise(
        "01-election",
        "the leader in AWS was killed, another server leads, and the killed one is back and follows",
        _election,
    ),
    Exercise(
        "01-names",
        "the first server in GCP resolves every name but those that end in .consul, and its agent answers",
        _names,
    ),
)
