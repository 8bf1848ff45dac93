"""One seed's faults against a whole provision, in process: what it ends in, and what a clean run makes of that.

``python -m tests.fault_trials 200`` tries that many seeds, prints a table, and fails if one hangs, makes something
twice, ends in an error without resource and remedy, or does not converge when run again without faults.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runbook_lib.clouds import Clouds, Patience, connect
from runbook_lib.errors import CloudError, RunbookError
from runbook_lib.lab.api_faults.injector import Injector
from runbook_lib.lab.api_faults.schedule import Strike, draw
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import apply
from runbook_lib.topology import Topology, topology
from tests.clouds.conftest import World, served
from tests.crashes.content import Content, content, differences, read
from tests.crashes.operators import KEY, STEPS
from tests.workers import end_when_terminated, workers

# Faults here are counted in calls and not in seconds, so clouds agree with themselves sooner than real ones.
PATIENCE = Patience(creation=15, lists=5, busy=15)
TIMEOUT = 20  # seconds for each thing to become ready
HANGS = 300.0  # seconds after which a run counts as one that hangs; all its retries and waits together need far less


@dataclass(frozen=True)
class Trial:
    """What became of one seed.

    Args:
        seed: which.
        struck: the faults that were met.
        ended: ``converged``, or what the run with faults was given up for.
        wrong: what must not be: empty if all is well.
    """

    seed: int
    struck: tuple[str, ...]
    ended: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Emulated:
    """Both emulated clouds, and a deployment's way to them."""

    aws: Ec2
    gcp: Gce
    injector: Injector
    params: Params

    def clouds(self) -> Clouds:
        """New clients, as a new process would have them."""
        return connect(self.params, PATIENCE)

    def content(self, clouds: Clouds) -> Content:
        """All that both accounts hold, whoever's it is; to be asked once the faults are over."""
        account = clouds.aws._account  # type: ignore[attr-defined]  # the clients that the deployment has
        return content(read(account.ec2, account.iam, self.gcp.documents()))


@contextmanager
def both_clouds(folder: Path, strikes: tuple[Strike, ...]) -> Iterator[Emulated]:
    """Two empty clouds on ports of their own, whose APIs meet faults."""
    worlds = World(), World()
    aws, gcp = Ec2(worlds[0], "us-west-2", settle=0.05), Gce(worlds[1], "runbook-lab")
    injector = Injector(strikes, aws.fail_nat_gateway)
    gcp.ready()
    credentials = {cloud: folder / f"{cloud}-credentials" for cloud in ("aws", "gcp")}
    credentials["aws"].write_text(aws.operator_credentials())
    with (
        served(aws, worlds[0], injector) as aws_url,
        served(gcp, worlds[1], injector) as gcp_url,
    ):
        credentials["gcp"].write_text(json.dumps(gcp.operator_credentials(f"{gcp_url}/token")))
        yield Emulated(
            aws,
            gcp,
            injector,
            Params(
                deployment="blue",
                aws_endpoint=aws_url,
                aws_credentials=str(credentials["aws"]),
                gcp_endpoint=gcp_url,
                gcp_credentials=str(credentials["gcp"]),
                timeout=TIMEOUT,
            ),
        )


def provision(wanted: Topology, clouds: Clouds) -> None:
    """Every step's plan, one after the other."""
    for step in STEPS:
        apply(plan(wanted, clouds.inventory(), step), clouds)


