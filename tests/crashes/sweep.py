"""The crash sweep: kill the operator's process around one call, let another go on, and look at both clouds.

A call is known by its action and its number among the calls of that action, in the order in which they arrive; the same
call again (a client that repeats it) is no new one. The order of all calls differs from run to run, as jobs run at the
same time, but how many there are of each action does not: so every call of an uninterrupted run has its kill in every
sweep. Which resource the n-th call of an action is for may differ from one sweep to the next.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import context
from pathlib import Path
from typing import Any, Literal, NamedTuple

from runbook_lib.lab.calls import Answer, Call, HangUp, Serve
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.lab.latencies import TABLE
from runbook_lib.params import Params
from tests.clouds.conftest import World, served
from tests.crashes.content import Content, content, differences, read
from tests.crashes.operators import DEEDS, Deed, Operator, forks, operator

SETTLE = 0.03  # seconds


class Point(NamedTuple):
    """When a process is killed.

    Args:
        action: the call's.
        number: which of that action, from 1.
        side: before the cloud handles it, or after, with the answer still unsent.
    """

    action: str
    number: int
    side: Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kill came to.

    Args:
        deed: what was being done.
        point: when it was killed.
        killed: whether it was; the call may not have come.
        faults: what went wrong afterwards: the next run, or what the clouds hold.
    """

    deed: Deed
    point: Point
    killed: bool
    faults: tuple[str, ...]


class Calls:
    """An interceptor that numbers calls, and kills at one of them."""

    def __init__(self) -> None:
        self._idle = threading.Condition()
        self._under_way = 0
        self._known: set[tuple[str, str, bytes]] = set()
        self._victim: tuple[Point, Operator] | None = None
        self.seen: Counter[str] = Counter()
        self.killed = False

    def begin(self, victim: tuple[Point, Operator] | None) -> None:
        """Number anew from here on, and kill at a point, if one is given."""
        with self._idle:
            self._known.clear()
            self.seen.clear()
            self._victim, self.killed = victim, False

    def settle(self) -> None:
        """Return once no call is being handled: what a dead process had sent is over."""
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way)

    def __call__(self, call: Call, serve: Serve) -> Answer:
        with self._idle:
            self._under_way += 1
            sides = self._sides(call)
        try:
            if "before" in sides:
                self._kill()
            answer = serve()
            if "after" in sides:
                self._kill()
            return answer
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _sides(self, call: Call) -> tuple[str, ...]:
        body = re.sub(rb"ClientToken=[^&]*", b"", call.body)  # the client makes one for each attempt
        if not call.writes or (identity := (call.action, call.target, body)) in self._known:
            return ()
        self._known.add(identity)
        self.seen[call.action] += 1
        if self._victim is None:
            return ()
        action, number, side = self._victim[0]
        return (side,) if (action, number) == (call.action, self.seen[call.action]) else ()

    def _kill(self) -> None:
        assert self._victim
        self.killed = True
        self._victim[1].kill()
        raise HangUp


class Clouds:
    """Both emulated clouds, and what their content is."""

    def __init__(self, params: Params, gce: Gce, calls: Calls, clients: tuple[Any, Any]) -> None:
        self.params = params
        self.calls = calls
        self._gce = gce
        self._ec2, self._iam = clients

    def content(self) -> Content:
        """Everything that they hold."""
        return content(read(self._ec2, self._iam, self._gce.documents()))


class Sweep:
    """Kills operators of one small world after another.

    Args:
        folder: for credentials, keys and logs.
        settle: seconds for which what was begun is under way. From some seconds on, it still is when the next process
            looks, which a faster cloud never shows.
    """

    def __init__(self, folder: Path, settle: float = SETTLE) -> None:
        import boto3

        self._folder = folder
        self._settle = settle
        self._session: Any = boto3.Session(region_name="us-west-2", aws_access_key_id="-", aws_secret_access_key="-")
        self._forks: context.ForkServerContext = forks()
        self.calls: dict[Deed, Mapping[str, int]] = {}
        with self._clouds() as clouds:
            self.empty = clouds.content()
            for deed in DEEDS:
                self._well(clouds, deed)
                self.calls[deed] = dict(clouds.calls.seen)
                if deed == "provision":
                    self.whole = clouds.content()
            assert not differences(self.empty, clouds.content())

    def points(self, deed: Deed) -> list[Point]:
        """Every kill there is: on both sides of every call of an uninterrupted run, each action's first calls first."""
        every = [
            Point(action, number, side)
            for action, count in sorted(self.calls[deed].items())
            for number in range(1, count + 1)
            for side in ("before", "after")
        ]
        return sorted(every, key=lambda point: point.number)

    def round(self, *points: tuple[Deed, Point]) -> Iterator[Outcome]:
        """Provision and tear down in new clouds, killed at the given points, at most one a deed, and begun again."""
        victims, wanted = dict(points), {"provision": self.whole, "teardown": self.empty}
        with self._clouds() as clouds:
            for deed in DEEDS:
                point = victims.get(deed)
                faults = []
                if point and (fault := self._killed(clouds, deed, point)):
                    faults.append(fault)
                killed = clouds.calls.killed
                if fault := self._run(clouds, deed):
                    faults.append(fault)
                faults += differences(wanted[deed], clouds.content())
                if point:
                    yield Outcome(deed, point, killed, tuple(faults))

    def _killed(self, clouds: Clouds, deed: Deed, point: Point) -> str:
        with operator(self._forks, clouds.params, self._folder / "log") as one:
            clouds.calls.begin((point, one))
            one.begin(deed)
            said = one.end()
        clouds.calls.settle()
        return said if said not in ("", "killed") else ""

    def _run(self, clouds: Clouds, deed: Deed) -> str:
        with operator(self._forks, clouds.params, self._folder / "log") as one:
            clouds.calls.begin(None)
            one.begin(deed)
            return one.end()

    def _well(self, clouds: Clouds, deed: Deed) -> None:
        said = self._run(clouds, deed)
        assert not said, said

    @contextmanager
    def _clouds(self) -> Iterator[Clouds]:
        worlds, calls = (World(), World()), Calls()
        slow = dict.fromkeys(TABLE, self._settle)
        ec2 = Ec2(worlds[0], "us-west-2", durations=slow)
        gce = Gce(worlds[1], "runbook-lab", durations=slow)
        gce.ready()
        aws_file, gcp_file = self._folder / "aws-credentials", self._folder / "gcp-credentials.json"
        aws_file.write_text(ec2.operator_credentials())
        with served(ec2, worlds[0], calls) as aws_url, served(gce, worlds[1], calls) as gcp_url:
            gcp_file.write_text(json.dumps(gce.operator_credentials(f"{gcp_url}/token")))
            params = Params(
                deployment="blue",
                aws_endpoint=aws_url,
                aws_credentials=str(aws_file),
                gcp_endpoint=gcp_url,
                gcp_credentials=str(gcp_file),
                keys=str(self._folder / "keys"),
                timeout=60,
            )
            yield Clouds(params, gce, calls, self._clients(aws_file, aws_url))

    def _clients(self, credentials: Path, url: str) -> tuple[Any, Any]:
        key, secret = (line.partition("=")[2].strip() for line in credentials.read_text().splitlines()[1:3])
        options = {"endpoint_url": url, "aws_access_key_id": key, "aws_secret_access_key": secret}
        return self._session.client("ec2", **options), self._session.client("iam", **options)
