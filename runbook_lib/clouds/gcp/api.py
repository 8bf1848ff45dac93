"""Calls to the Compute API: clients, retries, operations, and errors in the runbook's words."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from ... import wait
from ...errors import CloudError
from ...params import Params
from ..recent import PATIENCE, Patience
from .remedies import remedy

# Seconds for one call.
CALL_TIMEOUT = 60.0
# Waiting for an operation is a call that is answered when it ends, or after two minutes at the latest.
LONG_CALL_TIMEOUT = 130.0


class Api:
    """One project's Compute API. Methods may be called from several threads.

    Args:
        params: endpoint, credentials and project.
        patience: for how long the API may be busy, or not know what was just made.

    Raises:
        ParameterError: the credentials file that a parameter names is not there or is none.
        PrerequisiteError: there are no credentials.
    """

    def __init__(self, params: Params, patience: Patience = PATIENCE) -> None:
        from . import compute, credentials

        self.types: Any = compute.load()
        self.params = params
        self.patience = patience
        self.project = params.gcp_project
        self._credentials = credentials.load(params)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.proceed: Callable[[], None] | None = None  # asked before each change

    def client(self, name: str) -> Any:
        """A client by its class name, for example ``NetworksClient``."""
        with self._lock:
            if name not in self._clients:
                options = {"api_endpoint": self.params.gcp_endpoint} if self.params.gcp_endpoint else {}
                self._clients[name] = getattr(self.types, name)(credentials=self._credentials, client_options=options)
            return self._clients[name]

    def call(
        self,
        what: str,
        method: Callable[..., Any],
        request: dict[str, Any],
        hidden: Iterable[str] = (),
        timeout: float = CALL_TIMEOUT,
    ) -> Any:
        """One call, repeated while the API is busy, or the way to it breaks; a change is one by its request id.

        Args:
            what: the resource, for an error message.
            method: a client's method.
            request: its request message; ``project`` is filled in.
            hidden: texts that no error message may show.
            timeout: seconds for the answer.

        Raises:
            CloudError: the API refuses; ``__cause__`` is Google's exception, unless it shows what is hidden.
        """
        from google.api_core import exceptions
        from google.api_core.retry import Retry
        from google.auth.exceptions import GoogleAuthError

        again = Retry(predicate=_is_passing, initial=0.2, maximum=5.0, timeout=self.patience.busy)
        try:
            return again(method)(request={"project": self.project, **request}, timeout=timeout)
        except exceptions.RetryError as error:
            refusal, cause = _refusal(what, error.cause or error, hidden)
            raise refusal from cause
        except (exceptions.GoogleAPICallError, GoogleAuthError, OSError) as error:
            refusal, cause = _refusal(what, error, hidden)
            raise refusal from cause

    def change(
        self, what: str, method: Callable[..., Any], request: dict[str, Any], hidden: Iterable[str] = ()
    ) -> None:
        """One change, waited for to its end; a repetition of the same call changes nothing twice.

        Raises:
            CloudError: the API refuses, or the operation fails.
            WaitTimeout: the operation does not end in time.
        """

        @functools.wraps(method)
        def asked(**arguments: Any) -> Any:
            if self.proceed:
                self.proceed()
            return method(**arguments)

        operation = self.call(what, asked, {"request_id": str(uuid.uuid4()), **request}, hidden)
        if operation.status != self.types.Operation.Status.DONE:
            operation = self._until_done(what, operation)
        for error in operation.error.errors:
            raise CloudError(
                f"GCP could not do it: {_without(error.message, hidden)}",
                resource=what,
                seen=error.code,
                remedy=remedy(error.code, error.message),
            )

    def _until_done(self, what: str, operation: Any) -> Any:
        from requests.exceptions import Timeout

        place, request = "global", {"operation": operation.name}
        for scope in ("region", "zone"):
            if url := getattr(operation, scope):
                place, request[scope] = scope, url.rpartition("/")[2]
        method = self.client(f"{place.title()}OperationsClient").wait

        def look() -> Any:
            try:
                return self.call(what, method, request, timeout=min(LONG_CALL_TIMEOUT, self.params.timeout))
            except CloudError as error:
                if isinstance(error.__cause__, Timeout):
                    return operation
                raise

        done = self.types.Operation.Status.DONE
        return wait.until(
            look,
            lambda seen: bool(seen.status == done),
            what=f"{operation.operation_type} of {what}",
            timeout=self.params.timeout,
            interval=0.1,
            describe=lambda seen: f"{seen.status.name}, {seen.progress} %",
            remedy="run the step again; it carries on",
        )


def _refusal(what: str, error: BaseException, hidden: Iterable[str]) -> tuple[CloudError, BaseException | None]:
    """Google's (or the network's) refusal as a ``CloudError``, and the cause that may be shown with it."""
    said = str(getattr(error, "message", "") or error)
    message = _without(said, hidden)
    code = getattr(error, "code", None)
    seen = f"HTTP {int(code)} {reason(error)}".strip() if isinstance(code, int) else type(error).__name__
    mend = remedy(reason(error) or seen, message)
    refusal = CloudError(f"GCP refused: {message}", resource=what, seen=seen, remedy=mend)
    return refusal, error if message == said else None


def reason(error: BaseException | None) -> str:
    """Google's short word for a refusal, for example ``alreadyExists``; empty if there is none."""
    details = getattr(error, "errors", None) or ()
    return next((str(one["reason"]) for one in details if isinstance(one, dict) and one.get("reason")), "")


def is_there(error: CloudError) -> bool:
    """Whether the refusal means that something of that name exists."""
    return reason(error.__cause__) == "alreadyExists" or error.seen in ("ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS")


def is_missing(error: CloudError) -> bool:
    """Whether the refusal means that the thing is not there."""
    from google.api_core.exceptions import NotFound

    return isinstance(error.__cause__, NotFound)


def _is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    busy = (
        exceptions.InternalServerError,
        exceptions.ServiceUnavailable,
        exceptions.BadGateway,
        exceptions.GatewayTimeout,
        exceptions.TooManyRequests,
        ConnectionResetError,
    )
    if isinstance(error, busy) or (isinstance(error, TransportError) and error.retryable):
        return True
    # The HTTP library's own errors are OSErrors; a refused connection will not mend itself.
    if isinstance(error, OSError) and not isinstance(error, exceptions.GoogleAPICallError):
        return "reset by peer" in str(error) or "closed connection" in str(error)
    # What is being changed by another operation, as a network is by its subnetworks.
    return reason(error) in ("resourceNotReady", "rateLimitExceeded")


def _without(text: str, hidden: Iterable[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "***")
    return text
