"""Deeds that several solutions are made of."""

from __future__ import annotations

from typing import Any

from runbook_lib.clouds.gcp.api import Api
from runbook_lib.resources import CloudName, Host
from runbook_lib.site import Site


def mended(site: Site, step: str = "00_provision") -> None:
    """Let the runbook itself put right what was changed by hand."""
    site.apply(site.plan(step))


def server(site: Site, cloud: CloudName, number: int = 1) -> Host:
    """One of Consul's servers."""
    return site.host(f"server-{cloud}-consul-{number}")


def google(site: Site, resource: str, verb: str, **request: Any) -> None:
    """A change by one of Google's clients; returns once its operation has ended.

    Not by the operation's own ``result()``: that asks the public endpoint, whatever endpoint the client was given.
    """
    api = Api(site.params)
    api.change(f"gcp {resource}", getattr(api.client(f"{resource}Client"), f"{verb}_unary"), request)


def management(site: Site, host: Host, command: str) -> str:
    """A command on a server, with the management token as root reads it there; it is shown nowhere."""
    token = '$(sed -n \'s/.*"master": "\\(.*\\)".*/\\1/p\' /etc/consul/secrets.json)'
    return site.access.run(host, f"export CONSUL_HTTP_TOKEN={token}; {command}").stdout


def ask(site: Site, host: Host, verb: str, path: str, body: str = "") -> str:
    """A request of a server's API, with the management token."""
    data = f"--data '{body}'" if body else ""
    curl = f'curl -sS --fail -X {verb} -H "X-Consul-Token: $CONSUL_HTTP_TOKEN" {data} http://127.0.0.1:8500{path}'
    return management(site, host, curl)
