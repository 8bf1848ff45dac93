"""Refusals of the Compute API, in Google's words and shape.

Messages and reasons follow the public API's: clients, and the people who read their output, know them by heart.
"""

from __future__ import annotations

from typing import Any

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """A request that is refused, or (from ``OperationError``) accepted and then failed.

    Args:
        code: HTTP status.
        reason: Google's short word for it, for example ``notFound``.
        message: Google's sentence.
        short: what stands in ``errors[0].message``, if not ``message``.
        location: the header that is wrong, for ``Authorization``.
        domain: ``global``, or ``usageLimits`` for limits.
        details: ``google.rpc`` detail records.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        short: str = "",
        location: str = "",
        domain: str = "global",
        details: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.short = short
        self.location = location
        self.domain = domain
        self.details = details or []

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        item: dict[str, Any] = {"message": self.short or self.message, "domain": self.domain, "reason": self.reason}
        if self.location:
            item |= {"location": self.location, "locationType": "header"}
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "errors": [item],
            "status": _STATUS.get(self.code, "UNKNOWN"),
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}


class OperationError(ApiError):
    """A request that is well formed, and whose operation ends in an error.

    Args:
        kind: the operation's error code, for example ``IP_SPACE_EXHAUSTED``.
    """

    def __init__(self, kind: str, message: str, code: int = 400) -> None:
        super().__init__(code, kind, message)


def not_found(path: str) -> ApiError:
    return ApiError(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> ApiError:
    return ApiError(409, "alreadyExists", f"The resource '{path}' already exists")


def not_ready(path: str) -> ApiError:
    return ApiError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def in_use(word: str, path: str, user: str) -> ApiError:
    return ApiError(
        400,
        "resourceInUseByAnotherResource",
        f"The {word} resource '{path}' is already being used by '{user}'",
    )


def invalid(field: str, value: object, why: str) -> ApiError:
    return ApiError(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def required(field: str) -> ApiError:
    return ApiError(400, "required", f"Required field '{field}' not specified")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "badRequest", message)


def fingerprint_mismatch(what: str) -> ApiError:
    return ApiError(412, "conditionNotMet", f"Supplied fingerprint does not match current {what} fingerprint.")


def unauthenticated(given: bool) -> ApiError:
    """No credentials, or some that are not (or no longer) accepted."""
    if given:
        return ApiError(
            401,
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            short="Invalid Credentials",
            location="Authorization",
        )
    return ApiError(
        401,
        "required",
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other "
        "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        short="Login Required.",
        location="Authorization",
    )


def forbidden(permission: str, path: str) -> ApiError:
    """The caller is known and lacks a permission on a resource."""
    return ApiError(403, "forbidden", f"Required '{permission}' permission for '{path}'")


def may_not_act_as(account: str, user: str) -> ApiError:
    """The caller may not hand a service account to an instance."""
    return ApiError(
        400,
        "badRequest",
        f"The user does not have access to service account '{account}'.  User: '{user}'.  Ask a project owner to "
        "grant you the iam.serviceAccountUser role on the service account",
    )


def insufficient_scopes(method: str) -> ApiError:
    """The token is good, but was not given a scope for this method."""
    return ApiError(
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
        short="Insufficient Permission",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
                "metadata": {"service": "compute.googleapis.com", "method": method},
            }
        ],
    )
