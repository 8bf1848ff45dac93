"""Consul's page and Traefik's dashboard in a browser: the tunnel, the link, and the ``ssh -L`` that does the same.

The tunnel's end is a port of the machine that the kernel runs on, for its own users alone (127.0.0.1). It stays open
until ``close``, ``site.close()`` or the kernel's end. Where nobody looks on it is closed again once the page has
answered: whoever runs a notebook unattended wants no open port left behind.
"""

from __future__ import annotations

import html
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import httpx

from . import consul_agent, markup, onlooker, traefik
from .access import Access, Forward
from .credentials import DASHBOARD_USER
from .errors import AccessError
from .jupyter import hub, remote
from .resources import Host
from .site import Site

PATIENCE = 10.0  # seconds for a page to answer


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of page.

    Args:
        title: what it is called.
        port: where the host listens.
        path: of the page.
        via: Consul's HTTP API listens on its own host's loopback address, the dashboard for the bastion.
    """

    title: str
    port: int
    path: str
    via: Literal["host", "bastion"]


CONSUL = _Kind("Consul's page", consul_agent.PORT, "/ui/", "host")
DASHBOARD = _Kind("Traefik's dashboard", traefik.DASHBOARD, "/dashboard/", "bastion")


@dataclass(frozen=True, slots=True)
class Page:
    """A page that can be opened.

    Args:
        title: which page, of which host.
        url: where it is, seen from the machine of the kernel.
        notes: whom to log in as, until when it is open, and what else there is to know.
        command: opens the same tunnel in a terminal.
        open: whether the tunnel stands now.
    """

    title: str
    url: str
    notes: tuple[str, ...]
    command: str
    open: bool

    def __repr__(self) -> str:
        return "\n".join((f"{self.title}: {self.url}", *self.notes, f"{self._terminal} {self.command}"))

    def _repr_html_(self) -> str:
        address = html.escape(self.url)
        link = f"<a href='{address}' target='_blank' rel='noopener'>{address}</a>" if self.open else address
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{html.escape(self.title)}:</b> {link}</p><ul>{notes}</ul>"
            f"<p>{self._terminal}</p>{markup.pre(self.command)}"
        )

    @property
    def _terminal(self) -> str:
        """What the command is for: it takes the port that the tunnel has, and its key is on this machine."""
        return f"The same tunnel, from a terminal on this machine{', once this one is closed' if self.open else ''}:"


def consul_ui(site: Site, name: str) -> Page:
    """Open a tunnel to Consul's page on a host; the same host again has the same tunnel.

    Args:
        site: the deployment.
        name: the host, for example ``server-gcp-consul-1``.

    Raises:
        ParameterError: there is no such host.
        AccessError: the host is not reached, or the page does not answer.
    """
    notes = (
        "Nodes and services are shown to everybody. To log in (ACL, Log in) paste the operator's token, which"
        " runbook secret consul-token.operator shows, with the -f and -p options of your run, if it has any.",
    )
    return _open(site, CONSUL, site.host(name), notes if site.access.credentials else ())


def dashboard(site: Site, name: str) -> Page:
    """Open a tunnel to Traefik's dashboard on a host; the same host again has the same tunnel.

    Args:
        site: the deployment.
        name: the host, for example ``server-gcp-traefik-1``.

    Raises:
        ParameterError: there is no such host.
        AccessError: the bastion is not reached, or the page does not answer.
    """
    notes = (
        f"Log in as {DASHBOARD_USER}; runbook secret dashboard-password shows the password, with the -f and -p options"
        " of your run, if it has any.",
    )
    return _open(site, DASHBOARD, site.host(name), notes if site.access.credentials else ())


def close(site: Site) -> tuple[str, ...]:
    """Close the tunnels that stand open; the addresses that lead nowhere now.

    Args:
        site: the deployment.
    """
    doors = site.access.doors
    closed = tuple(door.url for door in doors.values())
    for door in doors.values():
        door.close()
    doors.clear()
    return closed


# ---- underneath ------------------------------------------------------------------------------------------------


def _open(site: Site, kind: _Kind, host: Host, login: tuple[str, ...]) -> Page:
    access = site.access
    title = f"{kind.title} on {host.name}"
    if not onlooker.present():
        with access.forward(host, kind.port, via=kind.via) as way:
            _require_answer(way, kind, host)
        command = access.command_line(host, kind.port, via=kind.via)
        closed = "It answered, and the tunnel was closed again, as nobody looks on. The command below opens it."
        return Page(title, f"http://{way.host}:{kind.port}{kind.path}", (*login, closed), command, open=False)
    door = _door(access, kind, host)
    _require_answer(door, kind, host)
    notes = [*login, "Open until rb.browse.close(site), site.close(), or the end of the kernel."]
    if door.port != kind.port:
        notes.append(f"Port {kind.port} of this machine is taken, so it is {door.port} here.")
    notes += elsewhere(door.port, os.environ, socket.gethostname())
    command = access.command_line(host, kind.port, door.port, via=kind.via)
    return Page(title, f"{door.url}{kind.path}", tuple(notes), command, open=True)


def elsewhere(port: int, environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """What to do where the browser runs on another machine than the kernel. Pure.

    Args:
        port: the tunnel's end on the kernel's machine.
        environment: the kernel's variables.
        name: of the kernel's machine, where SSH tells no address.
    """
    hop = remote.tunnel(environment, port, name)
    if hub.is_here(environment):
        return (
            "The link leads to the machine that the hub runs this kernel on; your browser is on another. If you can log"
            f" in there: {hop}. If not, use the command below where the operator's key is.",
        )
    if environment.get(remote.SSH):
        return (f"If your browser is not on this machine, let it through first: {hop}",)
    return ()


def _door(access: Access, kind: _Kind, host: Host) -> Forward:
    """A tunnel that stays; on the port that it had before if the connection it went by has ended.

    It leads to one instance: one that has taken its name since has another id, and as a rule another address.
    """
    key = (host.name, kind.port)
    kept = access.doors.get(key)
    if kept and kept.to.id == host.id and _listens(kept.port):
        return kept
    if kept:
        kept.close()
    port = kept.port if kept else kind.port
    access.doors[key] = door = access.forward(host, kind.port, via=kind.via, local_port=port if _free(port) else 0)
    return door


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the tunnel's own listener does
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _require_answer(way: Forward, kind: _Kind, host: Host) -> None:
    try:
        httpx.get(f"{way.url}{kind.path}", trust_env=False, timeout=PATIENCE, follow_redirects=True)
    except httpx.HTTPError as error:
        raise AccessError(
            f"{kind.title} on {host.name} does not answer",
            resource=f"{host.name}, port {kind.port}",
            expected=f"an answer to {kind.path}",
            seen=f"{type(error).__name__}: {error}",
            remedy=f"on {host.name}: systemctl status consul traefik; ls /var/log/consul /var/log/traefik",
        ) from None
