"""In which order hosts with a service leave it and enter it, when a plan replaces or removes some. Pure.

``provision`` makes and ends instances whatever runs on them. What runs here is a cluster that needs its quorum and a
name that visitors ask; ``handover`` takes a host out of that and brings one in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .plan import TEARDOWN, Action, Plan


@dataclass(frozen=True, slots=True)
class Order:
    """Which hosts have a service to leave and to enter, and who waits for whom.

    Args:
        settle: keys of instances that are to be in service before others leave it.
        retire: key of an instance that ends -> the keys that must have settled, or have ended, before it leaves.
    """

    settle: frozenset[str] = frozenset()
    retire: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def order(plan: Plan) -> Order:
    """Who waits for whom in a plan. Pure.

    In each lane what is added and what stays settles first: a run that broke off may have left it half-way. Then one
    after the other is replaced, then the surplus goes: all at once, but Consul's servers one by one, as each that
    leaves changes what a majority is.
    """
    settle: set[str] = set()
    retire: dict[str, tuple[str, ...]] = {}
    for lane, actions in _lanes(plan).items():
        keys: dict[str, list[str]] = {}
        for action in sorted(actions, key=lambda action: action.key):
            keys.setdefault(action.verb, []).append(action.key)
        replaced, surplus = keys.pop("replace", []), keys.pop("destroy", [])
        if not replaced and not surplus:
            continue
        before = tuple(key for rest in keys.values() for key in rest)
        settle |= {*before, *replaced}
        for key in replaced:
            retire[key] = before
            before = (key,)
        for key in surplus:
            retire[key] = before
            before = (key,) if lane.startswith("consul") else before
    return Order(frozenset(settle), retire)


def _lanes(plan: Plan) -> dict[str, list[Action]]:
    """Actions on hosts, by the group of which one at a time may be away; none when all is torn down."""
    lanes: dict[str, list[Action]] = {}
    roles = {node.key: str(node.role) for node in plan.topology.nodes}
    for action in plan.actions if plan.step != TEARDOWN else ():
        if ":instance:" not in action.key:
            continue
        cloud = action.key.split(":")[0]
        role = roles.get(action.key) or (action.found.attributes.get("role", "") if action.found else "")
        # Visitors find the other cloud's load balancers, too; web servers and servers are their own cloud's.
        lane = {"consul": f"consul {cloud}", "web": f"web {cloud}", "traefik": "traefik"}.get(role)
        if lane:
            lanes.setdefault(lane, []).append(action)
    return lanes
