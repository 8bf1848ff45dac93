"""Exercises of 03_traefik: a page of the learner's own, before there is any web server."""

from __future__ import annotations

from collections.abc import Iterator

from .. import visits
from ..checks import Check, contains, equal, is_true
from ..resources import CloudName, Host
from ..site import Site
from ..together import each
from . import Exercise
from .looking import SILENCE, connection, standing
from .serving import TAG, instances, routes, visit

CLOUD: CloudName = "gcp"
NAME, PORT, PATH = "hello", 8081, "/hello"
SECONDS = 4.0  # of silence after which a port counts as closed to the public


def _published(site: Site) -> Iterator[Check]:
    known, own = _registered(site)
    yield from own
    if known:
        every = standing(site, "traefik", CLOUD)
        for host, rules in zip(every, each(lambda host: routes(site, host), every), strict=True):
            yield contains(f"{host.name}: route", f"Host(`{NAME}.{site.params.domain}`)", rules)
        yield from (_answers(site, host, NAME, "/") for host in known)


def _by_path(site: Site) -> Iterator[Check]:
    known, own = _registered(site)
    yield from own
    if known:
        for host in known:
            yield _answers(site, host, "nobody", PATH)
            yield equal(f"{host.name}: nobody.{site.params.domain}/", 404, visit(site, host, "nobody", "/").status)


def _open_to_the_other(site: Site) -> Iterator[Check]:
    known, own = _registered(site)
    yield from own
    if not known:
        return
    every = standing(site, "traefik", CLOUD, least=2)
    others = [host for host in every if host not in known]
    yield equal("load balancers with the page", 1, len(known))
    yield is_true("load balancers without it", [host.name for host in others], "at least one")
    answers = [_answers(site, host, NAME, "/") for host in every]
    yield from answers
    if all(check.ok for check in answers):  # a closed port answers with silence, which takes its time
        outside = each(lambda host: visits.answers(site.params, host, PORT, timeout=SECONDS), every)
        opened = [host.name for host, answer in zip(every, outside, strict=True) if answer]
        yield equal(f"port {PORT} open to the public", [], opened)
        bastion = standing(site, "bastion", CLOUD)[0]
        seen = connection(site, bastion, known[0].private_ip, PORT, SECONDS)
        yield equal(f"port {PORT} of {known[0].name}, asked by {bastion.name}", SILENCE, seen)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "03-publish",
        f"a page of yours, the service {NAME} on one of GCP's load balancers, is published by its tag",
        _published,
    ),
    Exercise("03-path", f"the same page is found at {PATH} under any host name, and nothing else is", _by_path),
    Exercise(
        "03-open",
        "the other load balancer reaches your page, too, and the public does not but through them",
        _open_to_the_other,
    ),
)


# ---- underneath ------------------------------------------------------------------------------------------


def _registered(site: Site) -> tuple[list[Host], list[Check]]:
    """The load balancers that have the page, tagged and with checks that pass; and how far that is."""
    every = instances(site, CLOUD, NAME)
    tagged = {one.node for one in every if one.passing and TAG in one.tags}
    known = [host for host in standing(site, "traefik", CLOUD) if host.name in tagged]
    checks = [
        is_true(f"{NAME} in Consul, on a load balancer", [one.node for one in every], "one of GCP's"),
        is_true("of those, checks pass", [one.node for one in every if one.passing], "yes"),
        is_true("of those, tagged for Traefik", [host.name for host in known], "yes"),
    ]
    return known, checks


def _answers(site: Site, host: Host, name: str, path: str) -> Check:
    """Whether a visitor gets a page through a load balancer."""
    reply = visit(site, host, name, path)
    return Check(f"{host.name}: {name}.{site.params.domain}{path}", "200 and a page", str(reply), reply.status == 200)
