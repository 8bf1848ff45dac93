"""One deployment, opened: what a notebook holds in its hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import (
    approval,
    clouds,
    consul,
    costs,
    display,
    keys,
    lease,
    onlooker,
    provision,
    rollout,
    terraform_state,
    waiting,
)
from .access import Access
from .archive import interactive
from .archive.record import StepRecord
from .errors import CloudError, ParameterError, PrerequisiteError, RunbookError, WaitTimeout
from .handover import Handover
from .params import Params
from .plan import TEARDOWN, Plan
from .resources import CLOUDS, STEPS, CloudName, Found, Host
from .topology import Topology, topology

# The first step that needs the two datacenters joined.
FEDERATED = "03_traefik"
# The one whose servers are made only if the parameter ``test`` is true.
TESTING = "04_test"


@dataclass(frozen=True, slots=True)
class Applied:
    """What carrying out a plan came to.

    Args:
        step: the notebook.
        created: how many resources were made.
        changed: how many were changed or replaced.
        destroyed: how many were removed.
        kept: how many were as wanted already.
        seconds: how long it took.
    """

    step: str
    created: int
    changed: int
    destroyed: int
    kept: int
    seconds: float


class Site:
    """A deployment's parameters, what they want, and the way to both clouds and to its hosts.

    Args:
        params: the parameters.
        topology: everything that they want.
        clouds: clients of both clouds.
    """

    def __init__(self, params: Params, topology: Topology, clouds: clouds.Clouds) -> None:
        self.params = params
        self.topology = topology
        self.clouds = clouds
        self._access: Access | None = None
        self._opening = threading.Lock()  # live views ask for the way, too
        self.closing: list[Callable[[], object]] = []  # what is called first when it closes

    @property
    def access(self) -> Access:
        """SSH to the hosts that exist now; connections are kept from one cell to the next."""
        with self._opening:
            if self._access is None:
                self._access = Access(self.params, self.hosts(), console=self.console)
            return self._access

    def check(self) -> Site:
        """Make sure that both clouds know the project, regions, zones, images and machine types; changes nothing.

        Raises:
            ParameterError: a parameter names what a cloud does not have.
            PrerequisiteError: credentials are missing or refused.
        """
        self.clouds.both(lambda cloud: cloud.check())
        return self

    def images(self) -> display.Table:
        """Which image new instances boot. Those that stand keep theirs: a newer image replaces none of them.

        Raises:
            ParameterError: a parameter names none.
        """
        both = zip(CLOUDS, self.clouds.both(lambda cloud: cloud.image()), strict=True)
        rows = [(cloud, image.wanted, image.name, image.id) for cloud, image in both]
        return display.Table(("cloud", "image", "newest", "id"), rows)

    def found(self) -> dict[str, Found]:
        """Everything of the deployment that exists in either cloud, by key."""
        return self.clouds.inventory()

    def plan(self, step: str) -> Plan:
        """What a step has to do, given what exists.

        Raises:
            ParameterError: the step is for the test servers, which are not wanted.
            PrerequisiteError: an earlier step has not run.
        """
        if step == TESTING and not self.params.test:
            raise ParameterError(
                f"{step} has nothing to test: the parameter test is false",
                step=step,
                resource="test",
                expected="true",
                seen="false",
                remedy="set test to true or leave this step out; 05_teardown removes test servers with all else",
            )
        made = provision.plan(self.topology, self.found(), step)
        if FEDERATED <= step < STEPS[-1]:
            self._require_federation(step)
        return made

    def plans(self) -> tuple[Plan, ...]:
        """What every creating step has to do, all seen at one moment; steps that have not run yet count as to be run.

        A step that comes after another with something to do may find more, or less, once that one has run.
        """
        found = self.found()
        steps = [step for step in STEPS if self.topology.step(step)]
        return tuple(provision.plan(self.topology, found, step, alone=False) for step in steps)

    def approve(self, plan: Plan) -> None:
        """Get a yes to a plan that has something to do, where the parameter ``approval`` asks for one.

        Raises:
            ApprovalError: there is none.
        """
        if self.params.approval == "required" and plan.work:
            approval.require(self.params, plan)

    def apply(self, plan: Plan, *, mends: Plan | None = None) -> Applied:
        """Do what a plan says, once it is approved; its progress is shown while it goes on.

        Args:
            plan: what to do.
            mends: a plan that was approved and carried out in part, which this one completes. It needs no yes of its
                own unless it destroys something else.

        Raises:
            ApprovalError: it needs an approval and has none; nothing was done.
            LockError: somebody else is changing the deployment; nothing was done, or nothing more.
            RunbookError: something else is to be done by now; nothing was done.
            CloudError, AccessError, WaitTimeout: the first failure. Running the step again carries on from there.
        """
        doomed = {action.key for action in plan.work if action.verb in ("destroy", "replace")}
        if mends is None or not doomed <= {action.key for action in mends.work}:
            self.approve(plan)
        began = time.monotonic()
        with self._locked(plan), display.Progress(plan.step) as progress, self._costing(plan):
            provision.apply(plan, self.clouds, service=self._service(plan), progress=progress)
        self.refresh()
        count = plan.counts
        return Applied(
            plan.step,
            created=count["create"],
            changed=count["change"] + count["replace"],
            destroyed=count["destroy"],
            kept=count["keep"],
            seconds=round(time.monotonic() - began, 1),
        )

    @contextmanager
    def alone(self, step: str, *, seconds: float = lease.LEASE) -> Iterator[None]:
        """Be the only operator who changes the deployment, as long as the block lasts.

        Args:
            step: what is done, for others to read.
            seconds: how long the lock outlasts its holder on other machines.

        Raises:
            LockError: somebody else is changing it.
        """
        if self.clouds.lock is None:
            yield
            return
        public_key = keys.operator_key(self.params).public_text
        held = lease.held(self.clouds.lock, step, public_key, seconds=seconds, tell=display.tell)
        with held as lock, self.clouds.guarded(lock.check):
            yield

    @contextmanager
    def _costing(self, plan: Plan) -> Iterator[None]:
        """Say of a teardown that failed what it costs to leave the rest."""
        try:
            yield
        except (CloudError, WaitTimeout) as error:
            if plan.step == TEARDOWN:
                with suppress(RunbookError):  # the first failure is the one to tell
                    error.remedy += f"; {costs.summary(self.found())}"
            raise

    @contextmanager
    def _locked(self, plan: Plan) -> Iterator[None]:
        """Be alone, with a plan that is current.

        Where there is nothing to do, a lock that stands is looked into all the same: one that somebody left is cleared
        away, and one whose holder is at work says that what was looked at is being changed.
        """
        if plan.work or (self.clouds.lock is not None and self.clouds.lock.look() is not None):
            with self.alone(plan.step):
                self._require_current(plan)
                yield
        else:
            yield

    def _require_current(self, plan: Plan) -> None:
        """Make sure that a plan is still what is to be done.

        Raises:
            RunbookError: it is not.
        """
        now = provision.plan(self.topology, self.found(), plan.step)
        shown, due = _deeds(plan), _deeds(now)
        if shown != due:
            new, old = sorted(due - shown)[:5], sorted(shown - due)[:5]
            raise RunbookError(
                "the plan is out of date: something was changed since it was made",
                step=plan.step,
                resource=(new or old)[0][1],
                expected="to " + (", ".join(map(_said, old)) or "leave it alone"),
                seen="to " + (", ".join(map(_said, new)) or "leave it alone"),
                remedy="nothing was done; make the plan again (run its cell), look at it, and apply it",
            )

    def hosts(self, role: str = "", cloud: str = "") -> tuple[Host, ...]:
        """The deployment's instances as their clouds report them now; of one role, one cloud, or all."""
        every = provision.hosts(self.topology, self.clouds)
        return tuple(host for host in every if role in ("", host.role) and cloud in ("", host.cloud))

    def refresh(self) -> tuple[Host, ...]:
        """The deployment's instances; SSH goes from now on by the bastions that are among them."""
        every = self.hosts()
        if self._access is not None:
            self._access.hosts = every
        return every

    def host(self, name: str) -> Host:
        """One host by its name, for example ``server-gcp-consul-1``, and the way to it as it is now.

        Raises:
            ParameterError: there is none of that name.
        """
        every = self.refresh()
        for host in every:
            if host.name == name:
                return host
        raise ParameterError(
            "there is no such host",
            resource="name",
            expected=", ".join(host.name for host in every) or "hosts, which there are none of yet",
            seen=name,
            remedy="take a name that is there, or run the notebook that makes this one",
        )

    def console(self, host: Host) -> str:
        """What an instance wrote to its console since it booted, through its cloud's API."""
        return self.clouds[host.cloud].console_output(host.id)

    def left(self) -> tuple[str, ...]:
        """The keys of all that still exists of the deployment, the lock of whoever is at work included."""
        lock = self.clouds.lock
        held = (f"aws:key_pair:{lock.name}",) if lock is not None and lock.look() is not None else ()
        return (*provision.absent(self.clouds), *held)

    def datacenter(self, cloud: CloudName) -> str:
        """Consul's name for a cloud's datacenter: the region."""
        return self.params.aws_region if cloud == "aws" else self.params.gcp_region

    def _service(self, plan: Plan) -> Handover | None:
        """What takes hosts out of service and brings them in, where a plan has such hosts."""
        if not rollout.order(plan).retire:
            return None
        return Handover(self.access, self.hosts, lambda found: provision.host_of(self.topology, found))

    def _require_federation(self, step: str) -> None:
        """02_federate leaves no trace in the clouds, so Consul is asked whether it has run."""
        first = self.hosts("consul")[0]
        pool = consul.members(self.access, first, wan=True)
        seen = {member.datacenter for member in pool if member.status == "alive"}
        wanted = {self.datacenter("aws"), self.datacenter("gcp")}
        if not wanted <= seen:
            raise PrerequisiteError(
                "02_federate has not run",
                step=step,
                resource=f"the WAN pool, as {first.name} sees it",
                expected=", ".join(sorted(wanted)),
                seen=", ".join(sorted(seen)) or "nobody",
                remedy="run 02_federate first; running it again does no harm",
            )

    def close(self) -> None:
        """Close the connections to the hosts, and first what goes on by them."""
        while self.closing:
            self.closing.pop()()
        with self._opening:
            access, self._access = self._access, None
        if access is not None:
            access.close()


