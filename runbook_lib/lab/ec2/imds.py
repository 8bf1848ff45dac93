"""The instance metadata service at 169.254.169.254, versions 1 and 2."""

from __future__ import annotations

import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.core.utils import utcnow

from .base import raw

_VERSION = re.compile(r"/(latest|1\.0|\d{4}-\d\d-\d\d)(/.*)?")
_LONGEST = 21600  # seconds that a session token may live (EC2 User Guide, "Use IMDSv2")
_DEFAULT_TTL = 64  # hops, as Linux sends

Answer = tuple[int, str]


@dataclass
class Sessions:
    """Session tokens of IMDSv2, by token: whose, and until when."""

    held: dict[str, tuple[str, float]] = field(default_factory=dict)

    def open(self, machine: str, seconds: int) -> str:
        now = time.monotonic()
        self.held = {token: entry for token, entry in self.held.items() if entry[1] > now}
        token = secrets.token_urlsafe(40)
        self.held[token] = (machine, now + seconds)
        return token

    def valid(self, machine: str, token: str) -> bool:
        owner, until = self.held.get(token, ("", 0.0))
        return owner == machine and until > time.monotonic()


def answer(environ: dict[str, Any], instance: Any, sessions: Sessions, credentials: Callable[[Any], Any]) -> Answer:
    """Status and text for one request of one instance.

    Args:
        environ: the WSGI request.
        instance: the ``LabInstance`` that asks.
        sessions: tokens given out.
        credentials: gives temporary credentials for an instance profile's role (moto's ``AssumedRole``).
    """
    options, path, method = instance.metadata_options, environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
    if options.http_endpoint != "enabled":
        return 403, ""
    if path.rstrip("/") == "/latest/api/token":
        return _token(environ, instance, sessions, method)
    if method not in ("GET", "HEAD"):
        return 405, ""
    token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN")
    if token is None and options.http_tokens == "required":
        return 401, ""
    if token is not None and not sessions.valid(instance.id, token):
        return 401, ""
    return look_up(tree(instance, credentials), path)


def limit_hops(environ: dict[str, Any], instance: Any) -> None:
    """Let the answer live for as many hops as it may: a token's for the instance's limit, any other for the default.

    With a limit of 1 the token's packets do not survive being forwarded by the instance, so that what runs behind it,
    a container or a proxy's victim, gets none (EC2 User Guide, "HttpPutResponseHopLimit").

    Args:
        environ: the WSGI request, with werkzeug's socket where one is.
        instance: the ``LabInstance`` that asks.
    """
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        token = environ["REQUEST_METHOD"] == "PUT"
        hops = int(instance.metadata_options.http_put_response_hop_limit) if token else _DEFAULT_TTL
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def respond(found: Answer, start_response: Callable[..., Any], *, ttl: str = "") -> Iterable[bytes]:
    """Send an answer; errors carry the short page that EC2 sends."""
    status, text = found
    names = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
             405: "Method Not Allowed"}  # fmt: skip
    if status != 200:
        text = f"<html><head><title>{status} - {names[status]}</title></head><body>{names[status]}</body></html>\n"
    body = text.encode("utf-8", "surrogateescape")
    headers = [
        ("Content-Type", "text/plain" if status == 200 else "text/html"),
        ("Content-Length", str(len(body))),
        ("Server", "EC2ws"),
    ]
    if ttl and status == 200:
        headers.append(("X-aws-ec2-metadata-token-ttl-seconds", ttl))
    start_response(f"{status} {names[status]}", headers)
    return [body]


def look_up(content: Any, path: str) -> Answer:
    """What the tree holds at a path: a text, a listing, or 404.

    A folder lists its entries, folders with a trailing slash; an entry whose text is to be shown in listings
    instead of its name is a ``(shown, content)`` pair.
    """
    if path in ("", "/"):
        return 200, "1.0\nlatest"
    match = _VERSION.fullmatch(path)
    if not match:
        return 404, ""
    found = content
    for part in filter(None, (match[2] or "").split("/")):
        if not isinstance(found, dict) or part not in found:
            return 404, ""
        found = found[part]
        if isinstance(found, tuple):
            found = found[1]
        if callable(found):
            found = found()
    return 200, listing(found) if isinstance(found, dict) else str(found)


def listing(folder: dict[str, Any]) -> str:
    """Entries of a folder, one a line."""
    lines = []
    for name, entry in folder.items():
        if isinstance(entry, tuple):
            lines.append(entry[0])
        else:
            lines.append(f"{name}/" if isinstance(entry, dict) else name)
    return "\n".join(lines)


