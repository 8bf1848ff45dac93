"""`runbook doctor -f`: whether a deployment can be made in its clouds, asked of them without changing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import terraform_state
from .clouds.survey import ADDRESSES, CPUS, Quota, Surveyor, surveyor
from .errors import RunbookError
from .params import Params
from .permissions import needed
from .resources import CLOUDS, CloudName, Found, Resource
from .topology import Topology, topology

# A key pair's content plays no part here, and the operator's key is not to be made by looking.
_NO_KEY = "ssh-ed25519 none"
_SHOWN = 6  # names that a cell lists


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check.

    Args:
        cloud: where.
        check: what was looked at.
        expected: what should be.
        seen: what is.
        ok: whether that will do.
        remedy: what to do; empty if nothing.
    """

    cloud: CloudName
    check: str
    expected: str
    seen: str
    ok: bool
    remedy: str = ""


def examine(params: Params) -> tuple[Finding, ...]:
    """Everything that can be told beforehand of a deployment in its clouds; one that fails does not stop the rest.

    Raises:
        ParameterError: the parameters themselves are wrong.
    """
    network = terraform_state.read(params.network_state) if params.network_state else None
    wanted = topology(params, public_key=_NO_KEY, network=network, script=lambda *_: "")
    clouds: tuple[CloudName, ...] = CLOUDS
    with ThreadPoolExecutor(len(clouds)) as pool:
        found = pool.map(lambda cloud: tuple(_of_cloud(params, wanted, cloud)), clouds)
        return tuple(finding for part in found for finding in part)


def _of_cloud(params: Params, wanted: Topology, cloud: CloudName) -> Iterator[Finding]:
    try:
        asked = surveyor(params, cloud)
        who = asked.identity()
    except RunbookError as error:
        yield _failed(cloud, "credentials", "credentials that the cloud accepts", error)
        return  # without them, every other answer would be the same
    yield Finding(cloud, "credentials", "credentials that the cloud accepts", who, True)
    checks: tuple[tuple[str, str, Callable[[Surveyor], Iterable[Finding]]], ...] = (
        ("parameters", "region, zones, sizes and images exist", _parameters),
        ("permissions", "all that `runbook permissions` lists", lambda it: [judge_permissions(cloud, _denied(it))]),
        ("quotas", "room for the deployment", lambda it: judge_quotas(cloud, it.quotas(), wanted, it.found())),
        ("names", "free, or the deployment's own", lambda it: [judge_names(cloud, _others(it, _of(wanted, cloud)))]),
    )
    for name, expected, look in checks:
        try:
            yield from look(asked)
        except RunbookError as error:
            yield _failed(cloud, name, expected, error)


def _parameters(asked: Surveyor) -> Iterator[Finding]:
    asked.check()
    yield Finding(asked.name, "parameters", "region, zones, sizes and images exist", "they do", True)


def _denied(asked: Surveyor) -> tuple[str, ...]:
    return asked.denied(needed(asked.name))


def _others(asked: Surveyor, wanted: list[Resource]) -> tuple[str, ...]:
    """Names that are taken, but by what is the deployment's own and only lost its tags."""
    own = asked.found()
    return tuple(key for key in asked.taken(wanted) if key not in own)


def _of(wanted: Topology, cloud: CloudName) -> list[Resource]:
    return [resource for resource in wanted.resources if resource.cloud == cloud]


# ---- judging: pure ---------------------------------------------------------------------------------------------


def judge_permissions(cloud: CloudName, denied: tuple[str, ...]) -> Finding:
    """Whether the credentials may do what the notebooks do, and what is done here."""
    every = len(needed(cloud))
    if not denied:
        return Finding(cloud, "permissions", f"all {every} that are needed", f"all {every}", True)
    form = "policy" if cloud == "aws" else "role"
    return Finding(
        cloud,
        "permissions",
        f"all {every} that are needed",
        f"{len(denied)} missing: {_listed(denied)}",
        False,
        f"allow them to the credentials; `runbook permissions --format {form}` prints all that is needed",
    )


def judge_quotas(
    cloud: CloudName, quotas: Iterable[Quota], wanted: Topology, found: Mapping[str, Found]
) -> Iterator[Finding]:
    """Whether what is still to be made fits into each quota."""
    missing = demand(wanted, cloud, found)
    for quota in quotas:
        needs = missing[quota.counts] * quota.each
        room = quota.limit - quota.used
        ok = not needs or needs <= room
        yield Finding(
            cloud,
            f"quota {quota.name}",
            f"room for {needs} more",
            f"{quota.used} of {quota.limit} used",
            ok,
            "" if ok else f"ask for {quota.used + needs}, remove what is not needed, or use another region",
        )


def demand(wanted: Topology, cloud: CloudName, found: Mapping[str, Found]) -> Counter[str]:
    """How many things of each kind are still to be made, and how many instances that take CPUs and addresses."""
    keys = {resource.key: resource for resource in _of(wanted, cloud) if resource.key not in found}
    counted = Counter(resource.kind for resource in keys.values())
    nodes = [node for node in wanted.nodes if node.key in keys]
    counted[CPUS] = len(nodes)
    counted[ADDRESSES] = sum(node.public for node in nodes)
    return counted


def judge_names(cloud: CloudName, taken: tuple[str, ...]) -> Finding:
    """Whether a name that is wanted is another's."""
    expected = "free, or the deployment's own"
    if not taken:
        return Finding(cloud, "names", expected, "they are", True)
    return Finding(
        cloud,
        "names",
        expected,
        f"others have: {_listed(taken)}",
        False,
        "choose another deployment name, or remove what has these",
    )


def _failed(cloud: CloudName, check: str, expected: str, error: RunbookError) -> Finding:
    seen = ": ".join(filter(None, (error.message, str(error.seen))))
    return Finding(cloud, check, expected, seen, False, error.remedy)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
