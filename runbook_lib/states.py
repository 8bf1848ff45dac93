"""The states of a deployment that breaking it leads through, looked at where they happen, as checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import consul
from .checks import Check, equal, is_true
from .errors import AccessError, PrerequisiteError
from .resources import CLOUDS, CloudName, Host
from .site import Site
from .together import each

STEP, SERVICE = "06_resilience", "demo"
ROLES = ("bastion", "consul", "traefik", "web")


def standing(site: Site) -> tuple[Host, ...]:
    """All hosts, with the test servers among them.

    Raises:
        PrerequisiteError: they are not there.
    """
    hosts = site.access.hosts
    missing = [f"{role} of {cloud}" for cloud in CLOUDS for role in ROLES if not of(hosts, role, cloud)]
    if missing:
        raise PrerequisiteError(
            "04_test has not run, or not all that it made still stands",
            step=STEP,
            resource=", ".join(missing),
            expected="every host of steps 00 to 04",
            seen=", ".join(host.name for host in hosts) or "no host at all",
            remedy="run 00 to 04 first, with the parameter test: true; running them again does no harm",
        )
    return hosts


def whole(site: Site) -> Iterator[Check]:
    """Both datacenters with a leader, all agents alive, the service passing, and questions answered across."""
    hosts = standing(site)
    for checks in each(lambda cloud: tuple(_whole(site, hosts, cloud)), CLOUDS):
        yield from checks


def alone(site: Site, hosts: Iterable[Host], cloud: CloudName) -> Iterator[Check]:
    """A datacenter that goes on by itself while the other is out of reach."""
    server = of(hosts, "consul", cloud)[0]
    yield is_true(f"{cloud}: a leader", consul.leader(site.access, server))
    yield _passing(site, hosts, server)
    dc = site.datacenter(other(cloud))
    yield unanswered(site, server, f"{cloud}: {SERVICE} in {other(cloud)}, asked across", dc)


def wan(site: Site, hosts: Iterable[Host], cloud: CloudName) -> Check:
    """Every server is alive in the WAN pool, as one of a cloud sees it."""
    every = tuple(hosts)
    pool = consul.members(site.access, of(every, "consul", cloud)[0], wan=True)
    alive = {member.name for member in pool if member.status == "alive"}
    names = {f"{host.name}.{host.datacenter}" for host in every if host.role == "consul"}
    return equal(f"{cloud}: servers that the WAN pool misses", [], names - alive)


def unanswered(site: Site, server: Host, name: str, dc: str | None = None) -> Check:
    """A question to the catalogue that stays without an answer, as it must then."""
    try:
        known = consul.catalog(site.access, server, SERVICE, dc=dc)
    except AccessError as error:
        return Check(name, "no answer", str(error.seen), True)
    return Check(name, "no answer", ", ".join(instance.node for instance in known) or "an empty list", False)


def of(hosts: Iterable[Host], role: str, cloud: str) -> list[Host]:
    """Those of one role in one cloud."""
    return [host for host in hosts if (host.role, host.cloud) == (role, cloud)]


def other(cloud: CloudName) -> CloudName:
    """The other cloud."""
    return "gcp" if cloud == "aws" else "aws"


def _whole(site: Site, hosts: tuple[Host, ...], cloud: CloudName) -> Iterator[Check]:
    servers = of(hosts, "consul", cloud)
    leaders = {consul.leader(site.access, host) for host in servers}
    yield is_true(f"{cloud}: all servers name one leader", len(leaders) == 1 and all(leaders))
    alive = {member.name for member in consul.members(site.access, servers[0]) if member.status == "alive"}
    agents = {host.name for host in hosts if host.cloud == cloud and host.role != "bastion"}
    yield equal(f"{cloud}: agents that are not alive", [], agents - alive)
    yield _passing(site, hosts, servers[0])
    yield wan(site, hosts, cloud)
    far = consul.catalog(site.access, servers[0], SERVICE, dc=site.datacenter(other(cloud)))
    names = [host.name for host in of(hosts, "web", other(cloud))]
    yield equal(f"{cloud}: {SERVICE} in {other(cloud)}, asked across", names, [instance.node for instance in far])


def _passing(site: Site, hosts: Iterable[Host], server: Host) -> Check:
    passing = [i.node for i in consul.health(site.access, server, SERVICE) if i.status == "passing"]
    names = [host.name for host in of(hosts, "web", server.cloud)]
    return equal(f"{server.cloud}: {SERVICE}, passing", names, passing)
