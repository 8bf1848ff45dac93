"""From the wish for an instance to its end: what was asked for, and what the world reports back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..model import MachineState
from .errors import not_ready
from .names import Key
from .operations import Operation, timestamp

if TYPE_CHECKING:
    from .store import Store

Goal = Literal["run", "stop", "delete", "reset"]


@dataclass(slots=True)
class Life:
    """What is wanted of one instance.

    Args:
        image: what its disk was made from; Google's documents do not tell it.
        goal: where it should get to.
        seen: the world has reported something about it.
        waiting: operations that end when it gets there.
    """

    image: str
    goal: Goal = "run"
    seen: bool = False
    waiting: list[Operation] = field(default_factory=list)


def start(store: Store, key: Key) -> bool:
    """Ask for a stopped instance to run. True if that takes the world's doing; see the other verbs, too.

    Raises:
        ApiError: it is on its way down.
    """
    document, life = store.documents[key], store.lives[key]
    if document["status"] == "STOPPING":
        raise not_ready(key.path)
    if document["status"] != "TERMINATED":
        return False
    for interface in document["networkInterfaces"]:
        for config in interface.get("accessConfigs", ()):
            config.setdefault("natIP", store.public_address())
    document["status"] = "PROVISIONING"
    document["lastStartTimestamp"] = timestamp()
    life.goal = "run"
    return True


def stop(store: Store, key: Key) -> bool:
    """Ask for an instance to be stopped."""
    return _end(store, key, "stop")


def delete(store: Store, key: Key) -> bool:
    """Ask for an instance to be deleted; it is gone at once if the world never had it."""
    if _end(store, key, "delete"):
        return True
    _forget(store, key)
    return False


def reset(store: Store, key: Key) -> bool:
    """Ask for a running instance to be rebooted."""
    document, life = store.documents[key], store.lives[key]
    if document["status"] != "RUNNING":
        raise not_ready(key.path)
    life.goal = "reset"
    return True


def _end(store: Store, key: Key, goal: Goal) -> bool:
    document, life = store.documents[key], store.lives[key]
    if document["status"] == "TERMINATED":
        return False
    life.goal = goal
    if not life.seen:
        _stopped(store, key)
        return False
    document["status"] = "STOPPING"
    return True


def report(store: Store, key: Key, state: MachineState) -> bool:
    """Take in what the world says of an instance. True if that changes what should run."""
    document, life = store.documents.get(key), store.lives.get(key)
    if document is None or life is None:
        return False
    if state in ("booting", "running"):
        life.seen = True
    elif not life.seen:
        return False  # about an earlier one of the same name
    if state == "booting" and life.goal == "run":
        document["status"] = "STAGING"
    elif state == "running" and life.goal == "run":
        document["status"] = "RUNNING"
        _finish(store, life)
    elif state in ("stopped", "gone"):
        life.seen = False
        if life.goal == "reset":
            life.goal = "run"
            return True
        if life.goal == "delete":
            _forget(store, key)
        else:
            # Asked for, or shut down from inside.
            life.goal = "stop"
            _stopped(store, key)
        return True
    return False


def early(store: Store, key: Key, state: MachineState) -> float:
    """Seconds by which an instance got somewhere sooner than those who wait for it are to see it."""
    life = store.lives.get(key)
    if life is None or state not in ("running", "stopped", "gone"):
        return 0.0
    return max((store.operations.early(operation) for operation in life.waiting), default=0.0)


def _stopped(store: Store, key: Key) -> None:
    document, life = store.documents[key], store.lives[key]
    reserved = {address["address"] for _, address in store.every("addresses")}
    for interface in document["networkInterfaces"]:
        for config in interface.get("accessConfigs", ()):
            if config.get("natIP") not in reserved:
                config.pop("natIP", None)
    document["status"] = "TERMINATED"
    document["lastStopTimestamp"] = timestamp()
    _finish(store, life)


def _forget(store: Store, key: Key) -> None:
    _finish(store, store.lives.pop(key))
    del store.documents[key]


def _finish(store: Store, life: Life) -> None:
    for operation in life.waiting:
        store.operations.finish(operation)
    life.waiting.clear()
