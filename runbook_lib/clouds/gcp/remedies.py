"""What a reader can do about Google's refusals. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_QUOTA = re.compile(r"Quota '(?P<name>[^']+)' exceeded")
_RENEW = "renew the credentials that gcp_credentials names, and run the step again: it carries on"
_LATER = "wait a minute and run the step again; it carries on"
_ELSEWHERE = "use other zones (gcp_zones) or another gcp_machine_type, or run the step again later: it carries on"
_REMEDIES: Mapping[str, str] = {
    "alreadyExists": "something of that name exists and is not this deployment's: choose another deployment name",
    "ALREADY_EXISTS": "something of that name exists: choose another deployment name, or run 05_teardown",
    "resourceInUseByAnotherResource": "run the step again; if it stays, remove what is named by hand",
    "ZONE_RESOURCE_POOL_EXHAUSTED": _ELSEWHERE,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": _ELSEWHERE,
    "rateLimitExceeded": _LATER,
    "backendError": _LATER,
    "internalError": _LATER,
    "INTERNAL_ERROR": _LATER,
    "accessNotConfigured": "gcloud services enable compute.googleapis.com, then wait a few minutes",
    "insufficientPermissions": "use credentials whose tokens have the scope compute or cloud-platform",
    "forbidden": "give the credentials the role that `runbook permissions --format role` prints",
    "authError": _RENEW,
    "RefreshError": _RENEW,
    "ConnectionError": "is gcp_endpoint right, and is the lab up? (runbook lab status)",
}


def remedy(word: str, message: str = "") -> str:
    """What to do.

    Args:
        word: Google's short word for the refusal, or the code of a failed operation.
        message: Google's sentence.
    """
    if permission := lacking(message):
        return f"give the credentials {permission}; `runbook permissions --format role` prints the role they need"
    if "has not been used in project" in message or word == "SERVICE_DISABLED":
        word = "accessNotConfigured"
    if word in ("quotaExceeded", "QUOTA_EXCEEDED", "limitExceeded"):
        named = _QUOTA.search(message)
        quota = f"the quota {named['name']}" if named else "the quota that the message names"
        return (
            f"remove what is not needed any more, use another region, or ask for more of {quota}"
            " (IAM & Admin > Quotas in Google Cloud's console), and run the step again: it carries on"
        )
    if word in ("notFound", "RESOURCE_NOT_FOUND") and "/images/" in message:
        return "correct gcp_image, which names the image, and run the step again"
    return _REMEDIES.get(word, "correct what the message names, then run the step again; it carries on")


def lacking(message: str) -> str:
    """The permission that the credentials lack, if that is what Google's message says; empty if not."""
    if found := re.search(r"Required '([\w.]+)' permission|Permission '([\w.]+)' denied", message):
        return found[1] or found[2]
    return "iam.serviceAccounts.actAs" if "does not have access to service account" in message else ""
