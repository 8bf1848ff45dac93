"""What Traefik says of itself: its dashboard's API, reached by way of the bastion as the article does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from . import events, wait
from .access import Access
from .credentials import DASHBOARD_USER
from .errors import AccessError
from .resources import Host
from .together import each

DASHBOARD = 8080
LOG = "/var/log/traefik/traefik.log"


@dataclass(frozen=True, slots=True)
class Router:
    """One rule by which Traefik picks a service for a request."""

    name: str
    rule: str
    service: str
    provider: str
    status: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service and the URLs of the servers behind it."""

    name: str
    provider: str
    status: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Traefik's own count of what it serves and of what is wrong with it."""

    version: str
    routers: int
    services: int
    warnings: int
    errors: int
    providers: tuple[str, ...]


def overview(access: Access, host: Host) -> Overview:
    """The first page of the dashboard."""
    with _dashboard(access, host) as client:
        about, http = _json(client, "/api/version"), _json(client, "/api/overview")
    events.emit(events.SERVICE, name="traefik", version=about["Version"])
    counts = http["http"]
    parts = [counts[part] for part in ("routers", "services", "middlewares")]
    return Overview(
        about["Version"],
        counts["routers"]["total"],
        counts["services"]["total"],
        sum(part["warnings"] for part in parts),
        sum(part["errors"] for part in parts),
        tuple(http.get("providers") or ()),
    )


def routers(access: Access, host: Host) -> tuple[Router, ...]:
    """Every HTTP router, Traefik's internal ones included."""
    with _dashboard(access, host) as client:
        found = _json(client, "/api/http/routers?per_page=1000")
    return tuple(Router(r["name"], r["rule"], r["service"], r["provider"], r["status"]) for r in found)


def services(access: Access, host: Host) -> tuple[Service, ...]:
    """Every HTTP service, Traefik's internal ones included."""
    with _dashboard(access, host) as client:
        found = _json(client, "/api/http/services?per_page=1000")
    return tuple(
        Service(
            s["name"],
            s["provider"],
            s["status"],
            tuple(sorted(server["url"] for server in s.get("loadBalancer", {}).get("servers") or ())),
        )
        for s in found
    )


def dashboard_status(access: Access, host: Host, *, password: bool = True) -> int:
    """The HTTP status of the dashboard's API, asked with or without its password."""
    with _dashboard(access, host, password=password) as client:
        return client.get("/api/overview").status_code


def until_up(access: Access, hosts: Iterable[Host], timeout: float | None = None) -> None:
    """Return once the dashboard of every host answers.

    Raises:
        WaitTimeout: naming the first that does not.
    """

    def one(host: Host) -> None:
        wait.until(
            lambda: overview(access, host).version,
            bool,
            what=f"Traefik at {host.name}",
            timeout=access.params.timeout if timeout is None else timeout,
            remedy=f"read {LOG} on {host.name}",
            tolerate=(AccessError,),
        )

    each(one, hosts)


@contextmanager
def _dashboard(access: Access, host: Host, *, password: bool = True) -> Iterator[httpx.Client]:
    held = access.credentials
    auth = httpx.BasicAuth(DASHBOARD_USER, held.dashboard_password) if held and password else None
    with access.forward(host, DASHBOARD, via="bastion") as there:
        try:
            with httpx.Client(base_url=there.url, auth=auth, trust_env=False, timeout=10) as client:
                yield client
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise AccessError(
                f"Traefik's dashboard on {host.name} does not answer as it should",
                resource=f"{host.name}, port {DASHBOARD}",
                expected="an answer of Traefik's API",
                seen=f"{type(error).__name__}: {error}",
                remedy=f"on {host.name}: systemctl status traefik; tail {LOG}",
            ) from None


def _json(client: httpx.Client, path: str) -> Any:
    return client.get(path).raise_for_status().json()
