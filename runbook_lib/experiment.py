"""Something is broken while visitors keep coming: what they saw, how long it lasted, what was said meanwhile."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from . import consul_agent, traefik, visits, wait
from .checks import Check, Checks, at_least, equal, is_true
from .errors import AccessError
from .resources import Host
from .site import Site
from .together import each
from .visits import Answer, Watch

T = TypeVar("T")
# Seconds between two requests to the same load balancer, and after how many of silence a visitor gives up. There are so
# many visitors that the pace stays the same when each is kept waiting for ten seconds, as a proxy may do.
PACE, PATIENCE, VISITORS = 0.4, 4.0, 25
# So many last answers of each load balancer must be as expected before an experiment goes on.
ROUNDS = 6
# How long it is watched before the fault, and once all is whole again; in seconds.
BEFORE, AFTER = 2.0, 2.0
LOGS: Mapping[str, str] = {"consul": consul_agent.LOG, "traefik": traefik.LOG}

Looks = Callable[[], Iterable[Check]]
# Load balancer -> the names of the web servers that may answer through it; of none, if no answer is expected.
Expected = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Said:
    """Lines of one host's log that differ in numbers only.

    Args:
        host: whose log.
        program: ``consul`` or ``traefik``.
        text: the first of them, without its time.
        times: how many.
    """

    host: str
    program: str
    text: str
    times: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """What came of breaking something. Times are seconds since the epoch.

    Args:
        fault: what was broken.
        answers: every visitor's, in the order of asking.
        injected: when it was broken.
        settled: from when on visitors saw what they then saw for as long as the fault lasted; ``None`` if they never
            saw the same for long.
        steady: from when on the hosts were in the state that ``during`` tells of, too.
        mended: when a hand mended it; ``None`` where none was needed.
        hand: what that hand did.
        whole: from when on all was as before.
        during: what was seen while it lasted, or once it had healed by itself.
        after: what was seen once all was whole.
        spared: load balancers whose visitors should not notice.
        said: what the hosts' logs gained meanwhile, as far as it tells something.
    """

    fault: str
    answers: tuple[Answer, ...] = field(repr=False)
    injected: float
    settled: float | None
    steady: float
    mended: float | None
    hand: str
    whole: float
    during: Checks = field(repr=False)
    after: Checks = field(repr=False)
    spared: frozenset[str]
    said: tuple[Said, ...] = field(repr=False)

    @property
    def since(self) -> tuple[Answer, ...]:
        """Answers to what was asked from the fault on."""
        return tuple(answer for answer in self.answers if answer.at >= self.injected)

    @property
    def failed(self) -> Counter[str]:
        """How many requests failed from the fault on, by load balancer."""
        return Counter(answer.traefik for answer in self.since if not answer.ok)

    @property
    def row(self) -> dict[str, object]:
        """The experiment as one row of a table, every figure counted or measured."""
        after = None if self.mended is None else round(self.whole - self.mended, 1)
        return {
            "fault": self.fault,
            "requests sent": len(self.since),
            "failed": sum(self.failed.values()),
            "failed, by load balancer": dict(sorted(self.failed.items())),
            "visitors steady after (s)": None if self.settled is None else round(self.settled - self.injected, 1),
            "all steady after (s)": round(self.steady - self.injected, 1),
            "whole after mending (s)": after,
            "healed by": self.hand or "itself",
        }

    @property
    def checks(self) -> Iterator[Check]:
        """What the design promises: the seen states, and that nobody is hurt who should not be."""
        yield from self.during
        yield at_least("requests while it was watched", 4 * ROUNDS, len(self.since))
        lost = {name: count for name, count in self.failed.items() if name in self.spared}
        yield equal(f"failed requests through {', '.join(sorted(self.spared))}", 0, sum(lost.values()))
        yield is_true("what visitors saw became steady", self.settled is not None)
        late = [answer for answer in self.answers if answer.at >= self.whole and not answer.ok]
        yield equal("failed requests once all was whole", 0, len(late))
        yield from self.after if self.mended else ()


def run(
    site: Site,
    fault: str,
    inject: Callable[[], object],
    *,
    during: Looks,
    expected: Expected,
    spared: Iterable[str],
    whole: Looks,
    mend: Callable[[], object] | None = None,
    hand: str = "",
    seconds: float = 0,
) -> Experiment:
    """Break something while visitors ask, until all is whole again.

    It is mended whatever happens in between.

    Args:
        site: the deployment, with its test servers.
        fault: what is broken, in a reader's words.
        inject: breaks it.
        during: the state that the hosts are to reach with the fault; waited for.
        expected: what visitors see in that state.
        spared: load balancers whose visitors should not notice.
        whole: the state in which all is as before; waited for.
        mend: mends it; without one it has to heal by itself.
        hand: what ``mend`` does, in a reader's words.
        seconds: how long the fault lasts at least, where there is a hand to end it.

    Raises:
        WaitTimeout: a state is not reached, with what was seen instead.
    """
    params, hosts = site.params, site.access.hosts
    sizes = log_sizes(site, hosts)
    with Watch(params, hosts, interval=PACE, patience=PATIENCE, visitors=VISITORS) as watch:
        normal = rotation(site, hosts)
        _until_seen(site, watch, normal, time.time())
        time.sleep(BEFORE)
        mended, injected = None, time.time()
        try:
            inject()
            steady, seen = until(site, f"the state that is expected after: {fault}", during)
            _until_seen(site, watch, expected, steady)
            time.sleep(max(0.0, injected + seconds - time.time()))
        finally:
            if mend is not None:
                mended = time.time()
                mend()
        end, after = (steady, seen) if mend is None else until(site, f"all as before: {fault}", whole)
        _until_seen(site, watch, normal, end)
        time.sleep(AFTER)
    answers = watch.answers
    settled = since_when(answers, expected, injected, mended or time.time())
    back = since_when(answers, normal, mended or injected, time.time())
    return Experiment(
        fault,
        answers,
        injected,
        settled,
        max(steady, settled or steady),
        mended,
        hand if mend else "",
        max(end, back or end),
        seen,
        after,
        frozenset(spared),
        tuple(log_since(site, hosts, sizes)),
    )


def until(site: Site, what: str, looks: Looks, timeout: float | None = None) -> tuple[float, Checks]:
    """Wait until every look agrees; when the one began that did, and what it saw.

    Args:
        site: the deployment.
        what: the state that is waited for, in a reader's words.
        looks: takes every look once.
        timeout: seconds; ``params.timeout`` by default.

    Raises:
        WaitTimeout: they do not, with those that differ.
    """

    def look() -> tuple[float, Checks]:
        return time.time(), Checks(looks())

    return wait.until(
        look,
        lambda seen: not seen[1].failed,
        what=what,
        timeout=site.params.timeout if timeout is None else timeout,
        describe=lambda seen: "; ".join(map(str, seen[1].failed)),
        remedy="look at the hosts' logs; running the cell again begins with mending",
        tolerate=(AccessError,),
    )


def rotation(site: Site, hosts: Iterable[Host], without: Iterable[Host] = ()) -> dict[str, frozenset[str]]:
    """What visitors see when each load balancer leads to every web server of its cloud but some."""
    every, left = tuple(hosts), {host.name for host in without}
    return {
        balancer.name: frozenset(
            visits.server_name(site.params, web)
            for web in every
            if (web.role, web.cloud) == ("web", balancer.cloud) and web.name not in left
        )
        for balancer in every
        if balancer.role == "traefik"
    }


# ---- pure ----------------------------------------------------------------------------------------------------


def accords(answer: Answer, expected: Expected) -> bool:
    """Whether a visitor saw what is expected of that load balancer: one of its servers, or no answer at all."""
    servers = expected.get(answer.traefik, frozenset())
    return answer.server in servers if servers else not answer.ok


def since_when(answers: Iterable[Answer], expected: Expected, begin: float, end: float) -> float | None:
    """From when on, within a span, every answer was as expected; ``None`` if some load balancer's last was not.

    Requests that were still waiting at its end are left out: what becomes of them is decided later.
    """
    within = (answer for answer in answers if begin <= answer.at and answer.at + answer.seconds <= end)
    span = sorted(within, key=lambda answer: answer.at)
    wrong = [answer.at for answer in span if not accords(answer, expected)]
    if not wrong:
        return begin
    right = [answer for answer in span if answer.at > wrong[-1]]
    # Those who ask at the same pace must all have been seen since.
    return right[0].at if {answer.traefik for answer in span} <= {answer.traefik for answer in right} else None


_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TIME = re.compile(r"^\s*\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)\s+")
_TELLING = re.compile(
    r"\[(?:WARN|ERROR)\]|\b(?:WRN|ERR)\b|[Nn]ew leader elected|cluster leadership|election won|entering candidate"
    r"|EventMember(?:Failed|Leave)"
)
# What an agent says whenever it starts, and what is of the size of a page.
_NOISE = re.compile(r"bootstrap_expect|Refuting an? |aliasHeadersStrategy")
_WIDTH = 200


def telling(host: str, program: str, log: str) -> Iterator[Said]:
    """What a log says of trouble, elections and members; lines that differ in numbers only are counted as one."""
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for line in _ANSI.sub("", log).splitlines():
        if _TELLING.search(line) and not _NOISE.search(line):
            text = _TIME.sub("", line).strip()[:_WIDTH]
            kind = re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", text)
            first.setdefault(kind, text)
            count[kind] += 1
    return (Said(host, program, text, count[kind]) for kind, text in first.items())


# ---- underneath ----------------------------------------------------------------------------------------------


def log_sizes(site: Site, hosts: Iterable[Host]) -> dict[tuple[str, str], int]:
    """The size of each log now, in bytes, by host and program; of those that are there."""

    def one(host: Host) -> dict[tuple[str, str], int]:
        command = "; ".join(f"echo {name} $(stat -c %s {file} 2>/dev/null)" for name, file in LOGS.items())
        rows = (line.split() for line in site.access.run(host, command).stdout.splitlines())
        return {(host.name, row[0]): int(row[1]) for row in rows if len(row) == 2}

    return {key: size for part in _each(one, hosts) for key, size in part.items()}


def log_since(site: Site, hosts: Iterable[Host], sizes: Mapping[tuple[str, str], int]) -> Iterator[Said]:
    """What the logs gained since they had these sizes, as far as it tells something."""

    def one(host: Host) -> list[Said]:
        return [
            said
            for name, file in LOGS.items()
            if (host.name, name) in sizes
            for said in telling(
                host.name, name, site.access.run(host, f"tail -c +{sizes[host.name, name] + 1} {file}").stdout
            )
        ]

    return (said for part in _each(one, hosts) for said in part)


def _each(work: Callable[[Host], T], hosts: Iterable[Host]) -> tuple[T, ...]:
    return each(work, (host for host in hosts if host.role != "bastion"))


def _until_seen(site: Site, watch: Watch, expected: Expected, since: float) -> None:
    """Wait until the last answers of each load balancer are as expected."""

    def last() -> dict[str, list[Answer]]:
        every = watch.since(since)
        return {name: [answer for answer in every if answer.traefik == name][-ROUNDS:] for name in expected}

    wait.until(
        last,
        lambda seen: all(
            len(given) == ROUNDS and all(accords(answer, expected) for answer in given) for given in seen.values()
        ),
        what="visitors to see "
        + "; ".join(f"{name}: {', '.join(sorted(s)) or 'nobody'}" for name, s in expected.items()),
        timeout=site.params.timeout,
        describe=lambda seen: {name: sorted({a.server or a.text for a in given}) for name, given in seen.items()},
        remedy="is everything up? runbook run 04 puts it right",
    )
