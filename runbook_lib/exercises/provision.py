"""Exercises of 00_provision: a port, a drift, a tunnel that is up while nothing passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_network
from typing import Any

from ..checks import Check, equal
from ..plan import kind_of
from ..resources import CLOUDS, CloudName, Found
from ..site import Site
from . import Exercise
from .looking import LABEL, SILENCE, connection, other, private_address, require_hardened, some, standing, together

PORT = 9100
# Fields by which a plan speaks of an instance's tags and labels, and of those that say whose it is.
_MARKS = {"tags", "labels", "marked"}
_FIREWALLS = {"aws:security_group_rules", "gcp:firewall"}


# ---- 00-open-a-port --------------------------------------------------------------------------------------


def _port(site: Site) -> Iterator[Check]:
    """The rules first: a connection that a firewall swallows takes its time, and is not tried in vain."""
    require_hardened(site)
    found = site.found()
    fitting = []
    for cloud in CLOUDS:
        far = other(cloud)
        sources = tuple(dict.fromkeys(_let_in(found, cloud)))
        fits = bool(sources) and all(_within(source, _ranges(site, far)) for source in sources)
        wanted = f"addresses of {LABEL[far]}'s network and no others"
        yield Check(f"{LABEL[cloud]}: who may reach the bastion on port {PORT}", wanted, sources, fits)
        fitting += [cloud] * fits
    for cloud in fitting:
        bastion, asker = standing(site, "bastion", cloud)[0], standing(site, "bastion", other(cloud))[0]
        inside, outside = together(
            partial(connection, site, asker, private_address(site, bastion), PORT, 3),
            partial(connection, site, asker, str(bastion.public_ip), PORT, 3),
        )
        where = f"{LABEL[cloud]}: port {PORT}, asked by {asker.name}"
        yield Check(f"{where} at the private address", "refused, or an answer", inside, inside != SILENCE)
        yield equal(f"{where} at the public address", SILENCE, outside)


def _let_in(found: Mapping[str, Found], cloud: CloudName) -> Iterator[str]:
    """Sources of the rules by which the port of a cloud's bastion may be reached, of those that the runbook finds."""
    for key, thing in found.items():
        if cloud == "aws" and key.startswith("aws:security_group_rules:") and key.endswith("-bastion"):
            for entry in thing.spec["ingress"]:
                if entry["protocol"] == "all" or (entry["protocol"] == "tcp" and entry["low"] <= PORT <= entry["high"]):
                    yield entry["source"]
        if cloud == "gcp" and key.startswith("gcp:firewall:") and _concerns(thing.spec):
            yield from (*thing.spec["source_ranges"], *thing.spec["source_tags"])


def _concerns(rule: Mapping[str, Any]) -> bool:
    """Whether a firewall rule of GCP lets somebody in to the bastion's port; one without target tags is for all."""
    aims = not rule["target_tags"] or "bastion" in rule["target_tags"]
    return aims and rule["direction"] == "INGRESS" and not rule["disabled"] and _opens(rule["allowed"])


def _opens(allowed: Iterable[Mapping[str, Any]]) -> bool:
    for entry in allowed:
        ends = [port.partition("-") for port in entry["ports"]]
        inside = not ends or any(int(low) <= PORT <= int(high or low) for low, _, high in ends)
        if entry["I_p_protocol"] in ("tcp", "6", "all") and inside:
            return True
    return False


def _ranges(site: Site, cloud: CloudName) -> tuple[str, ...]:
    params = site.params
    return (params.aws_network,) if cloud == "aws" else (params.gcp_public_subnet, params.gcp_private_subnet)


def _within(source: str, ranges: Iterable[str]) -> bool:
    """Whether a source is a range, and inside one of others; a group or a tag is none."""
    try:
        network = ip_network(source)
    except ValueError:
        return False
    return network.version == 4 and any(network.subnet_of(ip_network(one)) for one in ranges)  # type: ignore[arg-type]


# ---- 00-drift --------------------------------------------------------------------------------------------


def _drift(site: Site) -> Iterator[Check]:
    work = site.plan("00_provision").work
    for cloud in CLOUDS:
        bastion = f"{cloud}:instance:{site.params.deployment}-bastion-{cloud}"
        due = [action for action in work if action.key.startswith(f"{cloud}:")]
        told = some(" ".join((one.verb, one.key.split(":", 2)[2], *map("({})".format, one.changes))) for one in due)
        fits = len(due) == 1 and (due[0].key, due[0].verb) == (bastion, "change") and {*due[0].changes} <= _MARKS
        wanted = f"to change {site.params.deployment}-bastion-{cloud} in place, and nothing else"
        yield Check(f"{LABEL[cloud]}: what the plan would do", wanted, told, fits)


# ---- 00-silent-tunnels -----------------------------------------------------------------------------------


def _silent(site: Site) -> Iterator[Check]:
    plan = site.plan("00_provision")
    found = plan.found
    ends = [thing.attributes for key, thing in found.items() if key.startswith("aws:vpn_connection:")]
    tunnels = [thing.attributes for key, thing in found.items() if key.startswith("gcp:vpn_tunnel:")]
    peerings = [thing.attributes for key, thing in found.items() if key.startswith("gcp:router_peering:")]
    states = [end[f"state_{number}"] for end in ends for number in (1, 2)]
    yield equal("AWS: tunnels up", 4, states.count("UP"))
    yield equal("GCP: tunnels established", 4, [tunnel["state"] for tunnel in tunnels].count("ESTABLISHED"))
    sessions = [state for peering in peerings for state in peering["sessions"].values()]
    yield equal("GCP: BGP sessions established", 4, sessions.count("Established"))
    closed = some(action.key for action in plan.work if kind_of(action.key) in _FIREWALLS)
    yield equal("both clouds: firewall rules that were changed", [], closed)
    aws, gcp = standing(site, "bastion", "aws")[0], standing(site, "bastion", "gcp")[0]
    here, there = private_address(site, aws), private_address(site, gcp)
    looks = {
        f"SSH from {aws.name} to {there}": partial(connection, site, aws, there, 22, 3),
        f"SSH from {gcp.name} to {here}": partial(connection, site, gcp, here, 22, 3),
    }
    for way, seen in zip(looks, together(*looks.values()), strict=True):
        yield equal(way, SILENCE, seen)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "00-open-a-port",
        f"each bastion lets port {PORT} in from the other cloud's network, and from nowhere else",
        _port,
    ),
    Exercise(
        "00-drift",
        "the plan has one thing to do in each cloud: to put a tag or label of the bastion right, in place",
        _drift,
    ),
    Exercise(
        "00-silent-tunnels",
        "all four tunnels are up, and nothing passes between the bastions",
        _silent,
    ),
)
