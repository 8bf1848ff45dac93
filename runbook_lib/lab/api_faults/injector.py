"""Follows a schedule of faults, between an API and its callers."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from ..calls import Answer, Call, HangUp, Serve
from ..gce.errors import OperationError
from ..gce.names import Key
from ..gce.operations import Operation, new_id
from . import refusals
from .schedule import CALLS, Strike

log = logging.getLogger(__name__)


class Injector:
    """An interceptor that makes calls meet the faults of a schedule.

    Args:
        strikes: the schedule, of both clouds.
        fail: lets one of AWS's NAT gateways fail, given its id; for schedules that have that fault.
    """

    def __init__(self, strikes: Iterable[Strike], fail: Callable[[str], None] | None = None) -> None:
        self._strikes = tuple(strikes)
        self._fail = fail
        self._lock = threading.Lock()
        self._met: Counter[Strike] = Counter()
        self._listed: dict[tuple[str, str, bytes], Answer] = {}
        self._operations: dict[str, Operation] = {}
        self.struck: list[Strike] = []

    def stop(self) -> None:
        """The APIs are well from now on."""
        self._strikes = ()

    def __call__(self, call: Call, serve: Serve) -> Answer:
        """See ``calls.Interceptor``."""
        if call.action.startswith("compute.operations.") and (answer := self._ended(call)):
            return answer
        strike = self._strike(call)
        if strike is None:
            return self._served(call, serve)
        log.info("%s", strike)
        match strike.fault:
            case "cut-before":
                raise HangUp
            case "cut-after":
                serve()
                raise HangUp
            case "stale":
                return self._listed[_question(call)]
            case "failed" if call.cloud == "aws":
                assert self._fail is not None, "this schedule needs a cloud whose things can fail"
                self._fail(refusals.parameter(call, "NatGatewayId.1"))
                return self._served(call, serve)
            case "failed" | "capacity" if call.cloud == "gcp":
                return self._begin_to_fail(call, refusals.operation_error(strike.fault, call))
            case "quota" if call.action == "compute.instances.insert":
                return self._begin_to_fail(call, refusals.operation_error(strike.fault, call))
        return refusals.refusal(strike.fault, call)

    def _strike(self, call: Call) -> Strike | None:
        """The fault that a call meets; every strike counts the calls that are its own."""
        found = None
        with self._lock:
            for strike in self._strikes:
                if strike.cloud != call.cloud or strike.action != call.action:
                    continue
                if not refusals.applies(strike.fault, call):
                    continue
                if strike.fault == "stale" and _question(call) not in self._listed:
                    continue  # there is nothing older
                self._met[strike] += 1
                if found is None and strike.first <= self._met[strike] < strike.first + strike.times:
                    found = strike
            if found:
                self.struck.append(found)
        return found

    def _served(self, call: Call, serve: Serve) -> Answer:
        answer = serve()
        if call.action in CALLS[call.cloud]["stale"]:
            self._listed[_question(call)] = answer
        return answer

    def _begin_to_fail(self, call: Call, error: OperationError) -> Answer:
        """Accept a change of GCP's that will end in an error and do nothing."""
        project, *place, collection = call.target.split("/")
        scope = "/".join(place)
        name = str(json.loads(call.body).get("name", ""))
        operation = Operation(
            key=Key(project, scope, "operations", f"operation-{int(time.time() * 1000)}-{new_id()}"),
            id=new_id(),
            target=Key(project, scope, collection, name),
            target_id=new_id(),
            kind="insert",
            user="operator",
            request_id="",
            started=time.time(),
            ends=None,
            error=error,
        )
        self._operations[operation.key.name] = operation
        return _json(operation)

    def _ended(self, call: Call) -> Answer | None:
        """What became of such a change."""
        operation = next((o for name, o in list(self._operations.items()) if name in call.target.split("/")), None)
        if operation is None:
            return None
        operation.ends = operation.ends or time.time()
        return _json(operation)


def _question(call: Call) -> tuple[str, str, bytes]:
    return call.action, call.target, call.body


def _json(operation: Operation) -> Answer:
    body = json.dumps(operation.document(time.time())).encode()
    headers = (("Content-Type", "application/json; charset=UTF-8"), ("Content-Length", str(len(body))))
    return Answer("200 OK", headers, body)
