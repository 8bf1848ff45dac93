"""The records that pass between deciding (topology) and acting (clouds, provision)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CloudName = Literal["aws", "gcp"]
CLOUDS: tuple[CloudName, ...] = ("aws", "gcp")
STEPS = ("00_provision", "01_bootstrap", "02_federate", "03_traefik", "04_test", "05_teardown")
# Notebooks that are no part of the walk: they run when they are named, before the teardown.
OPTIONAL = ("06_resilience",)


@dataclass(frozen=True, slots=True)
class Ref:
    """A value known only once another resource exists: one of its attributes.

    Args:
        key: the other resource's ``Resource.key``.
        attribute: which of its ``Found.attributes``; ``id`` is its identifier.
    """

    key: str
    attribute: str = "id"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing wanted in one cloud.

    Args:
        cloud: which cloud.
        kind: the cloud's own word for it, in snake case (``vpc``, ``vpn_tunnel``, ...).
        name: its full name, which carries the deployment.
        step: the notebook that creates it.
        spec: what it should be; values may be, or contain, ``Ref``.
        after: keys of resources that must exist first though ``spec`` does not mention them.
    """

    cloud: CloudName
    kind: str
    name: str
    step: str
    spec: Mapping[str, Any]
    after: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A deployment-wide identity, for example ``aws:subnet:demo-private-a``."""
        return f"{self.cloud}:{self.kind}:{self.name}"

    def needs(self) -> frozenset[str]:
        """Keys of every resource that must exist before this one."""
        return frozenset(self.after) | {ref.key for ref in refs(self.spec)}


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a cloud says exists.

    Args:
        key: the key that a ``Resource`` for it has or would have.
        id: the cloud's identifier.
        attributes: what other resources may refer to (always holds ``id``).
        spec: the same fields as the wanted spec, as the cloud reports them, for comparison.
    """

    key: str
    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """An instance as it stands in its cloud now.

    Args:
        name: the article's name for it, for example ``server-gcp-consul-1``.
        cloud: which cloud.
        role: ``bastion``, ``consul``, ``traefik`` or ``web``.
        zone: full zone name.
        datacenter: Consul's datacenter, which is the region.
        id: the cloud's identifier.
        private_ip: address in its subnet.
        public_ip: public address, or ``None``.
        state: the cloud's word for its state.
    """

    name: str
    cloud: CloudName
    role: str
    zone: str
    datacenter: str
    id: str
    private_ip: str
    public_ip: str | None
    state: str


def refs(value: Any) -> Iterator[Ref]:
    """Every ``Ref`` inside a nested value."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from refs(item)


def resolve(value: Any, found: Mapping[str, Found]) -> Any:
    """A copy of ``value`` with every ``Ref`` replaced by the attribute it names.

    Raises:
        KeyError: when a referenced resource or attribute is not in ``found``.
    """
    if isinstance(value, Ref):
        other = found[value.key]
        return other.id if value.attribute == "id" else other.attributes[value.attribute]
    if isinstance(value, Mapping):
        return {name: resolve(item, found) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, found) for item in value]
    return value
