"""Solutions of the exercises of runbook_lib/exercises/traefik.py."""

from __future__ import annotations

from typing import Any

from google.cloud import compute_v1

from runbook_lib import sdk
from runbook_lib.exercises.looking import standing
from runbook_lib.exercises.traefik import CLOUD, NAME, PATH, PORT
from runbook_lib.resources import Host
from runbook_lib.site import Site
from tests.exercises.deeds import mended
from tests.exercises.own_service import TAG, define, done, take_back, token, undefine, until_gone, until_passing
from tests.exercises.solution import Solution

RULE = f"traefik.http.routers.{NAME}.rule"
UNIT = f"""[Unit]
Description=A page of one's own

[Service]
ExecStart=/usr/bin/python3 -m http.server {PORT} --directory /srv/{NAME}
"""


def balancers(site: Site) -> tuple[Host, ...]:
    return standing(site, "traefik", CLOUD)


def serve(site: Site, host: Host) -> None:
    """The page, at / and at its own path."""
    site.access.put(host, UNIT, f"/etc/systemd/system/{NAME}.service")
    folder = f"/srv/{NAME}{PATH}"
    page = f"mkdir -p {folder} && echo hello | tee {folder}/index.html >/srv/{NAME}/index.html"
    site.access.run(host, f"{page} && systemctl daemon-reload && systemctl start {NAME}")


def register(site: Site, *tags: str, **more: Any) -> None:
    define(site, balancers(site)[:1], NAME, PORT, tags=tags or (TAG,), secret=token(site, CLOUD, NAME), **more)


def put_back(site: Site) -> None:
    undefine(site, balancers(site), NAME)
    for host in balancers(site):
        files = f"/srv/{NAME} /etc/systemd/system/{NAME}.service"
        site.access.run(host, f"systemctl stop {NAME} 2>/dev/null; rm -rf {files}; systemctl daemon-reload")
    until_gone(site, CLOUD, NAME)  # the agent gives it up with the token that is taken back then
    take_back(site, CLOUD, NAME)


# ---- 03-publish ------------------------------------------------------------------------------------------


def published(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site)
    done(site, "03-publish")


def misspelt(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site, "traefik.tag=exposed")
    until_passing(site, CLOUD, NAME)


def without_a_page(site: Site) -> None:
    register(site)
    until_passing(site, CLOUD, NAME, 0)


# ---- 03-path ---------------------------------------------------------------------------------------------


def by_path(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site, TAG, f"{RULE}=PathPrefix(`{PATH}`)")
    done(site, "03-path")


def everything(site: Site) -> None:
    """A rule that takes every visitor who asks for no other service."""
    serve(site, balancers(site)[0])
    register(site, TAG, f"{RULE}=PathPrefix(`/`)")
    until_passing(site, CLOUD, NAME)


def with_the_name(site: Site) -> None:
    """The page is there, but under its own host name only."""
    serve(site, balancers(site)[0])
    register(site, TAG, f"{RULE}=Host(`{NAME}.{site.params.domain}`) && PathPrefix(`{PATH}`)")
    until_passing(site, CLOUD, NAME)


# ---- 03-open ---------------------------------------------------------------------------------------------


def firewall(site: Site, **sources: list[str]) -> None:
    """Let somebody reach the page's port on the load balancers."""
    client = sdk.gcp(site.params, "Firewalls")
    project, deployment = site.params.gcp_project, site.params.deployment
    rule = compute_v1.Firewall(
        name=f"{deployment}-{NAME}",
        network=f"projects/{project}/global/networks/{deployment}-network",
        description=f"deployment={deployment}",
        target_tags=["traefik"],
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=[str(PORT)])],
        **sources,
    )
    client.insert(project=project, firewall_resource=rule).result()


def opened(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site)
    firewall(site, source_tags=["traefik"])
    done(site, "03-open")


def to_everybody(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site)
    firewall(site, source_ranges=["0.0.0.0/0"])
    until_passing(site, CLOUD, NAME)


def from_every_host(site: Site) -> None:
    serve(site, balancers(site)[0])
    register(site)
    firewall(site, source_ranges=[site.params.gcp_public_subnet])
    until_passing(site, CLOUD, NAME)


def close(site: Site) -> None:
    put_back(site)
    mended(site)


SOLUTIONS: tuple[Solution, ...] = (
    Solution("03-publish", published, (misspelt, without_a_page), put_back),
    Solution("03-path", by_path, (everything, with_the_name), put_back),
    Solution("03-open", opened, (to_everybody, from_every_host), close),
)
