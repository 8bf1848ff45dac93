"""Calls to the Compute API: clients, retries, operations, and errors in the runbook's words."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from ... import wait
from ...errors import CloudError
from ...params import Params

# Seconds for one call, and for all its repetitions when the API is busy or the network resource is just being changed.
CALL_TIMEOUT = 60.0
# Waiting for an operation is a call that is answered when it ends, or after two minutes at the latest.
LONG_CALL_TIMEOUT = 130.0
RETRY_TIMEOUT = 90.0


class Api:
    """One project's Compute API. Methods may be called from several threads.

    Args:
        params: endpoint, credentials and project.

    Raises:
        ParameterError: the credentials file that a parameter names is not there or is none.
        PrerequisiteError: there are no credentials.
    """

    def __init__(self, params: Params) -> None:
        from google.cloud import compute_v1

        from . import credentials

        self.types: Any = compute_v1
        self.params = params
        self.project = params.gcp_project
        self._credentials = credentials.load(params)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

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
        """One call, repeated while the API is busy.

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

        again = Retry(predicate=_is_passing, initial=0.2, maximum=3.0, timeout=RETRY_TIMEOUT)
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
        operation = self.call(what, method, {"request_id": str(uuid.uuid4()), **request}, hidden)
        if operation.status != self.types.Operation.Status.DONE:
            operation = self._until_done(what, operation)
        for error in operation.error.errors:
            raise CloudError(
                f"GCP could not do it: {_without(error.message, hidden)}",
                resource=what,
                seen=error.code,
                remedy=_remedy(error.code, error.message),
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
    refusal = CloudError(
        f"GCP refused: {message}", resource=what, seen=seen, remedy=_remedy(reason(error) or seen, message)
    )
    return refusal, error if message == said else None


def reason(error: BaseException | None) -> str:
    """Google's short word for a refusal, for example ``alreadyExists``; empty if there is none."""
    details = getattr(error, "errors", None) or ()
    return next((str(one["reason"]) for one in details if isinstance(one, dict) and one.get("reason")), "")


def is_missing(error: CloudError) -> bool:
    """Whether the refusal means that the thing is not there."""
    from google.api_core.exceptions import NotFound

    return isinstance(error.__cause__, NotFound)


def _is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    busy = (
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


def lacking(message: str) -> str:
    """The permission that the credentials lack, if that is what Google's message says; empty if not."""
    if found := re.search(r"Required '([\w.]+)' permission|Permission '([\w.]+)' denied", message):
        return found[1] or found[2]
    return "iam.serviceAccounts.actAs" if "does not have access to service account" in message else ""


def _remedy(word: str, message: str = "") -> str:
    if permission := lacking(message):
        return f"give the credentials {permission}; `runbook permissions --format role` prints the role they need"
    if "has not been used in project" in message or word == "SERVICE_DISABLED":
        word = "accessNotConfigured"
    table = {
        "alreadyExists": "something of that name exists and is not this deployment's: choose another deployment name",
        "ALREADY_EXISTS": "something of that name exists: choose another deployment name, or run 05_teardown",
        "resourceInUseByAnotherResource": "run the step again; if it stays, remove what is named by hand",
        "quotaExceeded": "ask for more quota, or use another region",
        "QUOTA_EXCEEDED": "ask for more quota, or use another region",
        "ZONE_RESOURCE_POOL_EXHAUSTED": "use other zones (gcp_zones) or another gcp_machine_type",
        "accessNotConfigured": "gcloud services enable compute.googleapis.com, then wait a few minutes",
        "insufficientPermissions": "use credentials whose tokens have the scope compute or cloud-platform",
        "forbidden": "give the credentials the role that `runbook permissions --format role` prints",
        "authError": "renew the credentials that gcp_credentials names",
        "ConnectionError": "is gcp_endpoint right, and is the lab up? (runbook lab status)",
    }
    return table.get(word, "correct what the message names, then run the step again; it carries on")


def _without(text: str, hidden: Iterable[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, "***")
    return text
