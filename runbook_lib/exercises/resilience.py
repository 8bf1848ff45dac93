"""Exercises of 06_resilience: faults that the learner makes, and that last until the learner mends them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import consul, consul_agent
from ..checks import Check, equal, is_true
from ..errors import AccessError
from ..resources import CloudName, Host
from ..site import Site
from ..states import SERVICE
from ..together import each
from . import Exercise
from .looking import standing
from .serving import servers, visit

# The notebook breaks GCP's servers; what is left to the learner is the other datacenter.
CLOUD: CloudName = "aws"


@dataclass(frozen=True, slots=True)
class Server:
    """One of Consul's servers, as its host tells.

    Args:
        host: which.
        up: whether its agent runs.
        leader: whom it names as leader; empty if nobody, or if it is down.
        won: when it last became leader, as its log has it; empty if never.
        last: the time of its log's last line.
    """

    host: Host
    up: bool
    leader: str
    won: str
    last: str


def _election(site: Site) -> Iterator[Check]:
    every = each(lambda host: _server(site, host), standing(site, "consul", CLOUD, least=3))
    up, down = [one for one in every if one.up], [one for one in every if not one.up]
    yield equal("servers whose agent is down", 1, len(down))
    leaders = {one.leader for one in up}
    led = [one for one in up if one.host.private_ip in leaders]
    yield equal("the others name one leader, who is among them", 1, len(led) if len(leaders) == 1 else 0)
    if len(down) == len(led) == 1:
        lost, now = down[0], led[0]
        others = [one.won for one in every if one is not now]
        yield equal("who led before, by the servers' logs", lost.host.name, _who_won(every, max(others)))
        after = bool(lost.last) and now.won > lost.last
        yield Check("when the leader of now was elected", f"after {lost.last}", now.won, after)


def _quorum(site: Site) -> Iterator[Check]:
    every = each(lambda host: _server(site, host), standing(site, "consul", CLOUD, least=3))
    up = [one for one in every if one.up]
    down = [one.host.name for one in every if not one.up]
    few = len(up) * 2 <= len(every)
    yield Check("servers whose agent is down", "so many that the others are no majority", down, few)
    yield is_true("servers whose agent runs", [one.host.name for one in up], "at least one")
    yield equal("leaders that they name", [], sorted({one.leader for one in up if one.leader}))
    if len(up) == len(every):
        return
    webs = [host.name for host in standing(site, "web", CLOUD)]
    for one in up[:1]:
        known = consul.catalog(site.access, one.host, SERVICE, stale=True)
        yield equal(f"{one.host.name}: {SERVICE}, asked with stale", webs, [instance.node for instance in known])
    balancers = standing(site, "traefik", CLOUD)
    for host, reply in zip(balancers, each(lambda host: visit(site, host, SERVICE), balancers), strict=True):
        yield Check(f"{host.name}: {SERVICE}, for a visitor", "200 and a page", str(reply), reply.status == 200)


def _blind(site: Site) -> Iterator[Check]:
    balancers = standing(site, "traefik", CLOUD, least=2)
    standing(site, "web", CLOUD, least=2)
    agents = each(lambda host: _runs(site, host, "consul"), balancers)
    blind = [host for host, up in zip(balancers, agents, strict=True) if not up]
    seeing = [host for host in balancers if host not in blind]
    yield equal("load balancers whose agent is down", 1, len(blind))
    yield is_true("load balancers whose agent runs", [host.name for host in seeing], "at least one")
    if len(blind) == 1 and seeing:
        old, new = each(lambda host: servers(site, host, SERVICE), [blind[0], seeing[0]])
        reply = visit(site, blind[0], SERVICE)
        yield Check(f"{blind[0].name}: {SERVICE}, for a visitor", "200 and a page", str(reply), reply.status == 200)
        yield is_true(f"{seeing[0].name}: leads to", new, "some web server")
        gone = [url for url in old if url not in new]
        yield is_true(f"{blind[0].name}: leads, besides, to", gone, f"one that {seeing[0].name} has given up")


EXERCISES: tuple[Exercise, ...] = (
    Exercise("06-election", "AWS's leader is down, and another server was elected in its place", _election),
    Exercise("06-quorum", "AWS's datacenter has no leader, and visitors are served as ever", _quorum),
    Exercise("06-blind", "a load balancer of AWS leads to a web server that its neighbour has given up since", _blind),
)


# ---- pure ------------------------------------------------------------------------------------------------


# Lists a program's processes, but for those that have ended and whose parent has not asked yet how: their state is Z.
_RUNNING = "ps -C {} -o stat= | grep -v Z"
# A line's time as Consul's agents log it, without its zone: hosts of both clouds keep UTC.
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+"


def _last_time(log: str) -> str:
    """The latest time that lines of a log begin with; empty if none does."""
    return max(re.findall(rf"^\s*({_TIME})", log, re.MULTILINE), default="")


def _who_won(every: Sequence[Server], moment: str) -> str:
    return next((one.host.name for one in every if moment and one.won == moment), "nobody")


# ---- underneath ------------------------------------------------------------------------------------------


def _runs(site: Site, host: Host, program: str) -> bool:
    return site.access.run(host, _RUNNING.format(program), check=False).exit_status == 0


def _server(site: Site, host: Host) -> Server:
    log = consul_agent.LOG
    won = f"grep 'cluster leadership acquired' {log} | tail -n 1"
    command = f"{_RUNNING.format('consul')}; echo --; {won}; echo --; tail -n 20 {log}"
    up, elected, end = site.access.run(host, command).stdout.split("--\n", 2)
    leader = _leader(site, host) if up.strip() else ""
    return Server(host, bool(up.strip()), leader, _last_time(elected), _last_time(end))


def _leader(site: Site, host: Host) -> str:
    try:
        return consul.leader(site.access, host).rpartition(":")[0]
    except AccessError:  # it is on its way up or down
        return ""
