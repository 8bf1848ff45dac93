"""Exercises of 05_teardown: what is the deployment's, what is a neighbour's, and what holds on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from .. import sdk
from ..checks import Check, equal, is_true
from ..clouds.aws.account import errors
from ..clouds.aws.kind import tags_of
from ..clouds.gcp.api import Api
from ..resources import CLOUDS, Found
from ..site import Site
from . import Exercise
from .looking import LABEL, some, together


def _left_behind(site: Site) -> Iterator[Check]:
    wanted = site.topology.by_key
    doomed = [action.key for action in site.plan("05_teardown").work if action.key not in wanted]
    for cloud in CLOUDS:
        seen = [key.partition(":")[2] for key in doomed if key.startswith(f"{cloud}:")]
        name = f"{LABEL[cloud]}: in the teardown's plan, and made by no step"
        yield Check(name, "one thing", some(seen), len(seen) == 1)


def _neighbour(site: Site) -> Iterator[Check]:
    found, aws, gcp = together(site.found, partial(_vpcs, site), partial(_networks, site))
    ours = {thing.id for thing in found.values()}
    wanted = f"one or more, of a deployment called {site.params.deployment}-…"
    for cloud, networks in (("aws", aws), ("gcp", gcp)):
        yield Check(f"{LABEL[cloud]}: networks of neighbours", wanted, [*networks.values()], bool(networks))
        yield equal(f"{LABEL[cloud]}: of these, in the teardown's plan", [], networks.keys() & ours)


def _vpcs(site: Site) -> Mapping[str, str]:
    """AWS's VPCs of deployments whose names begin like this one's: id -> deployment."""
    with errors("aws vpcs"):
        every = sdk.aws(site.params).describe_vpcs()["Vpcs"]
    owners = {vpc["VpcId"]: tags_of(vpc).get("Deployment", "") for vpc in every}
    return {id: owner for id, owner in owners.items() if owner.startswith(f"{site.params.deployment}-")}


def _networks(site: Site) -> Mapping[str, str]:
    """The same of GCP's networks."""
    api = Api(site.params)
    every = api.call("gcp networks", lambda **asked: list(api.client("NetworksClient").list(**asked)), {})
    owners = {str(one.id): one.description.partition("deployment=")[2] for one in every}
    return {id: owner for id, owner in owners.items() if owner.startswith(f"{site.params.deployment}-")}


def _held(site: Site) -> Iterator[Check]:
    """What is left once a teardown went as far as it could: a network, as something of somebody else's stands in it."""
    found = site.found()
    subnets = {thing.id: key for key, thing in found.items() if key.startswith("aws:subnet:")}
    vpcs = [key for key in found if key.startswith("aws:vpc:")]
    others = found.keys() - {*subnets.values(), *vpcs}
    yield equal("both clouds: what else of the deployment is left, in resources", 0, len(others))
    yield equal("AWS: VPCs left", 1, len(vpcs))
    held = _held_subnets(site, found) if subnets and not others else set()
    yield is_true("AWS: subnets left", len(subnets), "one or more")
    yield equal("AWS: of these, with a foreign network interface in it", len(subnets) or 1, len(held))


def _held_subnets(site: Site, found: Mapping[str, Found]) -> set[str]:
    with errors("aws network interfaces"):
        every = sdk.aws(site.params).describe_network_interfaces()["NetworkInterfaces"]
    ids = {thing.id for thing in found.values()}
    owners = [(one["SubnetId"], tags_of({"Tags": one.get("TagSet", [])}).get("Deployment")) for one in every]
    return {subnet for subnet, owner in owners if owner != site.params.deployment and subnet in ids}


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "05-left-behind",
        "in each cloud stands one thing that no step made, and that the teardown's plan names all the same",
        _left_behind,
    ),
    Exercise(
        "05-neighbour",
        "in each cloud stands a network of another deployment, whose name begins with this one's, and no plan names it",
        _neighbour,
    ),
    Exercise(
        "05-held",
        "a network interface of somebody else's keeps a VPC and a subnet of the deployment from being removed",
        _held,
    ),
)
