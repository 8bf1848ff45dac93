"""Exercises of 04_test: a service more, and three ways in which a web server can be out of service and not dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import visits
from ..checks import Check, contains, equal, is_true
from ..resources import CLOUDS, CloudName, Host
from ..site import Site
from ..states import SERVICE
from ..together import each
from . import Exercise
from .looking import standing
from .serving import instances, routes, servers, visit

NAME = "shop"
CLOUD: CloudName = "gcp"
SECONDS = 3.0  # of silence after which a connection from host to host counts as not let through


def _second_service(site: Site) -> Iterator[Check]:
    asked = [(cloud, name) for cloud in CLOUDS for name in (SERVICE, NAME)]
    found = dict(zip(asked, each(lambda one: instances(site, *one), asked), strict=True))
    passing = {one: [instance.node for instance in every if instance.passing] for one, every in found.items()}
    for cloud in CLOUDS:
        webs = [host.name for host in standing(site, "web", cloud)]
        yield equal(f"{cloud}: {SERVICE}, passing as before", webs, passing[cloud, SERVICE])
        yield is_true(f"{cloud}: {NAME}, passing", passing[cloud, NAME], "a web server")
    if any(passing[cloud, NAME] for cloud in CLOUDS):
        domain = f"{NAME}.{site.params.domain}"
        balancers = [host for cloud in CLOUDS for host in standing(site, "traefik", cloud)]
        for host, rules in zip(balancers, each(lambda host: routes(site, host), balancers), strict=True):
            yield contains(f"{host.name}: route", f"Host(`{domain}`)", rules)
        replies = each(lambda host: visit(site, host, NAME), balancers)
        for host, reply in zip(balancers, replies, strict=True):
            yield Check(f"{host.name}: {domain}", "200 and a page", str(reply), reply.status == 200)


def _maintenance(site: Site) -> Iterator[Check]:
    every = instances(site, CLOUD, SERVICE)
    resting = [one.node for one in every if one.in_maintenance]
    yield equal(f"web servers of {CLOUD} in maintenance", 1, len(resting))
    failing = [one.node for one in every if {*one.own.values()} != {"passing"}]
    yield equal(f"web servers of {CLOUD} whose own check fails", [], failing)
    yield from _left_alone(site, resting)


def _broken_check(site: Site) -> Iterator[Check]:
    every = instances(site, CLOUD, SERVICE)
    yield equal(f"web servers of {CLOUD} in maintenance", [], [one.node for one in every if one.in_maintenance])
    failing = [one.node for one in every if "critical" in one.own.values()]
    yield equal(f"web servers of {CLOUD} whose own check is critical", 1, len(failing))
    yield from _left_alone(site, failing)


def _closed_port(site: Site) -> Iterator[Check]:
    webs, balancers = standing(site, "web", CLOUD), standing(site, "traefik", CLOUD)
    passing = [one.node for one in instances(site, CLOUD, SERVICE) if one.passing]
    yield equal(f"{SERVICE} in {CLOUD}, passing", [host.name for host in webs], passing)
    reached = each(lambda host: _reached(site, host, webs), balancers)
    for host, names in zip(balancers, reached, strict=True):
        yield equal(f"{host.name}: reaches on port 80", [], names)
    if not any(reached):
        pages = each(lambda host: _page(site, host), webs)
        yield equal("web servers that serve their page", [host.name for host in webs], _where(webs, pages))
        public = each(lambda host: visits.answers(site.params, host, 80), balancers)
        wanted = [host.name for host in balancers]
        yield equal("load balancers that the public reaches", wanted, _where(balancers, public))


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "04-tag", f"a second service, {NAME}, is answered through every load balancer of both clouds", _second_service
    ),
    Exercise(
        "04-maintenance", "a web server of GCP rests in maintenance mode, and visitors go to the others", _maintenance
    ),
    Exercise(
        "04-check", "a web server of GCP serves its page, and no visitor comes, as its check is wrong", _broken_check
    ),
    Exercise("04-port", "GCP's load balancers reach no web server, and no check of Consul's notices it", _closed_port),
)


# ---- underneath ------------------------------------------------------------------------------------------


def _left_alone(site: Site, names: list[str]) -> Iterator[Check]:
    """A web server that serves its page and to which no load balancer leads, while the others go on."""
    webs, balancers = standing(site, "web", CLOUD, least=2), standing(site, "traefik", CLOUD)
    serving = _where(webs, each(lambda host: _page(site, host), webs))
    yield equal("web servers that serve their page", [host.name for host in webs], serving)
    if not names:
        return
    wanted = [f"http://{host.private_ip}:80" for host in webs if host.name not in names]
    yield is_true("web servers left to the visitors", wanted, "at least one")
    for host, urls in zip(balancers, each(lambda host: servers(site, host, SERVICE), balancers), strict=True):
        yield equal(f"{host.name}: leads to", wanted, urls)


def _page(site: Site, host: Host) -> bool:
    """Whether a web server's page is served on the host itself, whatever anybody's check says."""
    said = site.access.run(host, "curl -s --max-time 1 http://127.0.0.1/", check=False).stdout
    return bool(visits.served_by(said))


def _where(wanted: tuple[Host, ...], so: Iterable[bool]) -> list[str]:
    return [host.name for host, yes in zip(wanted, so, strict=True) if yes]


def _reached(site: Site, host: Host, webs: tuple[Host, ...]) -> list[str]:
    """The web servers to which a new connection from a host opens."""
    tries = " & ".join(
        f"(timeout {SECONDS} bash -c 'exec 3<>/dev/tcp/{web.private_ip}/80' 2>/dev/null && echo {web.name})"
        for web in webs
    )
    return sorted(site.access.run(host, f"{tries} & wait", check=False).stdout.split())
