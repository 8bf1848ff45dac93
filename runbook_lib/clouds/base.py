"""What both cloud modules offer, and the pure parts that they share.

A cloud module is found at ``runbook_lib.clouds.<cloud>`` and has ``connect(params) -> CloudApi``. It imports its SDK
inside functions only, because the SDKs are slow to import and a plan or a test may need neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from ..resources import CloudName, Found, Resource
from ..together import each

T = TypeVar("T")


class Secret(str):
    """Text that prints as stars; only an API call sees what it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)


@dataclass(frozen=True, slots=True)
class Image:
    """What new instances boot.

    Args:
        wanted: as the parameters name it.
        name: the newest image that this means.
        id: the cloud's identifier of that one.
    """

    wanted: str
    name: str
    id: str


@dataclass(frozen=True, slots=True)
class Posted:
    """The lock of a deployment as it stands.

    Args:
        id: the cloud's identifier, another one each time that the lock is put up.
        facts: what its holder wrote on it.
    """

    id: str
    facts: Mapping[str, str]


class Lock(Protocol):
    """Where the lock of a deployment is put up: at most one at a time, whoever tries at the same moment.

    Every method raises ``CloudError`` when the cloud refuses or fails.
    """

    name: str

    def look(self) -> Posted | None:
        """The lock as it stands; ``None`` if there is none, or none that is known everywhere yet."""

    def post(self, public_key: str, facts: Mapping[str, str]) -> str | None:
        """Put it up and return its id; ``None`` if it is up already.

        Args:
            public_key: the operator's, one line as in ``authorized_keys``.
            facts: what is written on it.
        """

    def renew(self, id: str, facts: Mapping[str, str]) -> bool:
        """Write facts on it; ``False`` if it is not there any more. Asks once only."""

    def remove(self, id: str) -> None:
        """Take it down. One that was taken down already is no error, and its successor stays."""


