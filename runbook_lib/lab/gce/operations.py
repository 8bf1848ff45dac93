"""Operations: every change answers with one, and clients ask it until it is DONE.

What a change does to the content of the API, it does at once; its operation takes a little longer, so that
clients which do not wait are found out (``resourceNotReady``). Most operations simply last; those of instances
are held until the world reports that the instance has got there.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import ApiError
from .names import ROOT, Key

Doc = dict[str, Any]


def timestamp(seconds: float | None = None) -> str:
    """A moment (Unix seconds; now if not given) as the API writes it (RFC 3339)."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds")


def new_id() -> str:
    """An identifier of 19 digits, as text."""
    return str(10**18 + secrets.randbelow(8 * 10**18))


@dataclass(slots=True)
class Operation:
    """One change under way or done.

    Args:
        key: its own name and scope.
        target: what it changes.
        kind: ``insert``, ``delete``, ``setTags``, ...
        user: who asked.
        request_id: the client's, or empty.
        started: Unix seconds.
        ends: Unix seconds, or ``None`` while it is held.
        error: why it failed.
    """

    key: Key
    id: str
    target: Key
    target_id: str
    kind: str
    user: str
    request_id: str
    started: float
    ends: float | None
    error: ApiError | None = None

    def done(self, now: float) -> bool:
        return self.ends is not None and now >= self.ends

    def document(self, now: float) -> Doc:
        """The operation as the API shows it."""
        pending = self.ends is not None and now < self.started + (self.ends - self.started) / 3
        status = "DONE" if self.done(now) else "PENDING" if pending else "RUNNING"
        document: Doc = {
            "kind": "compute#operation",
            "id": self.id,
            "name": self.key.name,
            "operationType": self.kind,
            "targetLink": self.target.link,
            "targetId": self.target_id,
            "user": self.user,
            "status": status,
            "progress": 100 if status == "DONE" else 0,
            "insertTime": timestamp(self.started),
            "selfLink": self.key.link,
        }
        if status != "PENDING":
            document["startTime"] = timestamp(self.started)
        if self.request_id:
            document["clientOperationId"] = self.request_id
        scope, _, place = self.key.scope.partition("/")
        if place:
            document[scope.removesuffix("s")] = f"{ROOT}projects/{self.key.project}/{self.key.scope}"
        if status == "DONE" and self.ends is not None:
            document["endTime"] = timestamp(self.ends)
            if self.error:
                document["error"] = {"errors": [{"code": self.error.reason, "message": self.error.message}]}
                document["httpErrorStatusCode"] = self.error.code
                document["httpErrorMessage"] = "BAD REQUEST" if self.error.code == 400 else "ERROR"
        return document


class Operations:
    """All operations of one project. Callers hold the condition's lock.

    Args:
        changed: a condition over the project's lock; told when a held operation ends.
        duration: seconds that an operation lasts.
        durations: the same for single methods, by name.
        clock: Unix seconds now.
    """

    def __init__(
        self,
        changed: threading.Condition,
        duration: float,
        durations: Mapping[str, float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._changed = changed
        self._duration = duration
        self._durations = durations
        self.clock = clock
        self._all: dict[Key, Operation] = {}
        self._requests: dict[str, tuple[object, Operation]] = {}

    def start(self, kind: str, target: Key, target_id: str, user: str, request_id: str, *, held: bool) -> Operation:
        """Begin one; a held one lasts until ``finish``."""
        now = self.clock()
        name = f"operation-{int(now * 1000)}-{secrets.token_hex(7)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
        operation = Operation(
            key=Key(target.project, target.scope or "global", "operations", name),
            id=new_id(),
            target=target,
            target_id=target_id,
            kind=kind,
            user=user,
            request_id=request_id,
            started=now,
            ends=None if held else now + self._durations.get(_method(kind, target), self._duration),
        )
        self._all[operation.key] = operation
        return operation

    def finish(self, operation: Operation, error: ApiError | None = None) -> None:
        """End a held operation now."""
        if operation.ends is None:
            operation.ends = self.clock()
            operation.error = error
            self._changed.notify_all()

    def early(self, operation: Operation) -> float:
        """Seconds by which a held operation would end sooner than its method's do."""
        lasts = self._durations.get(_method(operation.kind, operation.target), 0.0)
        return operation.started + lasts - self.clock()

    def find(self, key: Key) -> Operation | None:
        return self._all.get(key)

    def forget(self, key: Key) -> None:
        self._all.pop(key, None)

    def all(self) -> list[Operation]:
        return list(self._all.values())

    def wait(self, operation: Operation, timeout: float) -> None:
        """Return when the operation is done or the time (seconds) is over; gives up the lock meanwhile."""
        deadline = self.clock() + timeout
        while not operation.done(now := self.clock()) and now < deadline:
            until = deadline if operation.ends is None else min(deadline, operation.ends)
            self._changed.wait(max(until - now, 0.001))

    def repeated(self, request_id: str, request: object) -> Operation | None:
        """The operation that the same request started before, if it carried the same id.

        Raises:
            ApiError: the id was used for another request.
        """
        if request_id not in self._requests:
            return None
        before, operation = self._requests[request_id]
        if before != request:
            raise ApiError(
                400,
                "invalid",
                f"Invalid value for field 'requestId': '{request_id}'. The id was used for a different request.",
            )
        return operation

    def remember(self, request_id: str, request: object, operation: Operation) -> None:
        if request_id:
            self._requests[request_id] = (request, operation)


def _method(kind: str, target: Key) -> str:
    """The name of the method that began an operation."""
    return f"compute.{target.collection or 'projects'}.{kind}"