def trial(seed: int, expected: Content) -> Trial:
    """Provision under a seed's faults, then once more without.

    Args:
        seed: of the schedule.
        expected: what a run without faults comes to.
    """
    wrong: list[str] = []
    threads = set(threading.enumerate())
    with tempfile.TemporaryDirectory() as folder, both_clouds(Path(folder), draw(seed)) as emulated:
        wanted = topology(emulated.params, public_key=KEY)
        raised = _in_time(lambda: provision(wanted, emulated.clouds()))
        ended = _named(raised)
        if raised and not (isinstance(raised, RunbookError) and raised.resource and raised.remedy):
            wrong.append("".join(traceback.format_exception(raised)))
        struck = tuple(map(str, emulated.injector.struck))
        emulated.injector.stop()
        clouds = emulated.clouds()
        if more := _how_many(emulated.content(clouds)) - _how_many(expected):
            wrong.append(f"made twice: {dict(more)}")
        wrong += _clean_run(wanted, emulated, clouds, expected)
    _ended(threads, wrong)
    return Trial(seed, struck, ended, tuple(wrong))


def baseline() -> Content:
    """What both accounts hold after a run without faults."""
    with tempfile.TemporaryDirectory() as folder, both_clouds(Path(folder), ()) as emulated:
        clouds = emulated.clouds()
        provision(topology(emulated.params, public_key=KEY), clouds)
        return emulated.content(clouds)


def _clean_run(wanted: Topology, emulated: Emulated, clouds: Clouds, expected: Content) -> list[str]:
    if raised := _in_time(lambda: provision(wanted, clouds)):
        return ["the clean run failed: " + "".join(traceback.format_exception(raised))]
    found = clouds.inventory()
    left = [str(action) for step in STEPS for action in plan(wanted, found, step).work]
    wrong = [f"the clean run left something to do: {left}"] if left else []
    if found.keys() != wanted.by_key.keys():
        wrong.append(f"the clean run left other things: {sorted(found.keys() ^ wanted.by_key.keys())}")
    return wrong + differences(expected, emulated.content(clouds))


def _in_time(work: Callable[[], None]) -> BaseException | None:
    """What it ends in, if not well: done in a thread that may be left behind, as it may hang."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
            future.set_result(None)
        except Exception as error:  # noqa: BLE001 - the caller judges it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([future], HANGS).done:
        return TimeoutError(f"it hangs: nothing has ended it in {HANGS:g} s")
    return future.exception()


def _named(raised: BaseException | None) -> str:
    """An ending in a few words, the same for endings that are alike."""
    if raised is None:
        return "converged"
    said = str(raised.seen).partition(":")[0] if isinstance(raised, CloudError) else getattr(raised, "message", raised)
    return f"{type(raised).__name__}: {said}"


def _ended(before: set[threading.Thread], wrong: list[str]) -> None:
    """The emulators' threads serve kept connections and end with those; the library's must have ended."""
    left = [t.name for t in threading.enumerate() if t not in before and t.name.startswith("ThreadPoolExecutor")]
    if left:
        wrong.append(f"threads are left: {left}")


def _how_many(content: Content) -> Counter[str]:
    return Counter({kind: every.total() for kind, every in content.items()})


def main() -> int:
    """Try seeds and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    # Most of a trial is spent waiting before calls are repeated.
    parser.add_argument("--processes", type=int, default=2 * (os.cpu_count() or 1))
    chosen = parser.parse_args()
    began = time.monotonic()
    trials: list[Trial] = []
    with workers(chosen.processes) as pool:
        expected = pool.submit(baseline).result()
        for done in pool.map(partial(trial, expected=expected), range(chosen.first, chosen.first + chosen.count)):
            trials.append(done)
            print(f"{done.seed}: {len(done.struck)} calls struck, {done.ended}", flush=True)
            for wrong in done.wrong:
                print(f"{done.seed}: WRONG: {wrong}", flush=True)
    print(f"\n{len(trials)} schedules, {sum(len(one.struck) for one in trials)} calls struck")
    for ended, count in Counter(one.ended for one in trials).most_common():
        print(f"{count:>4}  {ended}")
    bad = [one.seed for one in trials if one.wrong]
    print(f"wrong: {bad or 'none'}; {time.monotonic() - began:.0f} s")
    return bool(bad)


if __name__ == "__main__":
    end_when_terminated()
    sys.exit(main())
