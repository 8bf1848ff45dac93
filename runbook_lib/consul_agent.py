"""The way to a Consul agent: its HTTP API at the end of an SSH tunnel, and what may go wrong on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import consul as api

from . import wait
from .access import Access
from .credentials import Token
from .errors import AccessError
from .resources import Host

T = TypeVar("T")
PORT = 8500
ANEW = 10.0  # seconds for a server to open a new connection to one that was restarted
LOG = "/var/log/consul/consul.log"


class BrokenStream(AccessError):
    """A server asked another one over a connection that a restart had ended; for the next question it opens one."""


def is_broken_stream(message: str) -> bool:
    """Whether Consul's words for a failed question mean that, and not a refusal or a way that is not there."""
    return "rpc error" in message and message.rstrip().endswith(("stream closed", "EOF"))


def across(look: Callable[[], T], host: Host, dc: str | None) -> T:
    """An answer of another datacenter, whose servers may have been restarted since they were last asked."""
    if dc is None:
        return look()
    what = f"an answer of {dc} by way of {host.name}"
    return wait.until(look, lambda answer: True, what=what, timeout=ANEW, tolerate=(BrokenStream,))


@contextmanager
def agent(access: Access, host: Host, token: Token | None = None) -> Iterator[Any]:
    """Consul's HTTP API on a host, as python-consul2's client.

    Args:
        access: the way to the host.
        host: whose agent.
        token: which of Consul's tokens to show; the operator's by default, none at the article's level.

    Raises:
        AccessError: the agent does not answer, or refuses.
    """
    if token is None and access.credentials is not None:
        token = access.credentials.tokens[host.datacenter]["operator"]
    with access.forward(host, PORT) as way:
        try:
            client = api.Consul()
            # Its constructor lets CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN of the operator's shell win, and
            # requests would take a proxy from there; none of them concerns this tunnel.
            client.token = token.secret if token else None
            client.http = client.http_connect(way.host, way.port, "http", timeout=10)
            client.http.session.trust_env = False
            try:
                yield client
            finally:
                client.http.session.close()
        except (api.ConsulException, OSError, ValueError) as error:
            kind = BrokenStream if is_broken_stream(str(error)) else AccessError
            raise kind(
                f"Consul's agent on {host.name} does not answer as it should",
                resource=f"{host.name}, port {PORT}",
                expected="an answer of Consul's HTTP API",
                seen=f"{type(error).__name__}: {error}",
                remedy=f"on {host.name}: systemctl status consul; tail {LOG}",
            ) from None
