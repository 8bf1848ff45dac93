"""Carry a plan out, in both clouds at once, and tell which hosts there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Literal, NamedTuple, Protocol

from .clouds.base import Clouds
from .errors import CloudError, RunbookError, WaitTimeout
from .plan import TEARDOWN, Action, Plan, is_ready, kind_needs, kind_of, plan, require_step
from .resources import CloudName, Found, Host, resolve
from .rollout import Order, order
from .together import Workers
from .topology import Topology

__all__ = ["Action", "Plan", "Progress", "Service", "absent", "apply", "destroy_all", "hosts", "plan", "require_step"]

# Jobs at a time, of both clouds. Most only wait for the cloud; with 16, a teardown's longest chain has to queue.
WORKERS = 32
TELL_EVERY = 1.0  # seconds between two signs of life where nothing begins or ends


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of life of ``apply``.

    Args:
        key: which resource.
        verb: ``create``, ``change``, ``destroy``, ``wait``, ``retire`` or ``settle``.
        state: whether it has begun, goes on, is done or has failed.
        seconds: how long it has taken so far.
        done: jobs done until now.
        total: jobs known until now.
    """

    key: str
    verb: str
    state: Literal["begun", "running", "done", "failed"]
    seconds: float
    done: int
    total: int


class Service(Protocol):
    """What runs on instances and is not to be interrupted when they are replaced or removed; see ``handover``."""

    def retire(self, found: Found) -> None:
        """Take an instance out of service; it ends next."""

    def settle(self, found: Found) -> None:
        """Bring a new instance into service."""


class _Job(NamedTuple):
    key: str
    verb: Literal["make", "destroy", "wait", "retire", "settle"]


def apply(
    plan: Plan,
    clouds: Clouds,
    *,
    service: Service | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Found]:
    """Do what a plan says, as parallel as the dependencies allow.

    After the first failure nothing more is begun, and what is running is left to finish; running the step again
    carries on from there. A teardown goes as far as it can: only what holds on to something that could not be destroyed
    stays.

    Args:
        plan: what to do.
        clouds: where.
        service: what runs on the instances; hosts then leave it and enter it in the order that ``rollout`` decides.
        progress: is told of every job that begins and ends, and each second of all that go on, in the caller's thread.

    Returns:
        Everything that exists afterwards, by key.

    Raises:
        CloudError, AccessError, WaitTimeout: the first failure; further ones are noted on it.
    """
    run = _Run(plan, clouds, service, progress)
    run.all()
    return run.found


def destroy_all(
    topology: Topology, clouds: Clouds, *, progress: Callable[[Progress], None] | None = None
) -> tuple[str, ...]:
    """Destroy all that exists of the deployment in both clouds, and return the keys of what was destroyed.

    Raises:
        CloudError, WaitTimeout: something could not be destroyed; running it again carries on.
    """
    teardown = plan(topology, clouds.inventory(), TEARDOWN)
    apply(teardown, clouds, progress=progress)
    return tuple(action.key for action in teardown.actions)


def absent(clouds: Clouds) -> tuple[str, ...]:
    """The keys of what is left of the deployment in either cloud: none, after a teardown."""
    return tuple(sorted(clouds.inventory()))


def hosts(topology: Topology, clouds: Clouds) -> tuple[Host, ...]:
    """The deployment's instances as they stand in their clouds now, in the topology's order.

    The bastions of an existing network are known by their public address alone.
    """
    aws, gcp = clouds.both(lambda cloud: cloud.instances())
    return hosts_of(topology, {**aws, **gcp})


def hosts_of(topology: Topology, found: Mapping[str, Found]) -> tuple[Host, ...]:
    """The hosts among what was found. Pure."""
    params = topology.params
    region: Mapping[CloudName, str] = {"aws": params.aws_region, "gcp": params.gcp_region}
    known: list[Host] = []
    if topology.network:
        given: Mapping[CloudName, str] = {
            "aws": topology.network.aws_bastion_ip,
            "gcp": topology.network.gcp_bastion_ip,
        }
        known += (
            Host(f"bastion-{cloud}", cloud, "bastion", "", region[cloud], "", "", address, "existing")
            for cloud, address in given.items()
        )
    known += (host_of(topology, found[node.key]) for node in topology.nodes if node.key in found)
    return tuple(known)


