"""Traefik as the public sees it: requests to public addresses, one by one or all the while."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
from python_socks import ProxyError, ProxyTimeoutError
from python_socks.sync import Proxy

from . import wait
from .access import Access
from .params import Params
from .resources import Host
from .together import each

PAGE = re.compile(r"welcome to webserver : (\S+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request to a public address.

    Args:
        traefik: name of the load balancer that was asked.
        status: HTTP status, or 0 when there was no answer.
        server: the web server that the page names, or empty.
        seconds: from asking to the whole answer.
        at: when it was asked, in seconds since the epoch.
        text: beginning of the page, or why there was no answer.
    """

    traefik: str
    status: int
    server: str
    seconds: float
    at: float
    text: str

    @property
    def ok(self) -> bool:
        """Whether a web server answered."""
        return self.status == 200 and bool(self.server)


def answers(params: Params, host: Host, port: int, *, timeout: float = 3) -> bool:
    """Whether a port of the host's public address takes connections from the internet.

    Args:
        params: for the way to public addresses.
        host: one with a public address.
        port: TCP port.
        timeout: seconds of silence that count as no.
    """
    address = str(host.public_ip)
    try:
        if params.internet_proxy:
            # "socks5h", by which HTTP clients know it, means that the proxy resolves names, as it does here.
            proxy = Proxy.from_url(params.internet_proxy.replace("socks5h:", "socks5:"), rdns=True)
            connection = proxy.connect(address, port, timeout=timeout)
        else:
            connection = socket.create_connection((address, port), timeout=timeout)
    except (OSError, ProxyError, ProxyTimeoutError):
        return False
    connection.close()
    return True


def ask(params: Params, host: Host, name: str = "demo", *, times: int = 1, port: int = 80) -> tuple[Answer, ...]:
    """Request a service from a Traefik's public address, as if its name were mapped there.

    Args:
        params: for the domain and the way to public addresses.
        host: the load balancer.
        name: the service; the request is for ``<name>.<params.domain>``.
        times: how many requests, one after the other.
        port: where the load balancer listens.
    """
    with _public(params, 10) as client:
        return tuple(_request(params, client, host, name, port) for _ in range(times))


def ask_all(params: Params, hosts: Iterable[Host], name: str = "demo", *, patience: float = 10) -> tuple[Answer, ...]:
    """Request a service once from each load balancer among the hosts, from all at the same time.

    Args:
        params: for the domain and the way to public addresses.
        hosts: of which the load balancers are asked.
        name: the service.
        patience: seconds of silence after which a visitor gives up.
    """
    balancers = [host for host in hosts if host.role == "traefik"]
    with _public(params, patience) as client:
        return each(lambda host: _request(params, client, host, name, 80), balancers)


def until_all_answer(
    params: Params,
    hosts: Iterable[Host],
    name: str = "demo",
    *,
    timeout: float | None = None,
    port: int = 80,
) -> tuple[Answer, ...]:
    """Ask each Traefik among the hosts until every web server of its cloud has answered through it.

    Args:
        params: for the domain and the way to public addresses.
        hosts: load balancers and web servers (others are ignored).
        name: the service.
        timeout: seconds; ``params.timeout`` by default.
        port: where the load balancers listen.

    Returns:
        Every answer, those before all servers were in rotation included.

    Raises:
        WaitTimeout: naming a Traefik, with the servers that did answer.
    """
    every = tuple(hosts)

    def one(host: Host) -> tuple[Answer, ...]:
        wanted = {server_name(params, web) for web in every if web.role == "web" and web.cloud == host.cloud}
        given: list[Answer] = []
        with _public(params, 10) as client:
            wait.until(
                lambda: given.append(_request(params, client, host, name, port)),
                lambda _: wanted <= {answer.server for answer in given if answer.ok},
                what=f"{', '.join(sorted(wanted))} behind {host.name}",
                timeout=params.timeout if timeout is None else timeout,
                interval=0.1,
                describe=lambda _: sorted({a.server or f"{a.status} {a.text}" for a in given[-20:]}),
                remedy="is the service registered with a passing check, and tagged traefik.tags=exposed?",
            )
        return tuple(given)

    balancers = [host for host in every if host.role == "traefik"]
    return tuple(answer for part in each(one, balancers) for answer in part)


