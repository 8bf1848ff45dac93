"""Ways to look around in a deployment that stands: commands to paste into a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from .access import Access
from .params import Params
from .resources import Host
from .site import open_site

DASHBOARD, CONSUL = 8080, 8500


def hosts_of(params: Params) -> tuple[Host, ...]:
    """The deployment's hosts as the clouds report them now."""
    return open_site(params).hosts()


def ways(params: Params, folder: Path) -> list[tuple[str, str]]:
    """(what one sees, the command) for a deployment after its test.

    Args:
        params: the deployment.
        folder: where the executed notebooks are.
    """
    hosts = hosts_of(params)
    found = [("the executed notebooks", f"ls {folder}")]
    with Access(params, hosts) as access:
        for balancer in [host for host in hosts if host.role == "traefik"]:
            found.append((f"the demo service through {balancer.name}", curl(params, balancer)))
        for host, port, what, via in _pages(hosts):
            where = f"{what} of {host.name}: run this, then open http://localhost:{port}/"
            found.append((where, access.command_line(host, port, via=via)))
    return found


def curl(params: Params, balancer: Host) -> str:
    """The command that asks a load balancer for the demo service, as if its name were mapped to it."""
    proxy = urlsplit(params.internet_proxy)
    way = f"--socks5-hostname {proxy.hostname}:{proxy.port} " if params.internet_proxy else ""
    return f"curl {way}-H 'Host: demo.{params.domain}' http://{balancer.public_ip}/"


def _pages(hosts: tuple[Host, ...]) -> Iterator[tuple[Host, int, str, Literal["host", "bastion"]]]:
    """Pages for a browser; Consul's is reached on its host, as it may listen on the loopback address alone."""
    for host in hosts:
        if host.name.endswith("-1") and host.role == "traefik":
            yield host, DASHBOARD, "the dashboard", "bastion"
    for host in hosts:
        if host.name.endswith("-1") and host.role == "consul":
            yield host, CONSUL, "Consul's page", "host"