def host_of(topology: Topology, found: Found) -> Host:
    """An instance that was found, wanted or not, as a host. Pure."""
    cloud: CloudName = "aws" if found.key.startswith("aws:") else "gcp"
    seen = found.attributes
    # Somebody may have taken off the tag that tells the role.
    role = next((node.role for node in topology.nodes if node.key == found.key), "") or seen["role"]
    return Host(
        name=found.key.split(":", 2)[2].partition("#")[0].removeprefix(f"{topology.deployment}-"),
        cloud=cloud,
        role=role,
        zone=seen["zone"],
        datacenter=topology.params.aws_region if cloud == "aws" else topology.params.gcp_region,
        id=found.id,
        private_ip=seen["private_ip"],
        public_ip=seen["public_ip"],
        state=seen["state"],
    )


class _Run:
    """One ``apply``: the graph of its jobs, what is found so far, and what has failed."""

    def __init__(
        self, plan: Plan, clouds: Clouds, service: Service | None, progress: Callable[[Progress], None] | None
    ) -> None:
        self.clouds = clouds
        self.service = service
        self.step = plan.step
        self.found = dict(plan.found)
        self.actions = {action.key: action for action in plan.actions}
        self.graph = graph(plan, order(plan) if service else Order())
        self.total = len(self.graph)
        self.done = 0
        self.failures: list[tuple[_Job, Exception]] = []
        self._progress = progress

    def all(self) -> None:
        sorter: TopologicalSorter[_Job] = TopologicalSorter(self.graph)
        sorter.prepare()
        heights = _heights(self.graph)
        waiting: list[_Job] = []
        running: dict[Future[Found | None], tuple[_Job, float]] = {}
        with Workers(WORKERS, finish=True) as pool:  # the lock is let go once nothing is being changed
            while True:
                waiting += sorter.get_ready()
                # What most depends on begins first. A wait comes last: the cloud goes on meanwhile.
                waiting.sort(key=lambda job: -heights.get(job, -1))
                while waiting and len(running) < WORKERS and self._goes_on():
                    job = waiting.pop(0)
                    self._tell(job, "begun", 0)
                    running[pool.submit(self._do, job)] = (job, time.monotonic())
                if not running:
                    break
                ended = wait(running, timeout=TELL_EVERY, return_when=FIRST_COMPLETED).done
                if not ended:
                    for job, since in running.values():
                        self._tell(job, "running", time.monotonic() - since)
                for future in ended:
                    job, since = running.pop(future)
                    if isinstance(error := future.exception(), Exception):
                        self.failures.append((job, error))
                        self._tell(job, "failed", time.monotonic() - since)
                        continue
                    later = self._finish(job, future.result())
                    self._tell(job, "done", time.monotonic() - since)
                    waiting += later
                    if job.verb != "wait":
                        sorter.done(job)
        if self.failures:
            raise self._failure()

    def _goes_on(self) -> bool:
        """Whether another job may begin. A teardown goes on with what does not stand in the way of a failure."""
        refused = all(isinstance(error, (CloudError, WaitTimeout)) for _, error in self.failures)
        return not self.failures or (self.step == TEARDOWN and refused)

    def _do(self, job: _Job) -> Found | None:
        action = self.actions[job.key]
        cloud = self.clouds["aws" if job.key.startswith("aws:") else "gcp"]
        if job.verb == "destroy":
            assert action.found is not None
            cloud.destroy(action.found)
            return None
        if job.verb in ("retire", "settle"):
            assert self.service is not None
            (self.service.retire if job.verb == "retire" else self.service.settle)(self.found[job.key])
            return None
        if job.verb == "wait" or action.verb == "keep":
            return cloud.wait(self.found[job.key])
        assert action.resource is not None
        spec = resolve(action.resource.spec, self.found)
        if action.verb == "change":
            return cloud.update(action.resource, self.found[job.key], spec, action.changes)
        return cloud.create(action.resource, spec)

    def _finish(self, job: _Job, result: Found | None) -> list[_Job]:
        """Take note of a job's result; return what is to be done besides the graph."""
        self.done += 1
        if job.verb == "destroy":
            self.found.pop(job.key, None)
        if job.verb in ("destroy", "retire", "settle"):
            return []
        assert result is not None
        self.found[job.key] = result
        if job.verb == "make" and not is_ready(result):
            self.total += 1
            return [_Job(job.key, "wait")]
        return []

    def _tell(self, job: _Job, state: Literal["begun", "running", "done", "failed"], seconds: float) -> None:
        if self._progress:
            verb = job.verb if job.verb != "make" else self.actions[job.key].verb
            shown = {"keep": "wait", "replace": "create"}.get(verb, verb)
            self._progress(Progress(job.key, shown, state, seconds, self.done, self.total))

    def _failure(self) -> Exception:
        (job, first), *others = self.failures
        for other, error in others:
            said = error.message if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}"
            first.add_note(f"failed as well: {other.key}: {said}")
        if not isinstance(first, RunbookError):
            first.add_note(f"while working on {job.key}")
        return first


