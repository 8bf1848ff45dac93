"""What is there at this moment: both clouds are asked, Consul's servers and Traefik's dashboards, all at once.

A picture is also for looking at what is broken, so nothing here raises because something does not answer, and nobody
is waited for long: what was not told is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from .. import consul, traefik
from ..access import Access
from ..consul import Member
from ..consul_agent import agent
from ..errors import RunbookError
from ..provision import hosts_of
from ..resources import CLOUDS, CloudName, Found, Host
from ..site import Site

# Seconds for all that are asked together. A healthy lab or cloud takes less than one; on a busy machine connections
# take several to open, and what is only slow must not look broken.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Said:
    """What one Consul server says.

    Args:
        server: its host's name.
        leader: address of the datacenter's leader; empty while there is none.
        lan: the members of its datacenter's pool.
        wan: the servers of all datacenters that it knows.
        services: for each service but Consul's own, the state of its instance on each node.
        problem: why it said nothing.
    """

    server: str
    leader: str = ""
    lan: tuple[Member, ...] = ()
    wan: tuple[Member, ...] = ()
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """What one Traefik routes: the name of each service with how many servers are behind it; or why it is not known."""

    routes: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Now:
    """Everything asked at one moment.

    Args:
        found: what exists in both clouds.
        hosts: the instances among that.
        said: what each Consul server says, by cloud.
        balancers: what each Traefik routes, by host's name.
        datacenters: Consul's name for each cloud's datacenter.
    """

    found: Mapping[str, Found]
    hosts: tuple[Host, ...]
    datacenters: Mapping[CloudName, str]
    said: Mapping[CloudName, tuple[Said, ...]] = field(default_factory=dict)
    balancers: Mapping[str, Balancer] = field(default_factory=dict)

    def of(self, cloud: CloudName) -> list[Host]:
        """A cloud's hosts."""
        return [host for host in self.hosts if host.cloud == cloud]

    def view(self, cloud: CloudName) -> Said | None:
        """What a datacenter's servers say of it: the leader's word if it answers, else that of whoever does."""
        answers = [self._standing(said) for said in self.said.get(cloud, ()) if not said.problem]
        address = {host.name: host.private_ip for host in self.hosts}
        led = [said for said in answers if said.leader.rpartition(":")[0] == address[said.server] != ""]
        return next(iter([*led, *(said for said in answers if said.leader), *answers]), None)

    def _standing(self, said: Said) -> Said:
        """Without members that left in good order and whose hosts are gone: Consul remembers them for three days."""
        names = {host.name for host in self.hosts}

        def stays(member: Member) -> bool:
            return member.status != "left" or member.name.partition(".")[0] in names

        return replace(said, lan=tuple(filter(stays, said.lan)), wan=tuple(filter(stays, said.wan)))

    def leader(self, cloud: CloudName) -> str:
        """The name of the host that leads a datacenter; empty if nobody says so."""
        view = self.view(cloud)
        address = view.leader.rpartition(":")[0] if view else ""
        return next((host.name for host in self.of(cloud) if address and host.private_ip == address), "")

    def state(self, host: Host) -> str:
        """What Consul says of a host's agent: a member's state, ``no answer``, ``no member``; empty if unknown."""
        if host.role == "bastion" or not is_up(host):
            return ""
        view = self.view(host.cloud)
        member = next((m for m in view.lan if m.name == host.name), None) if view else None
        if view and (member is None or member.status != "alive"):
            return member.status if member else "no member"
        # A server that was stopped a moment ago is alive to the others until they miss it.
        silent = {said.server for said in self.said.get(host.cloud, ()) if said.problem}
        return "no answer" if host.name in silent else member.status if member else ""

    def problem(self, cloud: CloudName) -> str:
        """Why Consul tells nothing of a datacenter; empty if it does."""
        if self.view(cloud):
            return ""
        servers = [host for host in self.of(cloud) if host.role == "consul"]
        if not servers:
            return "Consul: no servers yet"
        told = next((said.problem for said in self.said.get(cloud, ()) if said.problem), "its servers do not run")
        return f"Consul cannot be asked: {told}"


def is_up(host: Host) -> bool:
    """Whether a host's cloud calls it running; an existing one of another's making is taken for it."""
    return host.state.lower() in ("running", "existing")


def look(site: Site, *, balancers: bool = True) -> Now:
    """Ask both clouds, then every Consul server and Traefik that runs, at the same time.

    Args:
        site: the deployment.
        balancers: whether Traefik is asked, too.

    Raises:
        CloudError: a cloud does not answer.
    """
    found = site.found()
    hosts = hosts_of(site.topology, found)
    now = Now(found, hosts, {cloud: site.datacenter(cloud) for cloud in CLOUDS})
    servers = [host for host in hosts if host.role == "consul" and is_up(host)]
    proxies = [host for host in hosts if host.role == "traefik" and is_up(host)] if balancers else []
    if not servers and not proxies:
        return now  # nobody to ask, so no way to them is opened
    # A host may have been replaced since the last cell, and is at another address now.
    access = site.access
    access.hosts = hosts
    told = _all([*((_ask, access, host) for host in servers), *((_routes, access, host) for host in proxies)])
    words = {
        host.name: answer if isinstance(answer, Said) else Said(host.name, problem=str(answer))
        for host, answer in zip(servers, told, strict=False)
    }
    routed = {
        host.name: answer if isinstance(answer, Balancer) else Balancer(problem=str(answer))
        for host, answer in zip(proxies, told[len(servers) :], strict=True)
    }
    said = {cloud: tuple(words[host.name] for host in servers if host.cloud == cloud) for cloud in CLOUDS}
    return Now(found, hosts, now.datacenters, said, routed)


def _ask(access: Access, host: Host) -> Said:
    lan, wan = consul.members(access, host), consul.members(access, host, wan=True)
    with agent(access, host) as there:
        leader = str(there.status.leader() or "")
        # Without a leader there is no catalogue; a server waits for one for seconds before it says so.
        names = [name for name in there.catalog.services()[1] if name != "consul"] if leader else []
        services = {name: _states(there.health.service(name)[1]) for name in sorted(names)}
    return Said(host.name, leader, lan, wan, services)


def _routes(access: Access, host: Host) -> Balancer:
    known = [one for one in traefik.services(access, host) if one.provider == "consulcatalog"]
    return Balancer({one.name.partition("@")[0]: len(one.servers) for one in known})


def _states(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {one["Node"]["Node"]: consul.worst(check["Status"] for check in one["Checks"]) for one in entries}


def _all(questions: Iterable[tuple[Callable[[Access, Host], Any], Access, Host]]) -> list[Any]:
    """The answers in the questions' order; where there is none in time, a word why."""
    asked = list(questions)
    pool = ThreadPoolExecutor(len(asked), thread_name_prefix="runbook-picture")
    futures = [pool.submit(work, access, host) for work, access, host in asked]
    wait(futures, PATIENCE)
    # Whoever does not answer is left to the connection's own time limit.
    pool.shutdown(wait=False, cancel_futures=True)
    return [_outcome(one) for one in futures]


def _outcome(future: Future[Any]) -> Any:
    if not future.done():
        return f"no answer within {PATIENCE:g} s"
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, RunbookError):
        return error.message
    raise error
