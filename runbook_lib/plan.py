"""Wanted against found: what a step has to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Literal

from .clouds.base import CHANGEABLE, differences
from .drift import explain
from .errors import PrerequisiteError
from .resources import STEPS, Found, Resource, refs, resolve
from .topology import STEP_OF_ROLE, Topology

Verb = Literal["create", "change", "replace", "keep", "destroy"]
TEARDOWN = "05_teardown"
# What a thing is besides what it is made of, by attribute, and why it is put right if it is not.
STATES = {"running": "does not run", "marked": "lost its tags"}


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done with one resource.

    Args:
        verb: the deed.
        key: the resource's key.
        reason: why, in a few words.
        resource: what is wanted; ``None`` when destroying what is not wanted.
        found: what exists; ``None`` when creating.
        changes: fields to bring in line.
    """

    verb: Verb
    key: str
    reason: str
    resource: Resource | None = field(default=None, repr=False)
    found: Found | None = field(default=None, repr=False)
    changes: tuple[str, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether there is something to do or to wait for."""
        return self.verb != "keep" or not is_ready(self.found)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one step has to do.

    Args:
        step: the notebook.
        actions: one a resource, dependencies first; what is destroyed comes last.
        found: everything that existed when the plan was made, by key.
        topology: what is wanted.
    """

    step: str
    actions: tuple[Action, ...]
    found: Mapping[str, Found] = field(repr=False)
    topology: Topology = field(repr=False)

    @property
    def work(self) -> tuple[Action, ...]:
        """The actions that do something."""
        return tuple(action for action in self.actions if action.verb != "keep")

    @property
    def counts(self) -> Mapping[str, int]:
        """How many actions of each verb."""
        return Counter(action.verb for action in self.actions)

    def as_json(self) -> dict[str, Any]:
        """The plan for machines: its step, how many actions of each verb, and those that do something."""
        work = []
        for action in self.work:
            cloud, kind, name = action.key.split(":", 2)
            identity = action.found.id if action.found else None
            work.append(
                {
                    "verb": action.verb,
                    "cloud": cloud,
                    "kind": kind,
                    "name": name,
                    "id": identity,
                    "reason": action.reason,
                    "fields": list(action.changes),
                }
            )
        return {"step": self.step, "counts": dict(self.counts), "work": work}

    def __str__(self) -> str:
        if not self.work:
            return f"{self.step}: nothing to do, {len(self.actions)} resources are as wanted"
        return f"{self.step}: " + ", ".join(f"{count} to {verb}" for verb, count in self.counts.items())


def plan(topology: Topology, found: Mapping[str, Found], step: str, *, alone: bool = True) -> Plan:
    """Compare what a step wants with what exists.

    Args:
        topology: everything wanted.
        found: everything that exists, by key, of both clouds.
        step: a name out of ``STEPS``; ``05_teardown`` wants nothing at all.
        alone: the step is to be carried out as things are, so those before it must have run.

    Raises:
        PrerequisiteError: an earlier step has not run.
    """
    if step == TEARDOWN:
        doomed = (Action("destroy", key, "teardown", found=thing) for key, thing in found.items())
        return Plan(step, tuple(_destroy_order(topology, doomed)), found, topology)
    if alone:
        require_step(topology, found, step)

    actions: list[Action] = []
    anew: set[str] = set()
    for resource in _create_order(topology.step(step)):
        action = _decide(resource, found, anew)
        if action.verb in ("create", "replace"):
            anew.add(resource.key)
        actions.append(action)

    surplus = (
        Action("destroy", key, "no longer wanted", found=thing)
        for key, thing in found.items()
        if key not in topology.by_key and _step_of(thing) == step
    )
    return Plan(step, (*actions, *_destroy_order(topology, surplus)), found, topology)


def require_step(topology: Topology, found: Mapping[str, Found], step: str) -> None:
    """Make sure that the steps before this one have created what they should.

    Raises:
        PrerequisiteError: naming the first step that has not run, or not to its end.
    """
    for earlier in STEPS[: STEPS.index(step)]:
        wanted = topology.step(earlier)
        missing = [resource.key for resource in wanted if resource.key not in found]
        if missing:
            raise PrerequisiteError(
                f"{earlier} has not run" if len(missing) == len(wanted) else f"{earlier} has not run to its end",
                step=step,
                resource=missing[0],
                expected=f"the {len(wanted)} resources of {earlier}",
                seen=f"{len(missing)} of them are missing",
                remedy=f"run {earlier} first; running it again does no harm",
            )


def is_ready(found: Found | None) -> bool:
    """Whether something that exists already does its work."""
    return found is None or found.attributes.get("ready", True) is True


def kind_needs(topology: Topology) -> Mapping[str, frozenset[str]]:
    """For each "cloud:kind", the kinds of the same cloud that it stands on, directly or not.

    References across clouds pass values on, and bind nothing to be destroyed in any order.
    """
    direct: dict[str, set[str]] = {}
    for resource in topology.resources:
        kinds = direct.setdefault(kind_of(resource.key), set())
        kinds |= {kind_of(key) for key in resource.needs() if key.startswith(resource.cloud + ":")}
    needs: dict[str, frozenset[str]] = {}
    for kind in TopologicalSorter(direct).static_order():
        below = direct.get(kind, set())
        needs[kind] = frozenset(below).union(*(needs[other] for other in below))
    return needs


def _decide(resource: Resource, found: Mapping[str, Found], anew: set[str]) -> Action:
    thing = found.get(resource.key)
    if thing is None:
        return Action("create", resource.key, "missing", resource)
    differs = dict(_changes(resource, thing, found, anew))
    differs |= {name: reason for name, reason in STATES.items() if thing.attributes.get(name, True) is False}
    changes = tuple(differs)
    if not changes:
        return Action("keep", resource.key, "as wanted" if is_ready(thing) else "still being made", resource, thing)
    in_place = CHANGEABLE.get(kind_of(resource.key), frozenset()) | STATES.keys()
    verb: Verb = "change" if in_place.issuperset(changes) else "replace"
    return Action(verb, resource.key, "; ".join(differs.values()), resource, thing, changes)


def _changes(resource: Resource, thing: Found, found: Mapping[str, Found], anew: set[str]) -> Iterator[tuple[str, str]]:
    """Fields that differ, and how."""
    for name, value in resource.spec.items():
        unknown = any(ref.key in anew or ref.key not in found for ref in refs(value))
        wanted = None if unknown else _resolved(value, found)
        if name in thing.spec and (unknown or differences({name: wanted}, thing.spec)):
            yield name, explain(name, wanted, thing.spec[name])


def _resolved(value: Any, found: Mapping[str, Found]) -> Any:
    try:
        return resolve(value, found)
    except KeyError:
        return None  # an attribute that is not known yet equals nothing


def _create_order(resources: tuple[Resource, ...]) -> Iterator[Resource]:
    by_key = {resource.key: resource for resource in resources}
    graph = {key: sorted(resource.needs() & by_key.keys()) for key, resource in by_key.items()}
    return (by_key[key] for key in TopologicalSorter(graph).static_order())


def _destroy_order(topology: Topology, actions: Iterator[Action]) -> list[Action]:
    needs = kind_needs(topology)
    depth = {kind: len(below) for kind, below in needs.items()}
    return sorted(actions, key=lambda action: (-depth.get(kind_of(action.key), 0), action.key))


def kind_of(key: str) -> str:
    """The "cloud:kind" of a key."""
    return ":".join(key.split(":", 2)[:2])


def _step_of(thing: Found) -> str:
    return STEP_OF_ROLE.get(str(thing.attributes.get("role", "")), STEPS[0])