def open_site(params: Params) -> Site:
    """Open a deployment. The operator's SSH key is made if there is none yet; no cloud is asked.

    In a notebook that nobody records, by ``runbook run`` for example, the kernel itself does so from here on; where
    somebody looks on, cells that wait say for what. A notebook's cell that does this is run again: what the one before
    had open, connections and pages, is closed; it opens what it needs anew if somebody still holds it.

    Raises:
        ParameterError: a file that a parameter names is missing or unusable.
        PrerequisiteError: there are no credentials.
    """
    interactive.begin(params, _by_hand)  # first of all: what is opened may tell secrets
    waiting.begin()
    for earlier in _held(params.deployment):
        earlier.close()
    network = terraform_state.read(params.network_state) if params.network_state else None
    wanted = topology(params, public_key=keys.operator_key(params).public_text, network=network)
    return Site(params, wanted, clouds.connect(params))


def _held(deployment: str) -> set[Site]:
    """The sites of a deployment that the kernel's variables hold; none where this is no kernel."""
    shell = onlooker.shell()
    variables = tuple(shell.user_ns.values()) if shell else ()
    return {each for each in variables if isinstance(each, Site) and each.params.deployment == deployment}


def _deeds(plan: Plan) -> set[tuple[str, str, tuple[str, ...], str]]:
    return {(a.verb, a.key, tuple(sorted(a.changes)), a.found.id if a.found else "") for a in plan.work}


def _said(deed: tuple[str, str, tuple[str, ...], str]) -> str:
    verb, key, changes, identity = deed
    which = ", ".join(filter(None, (*changes, identity)))
    return f"{verb} {key}" + (f" ({which})" if which else "")


def _by_hand(output: Path, params: Params, step: StepRecord, sources: Mapping[str, str]) -> interactive.Operation:
    from .archive.operation import Operation

    return Operation.by_hand(output, params, step, sources)
