"""What AWS's errors mean: whether to ask again, to look first, or to give up, and what a reader can do. Pure.

Codes and their meaning follow the EC2 API reference ("Error codes for the Amazon EC2 API") and IAM's common errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError

# What a call can end with that did not end well.
Refusal = ClientError | HTTPClientError
REFUSALS = (ClientError, HTTPClientError)

# Too many calls; none of them was carried out.
_BUSY = ("RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequestsException")
# What the credentials are not allowed.
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
# Something of that name, or in that place, exists.
_DUPLICATE = ("InvalidGroup.Duplicate", "InvalidKeyPair.Duplicate", "InvalidSubnet.Conflict", "EntityAlreadyExists")
# What a thing answers while something else still holds on to it.
_HELD = ("DependencyViolation", "IncorrectState", "InvalidIPAddress.InUse", "InvalidGroup.InUse", "DeleteConflict")

_CREDENTIALS = "check the credentials; `aws sts get-caller-identity` should work with them"
_RENEW = "renew the credentials (aws_credentials), set this machine's clock, and run the step again: it carries on"
_ELSEWHERE = "choose other aws_zones or another aws_instance_type, or run the step again later: it carries on from here"
_LATER = "wait a minute and run the step again; it carries on from here"
# Whose limit an error means, as Service Quotas calls it.
_QUOTAS: Mapping[str, str] = {
    "VpcLimitExceeded": "VPCs per Region",
    "SubnetLimitExceeded": "Subnets per VPC",
    "InternetGatewayLimitExceeded": "Internet gateways per Region",
    "AddressLimitExceeded": "EC2-VPC Elastic IPs",
    "NatGatewayLimitExceeded": "NAT gateways per Availability Zone",
    "RouteTableLimitExceeded": "Route tables per VPC",
    "RouteLimitExceeded": "Routes per route table",
    "SecurityGroupLimitExceeded": "VPC security groups per Region",
    "RulesPerSecurityGroupLimitExceeded": "Inbound or outbound rules per security group",
    "VpnGatewayLimitExceeded": "Virtual private gateways per region",
    "CustomerGatewayLimitExceeded": "Customer gateways per region",
    "VpnConnectionLimitExceeded": "Site-to-Site VPN connections per Region",
    "VcpuLimitExceeded": "Running On-Demand instances of this family (vCPUs)",
    "InstanceLimitExceeded": "Running On-Demand instances",
    "LimitExceeded": "of IAM, which the message names",
}
_REMEDIES: Mapping[str, str] = {
    "AuthFailure": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "ExpiredToken": _RENEW,
    "RequestExpired": _RENEW,
    "OptInRequired": "subscribe the account to EC2: sign in to the AWS console with it once, and complete its billing",
    "PendingVerification": "AWS is still verifying the new account: wait for its mail, up to 4 hours, and run again",
    **dict.fromkeys(_BUSY, _LATER),
    "InternalError": _LATER,
    "Unavailable": _LATER,
    "ServiceUnavailable": _LATER,
    "InsufficientInstanceCapacity": _ELSEWHERE,
    "InsufficientHostCapacity": _ELSEWHERE,
    "Unsupported": "choose other aws_zones or another aws_instance_type",
    "InvalidAMIID.NotFound": "correct aws_image (or aws_image_owner), which names the image, and run the step again",
    "InvalidAMIID.Unavailable": "correct aws_image (or aws_image_owner), which names the image, and run the step again",
    "DependencyViolation": "remove what still uses it, which the runbook did not make, and run the step again",
    "EntityAlreadyExists": "something of that name exists that is not this deployment's: remove it or rename yours",
    "InvalidKeyPair.Duplicate": "a key pair of that name exists that is not this deployment's: remove it",
    "InvalidGroup.Duplicate": "a security group of that name exists that is not this deployment's: remove it",
}


def code(error: BaseException) -> str:
    """AWS's error code; empty if AWS did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_gone(error: ClientError) -> bool:
    """Whether an error means that the thing asked for does not exist."""
    return code(error).endswith((".NotFound", "NotFoundException", ".Malformed")) or code(error) in (
        "NoSuchEntity",
        "NatGatewayNotFound",
        "Gateway.NotAttached",
    )


def is_unknown_yet(error: Refusal) -> bool:
    """Whether it may be that AWS does not know everywhere yet what was made a moment ago."""
    if code(error) == "InvalidParameterValue":
        return "nstance profile" in str(error) or "iamInstanceProfile" in str(error)
    return (code(error).endswith(".NotFound") and not code(error).startswith("InvalidAMIID")) or (
        code(error) in ("NatGatewayNotFound", "NoSuchEntity")
    )


def is_held(error: Refusal) -> bool:
    """Whether something else still holds on to what should go."""
    return code(error) in _HELD


def is_busy(error: Refusal) -> bool:
    """Whether AWS, or the way to it, takes no more calls for now; the call has not been carried out."""
    return code(error) in _BUSY or isinstance(error, (EndpointConnectionError, ConnectTimeoutError))


def is_unsure(error: Refusal) -> bool:
    """Whether it is open if the call was carried out: no answer came, or that something broke on AWS's side."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 and not is_busy(error)
    return not is_busy(error)


def is_duplicate(error: Refusal) -> bool:
    """Whether what was asked for exists: another's, or ours, made by a call whose answer never came."""
    return code(error) in _DUPLICATE


def lacking(error: ClientError) -> str:
    """The action that the credentials are not allowed, if that is what an error says; empty if not, or untold."""
    if code(error) not in _DENIED:
        return ""
    found = re.search(r"not authorized to perform: (\w+:\w+)", str(error))
    return found[1] if found else ""


def remedy(error: ClientError) -> str:
    """What a reader can do about a refusal."""
    if code(error) in _DENIED:
        what = lacking(error) or "this action"
        return f"allow {what} to the credentials in use; `runbook permissions` prints the whole policy that is needed"
    if quota := _QUOTAS.get(code(error)):
        return (
            f'remove what is not needed any more, or ask for more of the quota "{quota}"'
            " (Service Quotas in AWS's console), and run the step again: it carries on from here"
        )
    return _REMEDIES.get(code(error), "mend what the message names and run the step again")
