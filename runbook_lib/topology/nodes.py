"""Which instances there should be: their names, places and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..params import Params
from ..resources import CloudName

Role = Literal["bastion", "consul", "traefik", "web"]

STEP_OF_ROLE: Mapping[str, str] = {
    "bastion": "00_provision",
    "consul": "01_bootstrap",
    "traefik": "03_traefik",
    "web": "04_test",
}
# The article calls its web servers "test"; the names follow it.
_WORD: Mapping[Role, str] = {"consul": "consul", "traefik": "traefik", "web": "test"}


@dataclass(frozen=True, slots=True)
class Node:
    """One wanted instance.

    Args:
        name: the article's name, for example ``server-gcp-consul-1``; bastions are ``bastion-aws`` and ``bastion-gcp``.
        cloud: which cloud.
        role: what it does.
        zone: full zone name.
        subnet: position of its subnet among the cloud's public or private ones (GCP has one of each).
        public: whether it stands in a public subnet, with a public address.
        key: the ``Resource.key`` of its instance.
    """

    name: str
    cloud: CloudName
    role: Role
    zone: str
    subnet: int
    public: bool
    key: str

    @property
    def step(self) -> str:
        """The notebook that creates it."""
        return STEP_OF_ROLE[self.role]


def nodes(params: Params, *, bastions: bool) -> tuple[Node, ...]:
    """Every instance wanted, AWS's first, in the order of the steps.

    Args:
        params: the deployment.
        bastions: whether the bastions are this deployment's own, rather than an existing network's.
    """
    return (*_of("aws", params, bastions), *_of("gcp", params, bastions))


def _of(cloud: CloudName, params: Params, bastions: bool) -> Iterator[Node]:
    zones = params.aws_zones if cloud == "aws" else params.gcp_zones

    def node(role: Role, name: str, place: int, public: bool) -> Node:
        return Node(
            name=name,
            cloud=cloud,
            role=role,
            zone=zones[place % len(zones)],
            subnet=place % len(zones) if cloud == "aws" else 0,
            public=public,
            key=f"{cloud}:instance:{params.deployment}-{name}",
        )

    if bastions:
        yield node("bastion", f"bastion-{cloud}", 0, public=True)
    # (role, how many, first zone, public): Traefik starts one zone further, as in the article.
    table: tuple[tuple[Role, int, int, bool], ...] = (
        ("consul", params.consul_servers, 0, False),
        ("traefik", params.traefiks, 1, True),
        ("web", params.web_servers if params.test else 0, 0, False),
    )
    for role, count, shift, public in table:
        for index in range(count):
            yield node(role, f"server-{cloud}-{_WORD[role]}-{index + 1}", index + shift, public)
