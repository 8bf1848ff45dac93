"""How long provisioning and teardown take, against the longest chain of work that they cannot do in parallel.

    .venv/bin/python -m tests.benchmarks.makespan [FACTOR]

Both emulated clouds take as long as the table in ``runbook_lib/lab/latencies.py`` says, times the factor (default 0.15,
half a minute for the network). The critical path is computed from the same table and the graph of jobs alone; how long
the machine took for anything is not in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from runbook_lib.clouds import Clouds, connect
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.lab.latencies import ROUND_TRIP, RoundTrip, scaled
from runbook_lib.params import Params
from runbook_lib.plan import TEARDOWN, Plan, kind_of, plan
from runbook_lib.provision import Progress, _Job, apply, graph
from runbook_lib.rollout import Order
from runbook_lib.topology import topology
from tests.clouds.conftest import World, served
from tests.crashes.operators import KEY, STEPS

LIMIT = 1.15  # of the critical path
# How often a kind's job calls AWS, and the action among them that takes its time.
_MADE: Mapping[str, tuple[int, str]] = {
    "vpc": (3, ""),
    "internet_gateway": (2, ""),
    "nat_gateway": (2, "ec2:CreateNatGateway"),
    "vpn_gateway": (3, "ec2:AttachVpnGateway"),
    "iam_role": (2, ""),
    "instance_profile": (2, ""),
    "instance": (3, ""),
}
# What an AWS thing is waited for after others may already use it.
_AWAITED = {"vpn_connection": "ec2:CreateVpnConnection", "instance": "ec2:RunInstances"}
_UNMADE: Mapping[str, tuple[int, str]] = {
    "internet_gateway": (2, ""),
    "nat_gateway": (2, "ec2:DeleteNatGateway"),
    "vpn_gateway": (3, "ec2:DetachVpnGateway"),
    "vpn_connection": (2, "ec2:DeleteVpnConnection"),
    "iam_role": (2, ""),
    "instance_profile": (2, ""),
    "instance": (2, "ec2:TerminateInstances"),
}
_COLLECTIONS = {"router_peering": "routers"}


def seconds(plan: Plan, job: _Job, table: Mapping[str, float], call: float) -> tuple[float, float]:
    """How long a job takes until others can go on, and how long it is waited for afterwards. Pure.

    Args:
        plan: what is done.
        job: one of its jobs.
        table: seconds by action.
        call: seconds of a round trip.
    """
    cloud, kind = kind_of(job.key).split(":")
    action = next(action for action in plan.actions if action.key == job.key)
    if cloud == "gcp":
        words = kind.split("_")
        camel = "".join([words[0], *map(str.title, words[1:])])
        verb = "delete" if job.verb == "destroy" else "insert"
        if kind == "router_peering":
            verb = "update" if verb == "delete" else "patch"
        lasts = table[f"compute.{_COLLECTIONS.get(kind, camel + 's')}.{verb}"]
        # The call, the operation's end (whose own call is long enough on its way), and a look at what came of it.
        looks = 1 if verb != "delete" else 0
        return call + max(lasts, call) + looks * call, 0.0
    if job.verb == "destroy":
        assert action.found
        calls, slow = _UNMADE.get(kind, (1, ""))
        if kind == "route_table":
            calls += len(action.found.spec["subnets"])
        return calls * call + table.get(slow, 0.0), 0.0
    calls, slow = _MADE.get(kind, (1, ""))
    if kind == "route_table":
        assert action.resource
        calls += sum(len(action.resource.spec[field]) for field in ("subnets", "routes", "propagating"))
    return calls * call + table.get(slow, 0.0), table[_AWAITED[kind]] if kind in _AWAITED else 0.0


def critical_path(plan: Plan, factor: float) -> tuple[float, list[str]]:
    """Seconds of the longest chain of a plan's jobs, and the jobs. Pure."""
    jobs, table, call = graph(plan, Order()), scaled(factor), ROUND_TRIP.seconds * factor
    ends: dict[_Job, tuple[float, list[str]]] = {}
    longest: tuple[float, list[str]] = (0.0, [])
    for job in TopologicalSorter(jobs).static_order():
        before = max((ends[other] for other in jobs[job]), default=(0.0, []))
        lasts, after = seconds(plan, job, table, call)
        ends[job] = (before[0] + lasts, [*before[1], f"{job.verb} {job.key}"])
        waited = [f"wait {job.key}"] if after else []
        longest = max(longest, (ends[job][0] + after, [*ends[job][1], *waited]))
    return longest


def measured(plan: Plan, clouds: Clouds, factor: float) -> tuple[float, float]:
    """Carry a plan out, print what it came to, and return its makespan and critical path (s)."""
    signs: list[Progress] = []
    began = time.monotonic()
    apply(plan, clouds, progress=signs.append)
    makespan = time.monotonic() - began
    least, chain = critical_path(plan, factor)
    print(f"{plan.step}: {makespan:.2f} s, critical path {least:.2f} s, ratio {makespan / least:.3f}")
    took = {f"{sign.verb} {sign.key}": sign.seconds for sign in signs if sign.state == "done"}
    for name in chain:
        shown = name.replace("make ", "create ", 1)
        print(f"    {took.get(shown, 0.0):7.2f} s  {name}")
    return makespan, least


@contextmanager
def emulated(factor: float) -> Iterator[Params]:
    """Both clouds, as slow as they are known to be, times a factor."""
    slow, far = scaled(factor), RoundTrip(factor)
    worlds = World(), World()
    ec2 = Ec2(worlds[0], "us-west-2", durations=slow)
    gce = Gce(worlds[1], "runbook-lab", durations=slow)
    gce.ready()
    with tempfile.TemporaryDirectory() as name, served(ec2, worlds[0], far) as aws, served(gce, worlds[1], far) as gcp:
        folder = Path(name)
        (folder / "aws").write_text(ec2.operator_credentials())
        (folder / "gcp").write_text(json.dumps(gce.operator_credentials(f"{gcp}/token")))
        yield Params(
            deployment="bench",
            aws_endpoint=aws,
            aws_credentials=str(folder / "aws"),
            gcp_endpoint=gcp,
            gcp_credentials=str(folder / "gcp"),
            keys=str(folder / "keys"),
        )


def main(factor: float) -> int:
    """Measure, print, and tell by the exit status whether all is within the limit."""
    parts: dict[str, tuple[float, float]] = {}
    with emulated(factor) as params:
        clouds, wanted = connect(params), topology(params, public_key=KEY)
        for step in (*STEPS, TEARDOWN):
            parts[step] = measured(plan(wanted, clouds.inventory(), step), clouds, factor)
    made = [parts[step] for step in STEPS]
    totals = {
        STEPS[0]: parts[STEPS[0]],
        "all creating steps": (sum(one for one, _ in made), sum(least for _, least in made)),
        TEARDOWN: parts[TEARDOWN],
    }
    ratios = {name: round(makespan / least, 3) for name, (makespan, least) in totals.items()}
    print(json.dumps({"factor": factor, "makespan / critical path": ratios}))
    return int(max(ratios.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.15))
