"""People who ask for the demo by its name while its infrastructure is being changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from runbook_lib import visits
from runbook_lib.params import Params
from runbook_lib.resources import Host

# What a browser takes as a reason to try the name's next address: nobody there who answers at all.
NOBODY = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.ReadError, httpx.RemoteProtocolError)


@dataclass(frozen=True)
class Visit:
    """One request for the name.

    Args:
        server: the web server that answered, empty if none did.
        tried: each address, and what became of it.
    """

    server: str
    tried: tuple[str, ...]


class Visitors:
    """Ask for a name all the while (a context manager), each request at one of the name's addresses in turn.

    The name's record is health-checked, as DNS services offer it: the load balancers that the clouds list and that
    last answered the check. Where an address takes no connection or drops it, the next is tried; any answer counts. A
    load balancer that is just ending may hold a late visitor for ten seconds (its grace time) before it lets go.

    Args:
        params: domain and way to public addresses.
        hosts: lists the load balancers there are.
        domains: all names that lead to the demo, when it is just moving from one to another.
    """

    def __init__(self, params: Params, hosts: Callable[[], Sequence[Host]], domains: Sequence[str] = ()) -> None:
        self._params, self._hosts = params, hosts
        self._domains = domains or (params.domain,)
        self._stop = threading.Event()
        self._healthy: list[tuple[str, str]] = []
        self._checked = threading.Event()
        self.visits: list[Visit] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._check, self._visit, self._visit)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        assert self._checked.wait(60), "no load balancer answers to begin with"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def failed(self) -> list[Visit]:
        """Requests that no web server answered."""
        return [visit for visit in self.visits if not visit.server]

    def _check(self) -> None:
        with self._client() as client:
            while not self._stop.wait(0.3):
                found = [
                    (str(host.public_ip), domain)
                    for host in self._hosts()
                    for domain in self._domains
                    if host.public_ip and self._ask(client, str(host.public_ip), domain)[0]
                ]
                self._healthy = found or self._healthy
                if found:
                    self._checked.set()

    def _visit(self) -> None:
        turn = 0
        self._checked.wait(60)
        with self._client() as client:
            while not self._stop.wait(0.05):
                turn += 1
                tried: list[str] = []
                healthy = self._healthy
                server = ""
                for place in range(len(healthy)):
                    address, domain = healthy[(turn + place) % len(healthy)]
                    server, said, answered = self._ask(client, address, domain)
                    tried.append(f"{address}: {said}")
                    if answered:
                        break
                self.visits.append(Visit(server, tuple(tried)))

    def _client(self) -> httpx.Client:
        none = httpx.Limits(max_keepalive_connections=0)
        proxy = self._params.internet_proxy or None
        return httpx.Client(proxy=proxy, trust_env=False, timeout=httpx.Timeout(30, connect=2), limits=none)

    def _ask(self, client: httpx.Client, address: str, domain: str) -> tuple[str, str, bool]:
        """The server that answered, what was said, and whether anything was."""
        at = time.strftime("%H:%M:%S")
        try:
            reply = client.get(f"http://{address}/", headers={"Host": f"demo.{domain}"})
        except NOBODY as error:
            return "", f"{at} {type(error).__name__} {error}", False
        except httpx.HTTPError as error:
            return "", f"{at} {type(error).__name__} {error}", True
        server = visits.served_by(reply.text) if reply.status_code == 200 else ""
        return server, f"{at} {reply.status_code} {reply.text[:60]!r}", True