class CloudApi(Protocol):
    """One cloud, seen as a place where resources of one deployment are found, made and destroyed.

    Every method may be called from several threads. Every one raises ``CloudError`` with the resource, the cloud's own
    message and a remedy when the cloud refuses or fails, and ``WaitTimeout`` when something takes longer than
    ``Params.timeout``.

    What a ``Found`` holds:

    * ``key``: what the wanted ``Resource`` would have. If two things answer to one key, ``unique`` renames the later.
    * ``attributes``: ``id``, and what specs refer to: ``self_link`` of every GCP thing, ``name``, ``address_N`` of
      gateways' interfaces and VPN connections' tunnels, ``key_N`` (a ``Secret``).
      Of AWS's route tables and of GCP's router peering ``learned``, the networks known by BGP; of the latter also
      ``sessions``, peer name -> BGP state.
      Of an instance also ``name``, ``role``, ``zone``, ``private_ip``, ``public_ip`` (or ``None``), ``state``.
      ``ready`` is ``False`` while it is still being made, ``running`` is ``False`` while an instance is stopped;
      absent means ``True``. ``marked`` is ``False`` if it has lost tags by which it is known as ours.
    * ``spec``: the fields of the wanted spec as the cloud reports them. A field that the cloud does not report (or that
      must not be read, like a key) is left out, and is not compared; one that is unset is there as ``None``, empty
      or ``False``.
    """

    name: CloudName

    def check(self) -> None:
        """Make sure that credentials, region, zones, project, machine type and image exist; change nothing.

        Raises:
            ParameterError: something that a parameter names does not exist.
            PrerequisiteError: credentials are missing or refused.
        """

    def image(self) -> Image:
        """The image that new instances boot. What instances booted is not compared: a newer one replaces none.

        Raises:
            ParameterError: there is none.
        """

    def inventory(self) -> dict[str, Found]:
        """Everything of the deployment that exists, by key, in few calls."""

    def instances(self) -> dict[str, Found]:
        """The deployment's instances alone, by key, in a call or two."""

    def create(self, resource: Resource, spec: Mapping[str, Any]) -> Found:
        """Make a resource, named and tagged from its first moment; return as soon as dependants can be made.

        Args:
            resource: what is wanted.
            spec: ``resource.spec`` with every ``Ref`` resolved.
        """

    def update(self, resource: Resource, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        """Bring the named fields of an existing resource in line with ``spec``, in place.

        ``changes`` holds names of top-level fields that ``CHANGEABLE`` lists, or ``running``: start the instance, or
        ``marked``: give it its tags back.
        """

    def wait(self, found: Found) -> Found:
        """Return once a resource that exists does its work (``ready``); at once for most kinds."""

    def destroy(self, found: Found) -> None:
        """Remove a resource and return once it is gone; one that is gone already is no error."""

    def console_output(self, host_id: str) -> str:
        """What an instance has written to its console since it booted."""

    def guard(self, proceed: Callable[[], None] | None) -> None:
        """From now on ask before each call that changes something: what ``proceed`` raises, the call's caller gets.

        Args:
            proceed: whom to ask; ``None`` for nobody any more.
        """


@dataclass(frozen=True, slots=True)
class Clouds:
    """Both clouds of a deployment.

    Args:
        aws: AWS.
        gcp: GCP.
        lock: where operators keep each other out; ``None`` where there is only one.
    """

    aws: CloudApi
    gcp: CloudApi
    lock: Lock | None = None

    def __getitem__(self, name: CloudName) -> CloudApi:
        return self.aws if name == "aws" else self.gcp

    def both(self, ask: Callable[[CloudApi], T]) -> tuple[T, T]:
        """Ask both clouds the same, at the same time; the answers are (AWS's, GCP's)."""
        aws, gcp = each(ask, (self.aws, self.gcp))
        return aws, gcp

    @contextmanager
    def guarded(self, proceed: Callable[[], None]) -> Iterator[None]:
        """Ask before each call that changes something, as long as the block lasts."""
        try:
            self.both(lambda cloud: cloud.guard(proceed))
            yield
        finally:
            self.both(lambda cloud: cloud.guard(None))

    def inventory(self) -> dict[str, Found]:
        """Everything of the deployment that exists in either cloud, by key."""
        aws, gcp = self.both(lambda cloud: cloud.inventory())
        return {**aws, **gcp}


# Fields that can be changed in place, by "cloud:kind"; a difference in any other means destroying and creating anew.
CHANGEABLE: Mapping[str, frozenset[str]] = {
    "aws:vpc": frozenset({"dns_support", "dns_hostnames"}),
    "aws:internet_gateway": frozenset({"vpc"}),
    "aws:vpn_gateway": frozenset({"vpc"}),
    "aws:route_table": frozenset({"subnets", "routes", "propagating"}),
    "aws:security_group_rules": frozenset({"ingress"}),
    "aws:iam_role": frozenset({"actions"}),
    "aws:instance_profile": frozenset({"role"}),
    "aws:instance": frozenset({"groups", "tags"}),
    "gcp:router": frozenset({"bgp", "description"}),
    "gcp:router_peering": frozenset({"interfaces", "bgp_peers"}),
    "gcp:firewall": frozenset({"priority", "target_tags", "source_tags", "source_ranges", "allowed", "description"}),
    "gcp:instance": frozenset({"tags", "labels"}),
}


def differences(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the fields in which ``seen`` is not what is wanted.

    Fields that ``seen`` does not have are not compared, but a tag or label that it lacks is a difference. URLs are the
    same when the shorter is the end of the longer; the order of lists does not matter.
    """
    return tuple(name for name, value in wanted.items() if name in seen and not _same(value, seen[name], name))


def _same(wanted: Any, seen: Any, name: str = "") -> bool:
    if isinstance(wanted, Mapping):
        whole = name not in ("tags", "labels") or (isinstance(seen, Mapping) and wanted.keys() <= seen.keys())
        return whole and isinstance(seen, Mapping) and not differences(wanted, seen)
    if isinstance(wanted, (list, tuple)):
        if not isinstance(seen, (list, tuple)) or len(wanted) != len(seen):
            return False
        left = list(seen)
        for item in wanted:
            match = next((i for i, other in enumerate(left) if _same(item, other)), None)
            if match is None:
                return False
            del left[match]
        return True
    if isinstance(wanted, str) and isinstance(seen, str):
        short, long = sorted((wanted, seen), key=len)
        return wanted == seen or ("projects/" in long and long.endswith("/" + short))
    return bool(wanted == seen)


def unique(things: Iterable[Found]) -> dict[str, Found]:
    """By key; the second thing of a key gets ``#<id>`` behind its own, and so counts as not wanted."""
    known: dict[str, Found] = {}
    for thing in things:
        key = thing.key if thing.key not in known else f"{thing.key}#{thing.id}"
        known[key] = replace(thing, key=key)
    return known