def tree(instance: Any, credentials: Callable[[Any], Any]) -> dict[str, Any]:
    """Everything below a version: ``dynamic``, ``meta-data`` and, with user data, ``user-data``."""
    profile = _profile(instance)
    role = profile.roles[0] if profile and profile.roles else None
    meta: dict[str, Any] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": instance.private_dns_name,
        **({"iam": _iam(profile, role, credentials)} if profile else {}),
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": instance.private_ip,
        "mac": instance.nics[0].mac_address,
        "network": {"interfaces": {"macs": {instance.nics[0].mac_address: _interface(instance)}}},
        "placement": {
            "availability-zone": instance.availability_zone,
            "availability-zone-id": instance.nics[0].subnet.availability_zone_id,
            "region": instance.region_name,
        },
        "profile": "default-hvm",
        **({"public-hostname": instance.public_dns_name, "public-ipv4": instance.public_ip}
           if instance.public_ip else {}),
        **({"public-keys": {"0": (f"0={instance.key_name}", {"openssh-key": instance.public_key.strip()})}}
           if instance.public_key else {}),
        "reservation-id": _reservation(instance),
        "security-groups": "\n".join(group.name for group in instance.security_groups),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        **_tags(instance),
    }  # fmt: skip
    # EC2 lists these two without the slash that folders have elsewhere.
    content: dict[str, Any] = {
        "dynamic": ("dynamic", {"instance-identity": {"document": _identity(instance)}}),
        "meta-data": ("meta-data", meta),
    }
    if instance.user_data:
        content["user-data"] = raw(instance.user_data).decode("utf-8", "surrogateescape")
    return content


def _token(environ: dict[str, Any], instance: Any, sessions: Sessions, method: str) -> Answer:
    if method != "PUT":
        return 405, ""
    if "HTTP_X_FORWARDED_FOR" in environ:
        return 403, ""
    seconds = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", "")
    if not seconds.isdigit() or not 1 <= int(seconds) <= _LONGEST:
        return 400, ""
    return 200, sessions.open(instance.id, int(seconds))


def _profile(instance: Any) -> Any:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return association.iam_instance_profile if association else None


def _iam(profile: Any, role: Any, credentials: Callable[[Any], Any]) -> dict[str, Any]:
    info = {
        "Code": "Success",
        "LastUpdated": _stamp(profile.create_date),
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    }
    folder: dict[str, Any] = {"info": json.dumps(info, indent=2)}
    if role:
        folder["security-credentials"] = {role.name: lambda: _credentials(credentials(role))}
    return folder


def _credentials(session: Any) -> str:
    content = {
        "Code": "Success",
        "LastUpdated": _stamp(utcnow()),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": _stamp(session.expiration),
    }
    return json.dumps(content, indent=2)


def _identity(instance: Any) -> str:
    document = {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.availability_zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": None,
        "pendingTime": _stamp(instance.launch_time),
        "privateIp": instance.private_ip,
        "ramdiskId": None,
        "region": instance.region_name,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


def _interface(instance: Any) -> dict[str, Any]:
    interface = instance.nics[0]
    subnet, vpc = interface.subnet, instance.ec2_backend.get_vpc(interface.vpc_id)
    return {
        "device-number": "0",
        "interface-id": interface.id,
        **({"ipv4-associations": {interface.public_ip: interface.private_ip_address}} if interface.public_ip else {}),
        "local-hostname": instance.private_dns_name,
        "local-ipv4s": interface.private_ip_address,
        "mac": interface.mac_address,
        "owner-id": interface.owner_id,
        **({"public-hostname": instance.public_dns_name, "public-ipv4s": interface.public_ip}
           if interface.public_ip else {}),
        "security-group-ids": "\n".join(group.id for group in interface._group_set),
        "security-groups": "\n".join(group.name for group in interface._group_set),
        "subnet-id": subnet.id,
        "subnet-ipv4-cidr-block": subnet.cidr_block,
        "vpc-id": vpc.id,
        "vpc-ipv4-cidr-block": vpc.cidr_block,
        "vpc-ipv4-cidr-blocks": vpc.cidr_block,
    }  # fmt: skip


def _tags(instance: Any) -> dict[str, Any]:
    if instance.metadata_options.instance_metadata_tags != "enabled":
        return {}
    return {"tags": {"instance": dict(instance.ec2_backend.tags.get(instance.id, {}))}}


def _reservation(instance: Any) -> str:
    for reservation in instance.ec2_backend.reservations.values():
        if instance in reservation.instances:
            return str(reservation.id)
    return ""


def _stamp(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
