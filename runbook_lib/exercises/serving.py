"""What several checkers look at: a service's instances with their checks, and what a visitor gets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import consul_agent, traefik
from ..resources import CloudName, Host
from ..site import Site
from .looking import standing

# Names of the checks that Consul's maintenance mode adds: to a node, and to a service by its identifier.
MAINTENANCE = ("_node_maintenance", "_service_maintenance:")
SERF = "serfHealth"  # the check that tells whether a node's agent is there
PATIENCE = 3  # seconds for one visitor; a Traefik that cannot reach a server would keep him for thirty
TAG = "traefik.tags=exposed"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service, with what each check says.

    Args:
        node: the host's name.
        tags: the service's tags there.
        checks: the checks of service and node, by identifier: ``passing``, ``warning`` or ``critical``.
    """

    node: str
    tags: tuple[str, ...]
    checks: Mapping[str, str]

    @property
    def passing(self) -> bool:
        """Whether every check passes."""
        return all(status == "passing" for status in self.checks.values())

    @property
    def in_maintenance(self) -> bool:
        """Whether somebody has put the service or its node into maintenance mode."""
        return any(name.startswith(MAINTENANCE) for name in self.checks)

    @property
    def own(self) -> Mapping[str, str]:
        """Its checks but for Consul's own: whether the node is there, and maintenance mode."""
        return {name: status for name, status in self.checks.items() if not name.startswith((SERF, *MAINTENANCE))}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a visitor got; status 0 is no answer within ``PATIENCE``."""

    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip() if self.status else "no answer"


def instances(site: Site, cloud: CloudName, service: str) -> list[Instance]:
    """Every instance of a service in a cloud's datacenter, as its first server has it.

    Raises:
        PrerequisiteError, AccessError: it has none, or it does not answer.
    """
    with consul_agent.agent(site.access, standing(site, "consul", cloud)[0]) as there:
        found: list[dict[str, Any]] = there.health.service(service)[1]
    return [
        Instance(
            entry["Node"]["Node"],
            tuple(entry["Service"]["Tags"] or ()),
            {check["CheckID"]: check["Status"] for check in entry["Checks"]},
        )
        for entry in sorted(found, key=lambda entry: str(entry["Node"]["Node"]))
    ]


def visit(site: Site, balancer: Host, name: str, path: str = "/") -> Reply:
    """Ask a load balancer's public address for a page of a host name, from GCP's bastion as the article does.

    Raises:
        PrerequisiteError, AccessError: there is no bastion, or no way to it.
    """
    domain = f"{name}.{site.params.domain}"
    address = f"{domain}:80:{balancer.public_ip}"
    url = shlex.quote(f"http://{domain}{path}")
    command = f"curl -sL --max-time {PATIENCE} --resolve {address} -w '\\n%{{http_code}}' {url}"
    said = site.access.run(standing(site, "bastion", "gcp")[0], command, check=False).stdout
    text, _, status = said.rpartition("\n")
    return Reply(int(status or 0), text.strip()[:80])


def routes(site: Site, balancer: Host) -> list[str]:
    """The rules by which a load balancer picks a service out of the catalogue; those of its own pages are left out.

    Raises:
        AccessError: its dashboard does not answer.
    """
    return [one.rule for one in traefik.routers(site.access, balancer) if one.provider == "consulcatalog"]


def servers(site: Site, balancer: Host, service: str) -> list[str]:
    """The addresses of the servers to which a load balancer leads a service's visitors.

    Raises:
        AccessError: its dashboard does not answer.
    """
    every = traefik.services(site.access, balancer)
    return [url for one in every if one.name == f"{service}@consulcatalog" for url in one.servers]