def graph(plan: Plan, order: Order) -> dict[_Job, set[_Job]]:
    """Which job waits for which. Pure.

    Args:
        plan: what is to be done.
        order: which hosts have a service to leave and to enter.
    """
    make = {a.key: a for a in plan.actions if a.verb != "destroy" and a.pending}
    destroy = {a.key: a for a in plan.actions if a.verb in ("destroy", "replace")}
    needs = kind_needs(plan.topology)

    def stands_on(upper: str, lower: str) -> bool:
        return kind_of(lower) in needs.get(kind_of(upper), frozenset())

    jobs: dict[_Job, set[_Job]] = {}
    for key, action in make.items():
        before = {_Job(other, "make") for other in action.resource.needs() & make.keys()} if action.resource else set()
        if key in destroy:
            before.add(_Job(key, "destroy"))
        jobs[_Job(key, "make")] = before
    for key, action in destroy.items():
        before = {_Job(other, "destroy") for other in destroy if stands_on(other, key)}
        if action.verb == "destroy":
            # Something that stays has to let go of it first, as a route table of a gateway.
            before |= {_Job(other, "make") for other, a in make.items() if a.verb == "change" and _mentions(a, action)}
        jobs[_Job(key, "destroy")] = before
    for key in order.settle:
        jobs[_Job(key, "settle")] = {_Job(key, "make")} & jobs.keys()
    for key, earlier in order.retire.items():
        jobs[_Job(key, "retire")] = {_Job(k, "settle" if k in order.settle else "destroy") for k in earlier}
        jobs[_Job(key, "destroy")].add(_Job(key, "retire"))
    return jobs


def _heights(graph: Mapping[_Job, set[_Job]]) -> dict[_Job, int]:
    """How many jobs the longest chain has that waits for each. Pure."""
    order = list(TopologicalSorter(graph).static_order())
    heights = dict.fromkeys(order, 0)
    for job in reversed(order):
        for before in graph[job]:
            heights[before] = max(heights[before], heights[job] + 1)
    return heights


def _mentions(holder: Action, held: Action) -> bool:
    """Whether something found refers to another thing found."""
    if not (holder.found and held.found):
        return False
    names = {held.found.id, held.found.attributes.get("self_link", held.found.id)}

    def inside(value: object) -> bool:
        if isinstance(value, Mapping):
            return any(map(inside, value.values()))
        if isinstance(value, (list, tuple)):
            return any(map(inside, value))
        return value in names

    return inside(holder.found.spec)