class Watch:
    """Asks every Traefik again and again in the background while something is stopped and started.

    Use as a context manager; the answers so far may be read at any time.

    Args:
        params: for the domain and the way to public addresses.
        hosts: of which the load balancers are asked.
        name: the service.
        interval: seconds between two requests to the same load balancer.
        limit: requests to each after which it stops by itself.
        port: where the load balancers listen.
        patience: seconds of silence after which a visitor gives up.
        visitors: how many ask each load balancer in turn. With one, a request that hangs holds up the next; with as
            many as the patience has intervals, requests keep coming at the same pace whatever becomes of them.
    """

    def __init__(
        self,
        params: Params,
        hosts: Iterable[Host],
        name: str = "demo",
        *,
        interval: float = 0.1,
        limit: int = 6000,
        port: int = 80,
        patience: float = 10,
        visitors: int = 1,
    ) -> None:
        self._params, self._name, self._port, self._patience = params, name, port, patience
        self._interval, self._limit, self._visitors = interval, limit, visitors
        self._client = _public(params, patience)  # one for all: making it costs more than asking
        self._given: list[Answer] = []
        self._stop = threading.Event()
        self._balancers = [host for host in hosts if host.role == "traefik"]
        self._threads = [
            threading.Thread(target=self._ask, args=(host, turn), daemon=True)
            for host in self._balancers
            for turn in range(visitors)
        ]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer so far, in the order of asking."""
        return tuple(sorted(self._given, key=lambda answer: answer.at))

    def since(self, moment: float) -> tuple[Answer, ...]:
        """Answers to what was asked at a moment (seconds since the epoch) or later."""
        return tuple(answer for answer in self.answers if answer.at >= moment)

    def failures(self, since: float = 0) -> tuple[Answer, ...]:
        """Requests, asked since a moment, that no web server answered."""
        return tuple(answer for answer in self.since(since) if not answer.ok)

    def until_only(self, hosts: Iterable[Host], *, rounds: int = 10, timeout: float | None = None) -> float:
        """Return once each Traefik's answers from now on come from these web servers of its cloud, and from each.

        Args:
            hosts: the web servers that should be in rotation.
            rounds: how many last answers of each Traefik must agree.
            timeout: seconds; ``params.timeout`` by default.

        Returns:
            When the agreeing answers began, in seconds since the epoch.

        Raises:
            WaitTimeout: with the servers last seen.
        """
        begun, webs = time.time(), tuple(hosts)
        wanted = {
            balancer.name: {server_name(self._params, web) for web in webs if web.cloud == balancer.cloud}
            for balancer in self._balancers
        }

        def last() -> dict[str, list[Answer]]:
            every = self.since(begun)
            return {name: [answer for answer in every if answer.traefik == name][-rounds:] for name in wanted}

        def agreed(seen: dict[str, list[Answer]]) -> bool:
            return all(
                len(given) == rounds
                and {answer.server for answer in given if answer.ok} == wanted[name]
                # Where no web server is in rotation, no answer is the right one.
                and all(answer.ok is bool(wanted[name]) for answer in given)
                for name, given in seen.items()
            )

        seen = wait.until(
            last,
            agreed,
            what="only the wanted web servers in rotation: "
            + "; ".join(f"{name}: {', '.join(sorted(servers))}" for name, servers in wanted.items()),
            timeout=self._params.timeout if timeout is None else timeout,
            describe=lambda by: {name: sorted({a.server or a.text for a in given}) for name, given in by.items()},
            remedy="look at the service's checks in Consul and at Traefik's list of servers",
        )
        return max(given[0].at for given in seen.values())

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if kind is None or issubclass(kind, Exception):  # an interrupted cell does not wait for what hangs
            for thread in self._threads:
                thread.join(self._patience + 5)
            self._client.close()

    def _ask(self, host: Host, turn: int) -> None:
        pause = turn * self._interval
        for _ in range(turn, self._limit, self._visitors):
            if self._stop.wait(pause):
                return
            self._given.append(answer := _request(self._params, self._client, host, self._name, self._port))
            # One visitor rests between two requests; several take turns, each keeping to its own.
            taken = answer.seconds if self._visitors > 1 else 0.0
            pause = max(0.0, self._interval * self._visitors - taken)


@dataclass(frozen=True, slots=True)
class Outage:
    """What visitors saw while one web server was stopped and started again. Times are seconds since the epoch.

    Args:
        server: the name its page gives.
        answers: every answer, in the order of asking.
        stopped: when it was stopped.
        left: from when on no load balancer led to it.
        started: when it was started.
        returned: from when on every load balancer led to it again.
        alone: whether its cloud has no other web server, so that nobody answered while it was away.
    """

    server: str
    answers: tuple[Answer, ...]
    stopped: float
    left: float
    started: float
    returned: float
    alone: bool = False

    def between(self, begin: float, end: float = float("inf")) -> tuple[Answer, ...]:
        """Answers to what was asked in a span of time."""
        return tuple(answer for answer in self.answers if begin <= answer.at < end)

    def failed(self, begin: float, end: float = float("inf")) -> int:
        """How many requests of a span no web server answered."""
        return sum(not answer.ok for answer in self.between(begin, end))

    def count(self, begin: float, end: float = float("inf"), *, server: str) -> int:
        """How many requests of a span a web server answered."""
        return sum(answer.server == server for answer in self.between(begin, end))


def outage(access: Access, host: Host, *, unit: str = "demo-web", after: float = 1.0) -> Outage:
    """Stop a web server, watch it leave every load balancer of its cloud, start it, watch it return.

    The server is started again whatever happens in between.

    Args:
        access: the way to the hosts.
        host: the web server.
        unit: its systemd service.
        after: seconds of watching once it has returned.

    Raises:
        WaitTimeout: it does not leave or return.
    """
    same = [h for h in access.hosts if h.cloud == host.cloud]
    webs = [h for h in same if h.role == "web"]
    with Watch(access.params, same) as watch:
        watch.until_only(webs)
        stopped = time.time()
        access.run(host, f"systemctl stop {unit}")
        try:
            left = watch.until_only([web for web in webs if web != host])
        finally:
            started = time.time()
            access.run(host, f"systemctl start {unit}")
        returned = watch.until_only(webs)
        time.sleep(after)
    name = server_name(access.params, host)
    return Outage(name, watch.answers, stopped, left, started, returned, alone=len(webs) == 1)


def served_by(body: str) -> str:
    """The host name in ``welcome to webserver : NAME``, without its domain; empty when the page is another."""
    found = PAGE.search(body)
    return found.group(1).partition(".")[0] if found else ""


def server_name(params: Params, host: Host) -> str:
    """The name that a host's own page gives it: on GCP the instance's, on AWS the one made of its address."""
    if host.cloud == "aws":
        return f"ip-{host.private_ip.replace('.', '-')}"
    return f"{params.deployment}-{host.name}"


def _public(params: Params, timeout: float) -> httpx.Client:
    # A connection for each request, as a row of separate visitors would make. The shell's own proxy settings
    # must not lead elsewhere.
    return httpx.Client(
        proxy=params.internet_proxy or None,
        trust_env=False,
        timeout=timeout,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def _request(params: Params, client: httpx.Client, host: Host, name: str, port: int) -> Answer:
    at, started = time.time(), time.monotonic()
    try:
        reply = client.get(f"http://{host.public_ip}:{port}/", headers={"Host": f"{name}.{params.domain}"})
        status, text = reply.status_code, reply.text
    except (httpx.HTTPError, OSError) as error:
        status, text = 0, f"{type(error).__name__}: {error}"
    server = served_by(text) if status == 200 else ""
    return Answer(host.name, status, server, time.monotonic() - started, at, text.strip()[:200])
