"""Views that refresh in place while somebody looks on: Consul's members, its catalogue, and the demo's answers.

A cell shows one and is done; a thread renews it until ``stop()``, a later view of the same kind, some minutes, or the
kernel's end. What it shows last stays, and says when that was. Where nobody looks on, it looks once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from .. import consul, visits
from ..access import Access
from ..errors import PrerequisiteError, RunbookError
from ..resources import CLOUDS, CloudName, Host
from ..site import Site
from ..together import each
from .view import Account, Look, Row, View, running

__all__ = ["answers", "catalog", "members", "stop"]

MINUTES = 10.0  # after which a view ends by itself
LAST = 10  # answers of a load balancer by which is told who answers now
PATIENCE = 3.0  # seconds of silence after which a visitor gives up

Known = tuple[tuple[str, ...], Row]  # one thing's key and what is known of it


def members(site: Site, *, minutes: float = MINUTES) -> View:
    """``consul members`` of both datacenters, renewed every 2 s.

    Args:
        site: the deployment.
        minutes: after which it ends by itself.
    """
    account = Account("datacenter", "node", "state", "address", "role", "version")
    return _begin(site, f"Members of {site.params.deployment}", account, _Datacenters(site, _members), minutes)


def catalog(site: Site, *, minutes: float = MINUTES) -> View:
    """The catalogue of both datacenters: each service's instances and what their checks say, renewed every 2 s.

    Args:
        site: the deployment.
        minutes: after which it ends by itself.
    """
    account = Account("datacenter", "service", "node", "address", "state", "tags")
    return _begin(site, f"Catalogue of {site.params.deployment}", account, _Datacenters(site, _instances), minutes)


def answers(site: Site, name: str = "demo", *, minutes: float = MINUTES) -> View:
    """Who answers a visitor of each load balancer; each is asked once in 2 s.

    Args:
        site: the deployment.
        name: the service.
        minutes: after which it ends by itself.
    """
    account = Account("load balancer", "answer", "state", "how often", "last at")
    return _begin(site, f"Answers of {name} in {site.params.deployment}", account, _Visitor(site, name), minutes)


def stop() -> None:
    """End every view of this kernel; what each showed last stays."""
    for view in running():
        view.stop()


def _begin(site: Site, name: str, account: Account, look: Callable[[], Look], minutes: float) -> View:
    """A view that ends before the site's connections do: its next look would open them anew."""
    view = View(name, account, look, minutes)
    site.closing.append(view.stop)
    return view.begin()


def _members(access: Access, host: Host) -> Iterable[Known]:
    for one in consul.members(access, host):
        yield (host.datacenter, one.name), Row((one.status,), (one.address, one.role, one.version))


def _instances(access: Access, host: Host) -> Iterable[Known]:
    for one in consul.instances(access, host):
        where = f"{one.address}:{one.port}" if one.port else one.address
        yield (one.datacenter, one.service, one.node, where), Row((one.status, ", ".join(one.tags)))


class _Datacenters:
    """Asks one Consul server a cloud: the one that answered last, or its fellows."""

    def __init__(self, site: Site, ask: Callable[[Access, Host], Iterable[Known]]) -> None:
        self._site, self._ask = site, ask
        self._last: dict[CloudName, str] = {}

    def __call__(self) -> Look:
        access = self._site.access  # the same for all of a look: one that is closed meanwhile is not opened anew
        found = each(lambda cloud: self._rows(access, cloud), CLOUDS)
        rows = {key: row for part in found if not isinstance(part, RunbookError) for key, row in part}
        both = zip(CLOUDS, found, strict=True)
        troubles = {self._site.datacenter(cloud): _short(p) for cloud, p in both if isinstance(p, RunbookError)}
        return Look(rows, troubles)

    def _rows(self, access: Access, cloud: CloudName) -> tuple[Known, ...] | RunbookError:
        """What a datacenter knows now, or why nobody tells."""
        problem: RunbookError = PrerequisiteError(f"no Consul server in {cloud} yet", remedy="01_bootstrap makes them")
        try:
            for host in self._servers(access, cloud):
                self._last.pop(cloud, None)
                try:
                    found = tuple(self._ask(access, host))
                except RunbookError as error:
                    problem = error
                else:
                    self._last[cloud] = host.name
                    return found
        except RunbookError as error:
            return error
        return problem

    def _servers(self, access: Access, cloud: CloudName) -> Iterable[Host]:
        """The clouds are asked for them only while nobody answers."""
        yield from (host for host in access.hosts if host.cloud == cloud and host.name == self._last.get(cloud))
        yield from self._site.hosts("consul", cloud)


class _Visitor:
    """Asks each load balancer once a look, and counts."""

    def __init__(self, site: Site, name: str) -> None:
        self._site, self._name = site, name
        self._balancers: tuple[Host, ...] = ()
        self._last: dict[str, deque[str]] = {}
        self._count: dict[tuple[str, str], int] = {}
        self._latest: dict[tuple[str, str], visits.Answer] = {}

    def __call__(self) -> Look:
        if not self._balancers:
            self._balancers = self._site.hosts("traefik")
        if not self._balancers:
            raise PrerequisiteError("no load balancer yet", remedy="03_traefik makes them")
        asked = {host.name for host in self._balancers}
        for answer in visits.ask_all(self._site.params, self._balancers, self._name, patience=PATIENCE):
            said = answer.server or (f"{answer.status} {answer.text}" if answer.status else answer.text)
            key = (answer.traefik, said)
            self._last.setdefault(answer.traefik, deque(maxlen=LAST)).append(said)
            self._count[key] = self._count.get(key, 0) + 1
            self._latest[key] = answer
            if not answer.status:  # it may have been replaced, and be at another address now
                self._balancers = ()
        return Look({key: self._row(key) for key in self._count if key[0] in asked})

    def _row(self, key: tuple[str, str]) -> Row:
        latest = self._latest[key]
        now = "answers" if latest.status else "no answer"
        state = now if key[1] in self._last[key[0]] else f"not among the last {LAST}"
        at = datetime.fromtimestamp(latest.at, UTC)
        return Row((state,), (str(self._count[key]), f"{at:%H:%M:%S}"))


def _short(error: RunbookError) -> str:
    """An error in a table's cell."""
    return f"{error.message}: {error.seen}" if error.seen else error.message
