"""Who calls, and may they: signatures checked, policies asked, errors as each service words them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from moto.core.utils import utcnow
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from werkzeug.datastructures import EnvironHeaders

from .base import ACCOUNT, PARTITION
from .errors import SPEAK_JSON, RefusedError
from .permissions import form, needs, permitted

OPERATOR = "operator"
_EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
ROLE_SESSION = 6 * 3600  # seconds that an instance's role credentials live, as EC2 gives them


@dataclass(frozen=True, slots=True)
class Scope:
    """What an AWS Signature Version 4 header says about itself."""

    key: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


def scope(header: str) -> Scope | None:
    """Read an ``Authorization`` header; ``None`` for anything but Signature Version 4."""
    kind, _, rest = header.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    credential = fields.get("Credential", "").split("/")
    if kind != "AWS4-HMAC-SHA256" or len(credential) != 5 or "Signature" not in fields:
        return None
    key, _, region, service, _ = credential
    return Scope(key, region, service, tuple(fields.get("SignedHeaders", "").split(";")), fields["Signature"])


def parameter(environ: dict[str, Any], body: bytes, name: str) -> str:
    """One parameter of a query request, from its body or URL; empty without one."""
    for text in (body.decode("utf-8", "replace"), environ.get("QUERY_STRING", "")):
        if found := parse_qs(text).get(name):
            return found[0]
    return ""


def action(environ: dict[str, Any], body: bytes) -> str:
    """What a request asks for: query services have a parameter for it, those that speak JSON a header."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    return parameter(environ, body, "Action") or target.rpartition(".")[2]


def authorize(environ: dict[str, Any], body: bytes, caller: Scope | None, action: str) -> None:
    """Let a request through or refuse it.

    Raises:
        RefusedError: an unsigned request, an unknown or expired key, a wrong signature, a missing permission.
    """
    service = caller.service if caller else "ec2"
    if caller is None:
        raise _unknown(service)
    headers = EnvironHeaders(environ)
    try:
        key = create_access_key(ACCOUNT, PARTITION, caller.key, headers)  # type: ignore[arg-type]  # reads only
    except CreateAccessKeyFailure:
        raise _unknown(service) from None
    role = sts_backends[ACCOUNT][PARTITION].get_assumed_role_from_access_key(caller.key)
    if role and role.expiration <= utcnow():
        raise RefusedError("RequestExpired", "Request has expired.")
    if _signature(environ, headers, body, caller, key.create_credentials()) != caller.signature:
        if service == "ec2":
            raise _unknown(service)
        raise RefusedError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            403,
        )
    if (service, action) == ("sts", "GetCallerIdentity"):
        return  # which nobody needs leave for
    roles = {p.name: p.roles[0].name for p in iam_backends[ACCOUNT][PARTITION].instance_profiles.values() if p.roles}
    policies = key.collect_policies()
    for need in needs(service, action, form(environ, body), roles):
        if not permitted(policies, *need):
            raise forbidden(service, key.arn, need.action, need.resource)


def forbidden(service: str, arn: str, action: str, resource: str = "*") -> RefusedError:
    """The refusal of an action, as EC2 and the others word it."""
    where = "" if resource == "*" else f" on resource: {resource}"
    because = (
        f"User: {arn} is not authorized to perform: {action}{where} because no identity-based policy allows the"
        f" {action} action"
    )
    if service == "ec2":
        return RefusedError(
            "UnauthorizedOperation", f"You are not authorized to perform this operation. {because}", 403
        )
    return RefusedError("AccessDeniedException" if service in SPEAK_JSON else "AccessDenied", because, 403)


def create_operator() -> str:
    """A user with administrator rights and a fresh key, as the content of a shared credentials file."""
    iam = iam_backends[ACCOUNT][PARTITION]
    iam.create_user("us-east-1", OPERATOR)
    iam.put_user_policy(OPERATOR, "administrator", _EVERYTHING)
    key = iam.create_access_key(OPERATOR)
    return f"[default]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"


def role_session(role_arn: str, instance: str, region: str) -> Any:
    """Temporary credentials of a role for an instance, known to the API (moto's ``AssumedRole``)."""
    return sts_backends[ACCOUNT][PARTITION].assume_role(
        region_name=region,
        role_session_name=instance,
        role_arn=role_arn,
        policy="",
        duration=ROLE_SESSION,
        external_id="",
    )


def _unknown(service: str) -> RefusedError:
    if service == "ec2":
        return RefusedError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if service in SPEAK_JSON:
        return RefusedError("UnrecognizedClientException", "The security token included in the request is invalid.")
    return RefusedError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def _signature(environ: dict[str, Any], headers: Any, body: bytes, caller: Scope, credentials: Any) -> str:
    query = environ.get("QUERY_STRING", "")
    path = environ.get("RAW_URI", environ.get("PATH_INFO", "/")).partition("?")[0] or "/"
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ.get('HTTP_HOST', '')}{path}" + (f"?{query}" if query else ""),
        data=body,
        headers={name: value for name, value in headers.items() if name.lower() in caller.headers},
    )
    request.context["timestamp"] = headers.get("X-Amz-Date", "")
    auth = SigV4Auth(credentials, caller.service, caller.region)
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
