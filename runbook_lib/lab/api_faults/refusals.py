"""The clouds' words for each fault. Pure.

Codes, statuses and sentences are those of the EC2 and IAM API references ("Error codes") and of Compute Engine's
("Troubleshooting resource errors", "Error messages"), as their users report them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ..calls import Answer, Call
from ..ec2.errors import RefusedError
from ..gce.errors import ApiError, OperationError, not_found, not_ready, unauthenticated
from .schedule import Fault

# For what names something that AWS does not know yet: code, parameter that names it, sentence.
_UNKNOWN: Mapping[str, tuple[str, str, str]] = {
    **dict.fromkeys(
        ("ec2:CreateSubnet", "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:ModifyVpcAttribute"),
        ("InvalidVpcID.NotFound", "VpcId", "The vpc ID '{}' does not exist"),
    ),
    "ec2:CreateNatGateway": ("InvalidSubnetID.NotFound", "SubnetId", "The subnet ID '{}' does not exist"),
    "ec2:AttachInternetGateway": (
        "InvalidInternetGatewayID.NotFound",
        "InternetGatewayId",
        "The internetGateway ID '{}' does not exist",
    ),
    **dict.fromkeys(
        ("ec2:AssociateRouteTable", "ec2:CreateRoute", "ec2:EnableVgwRoutePropagation"),
        ("InvalidRouteTableID.NotFound", "RouteTableId", "The routeTable ID '{}' does not exist"),
    ),
    "ec2:AuthorizeSecurityGroupIngress": ("InvalidGroup.NotFound", "GroupId", "The security group '{}' does not exist"),
    "ec2:AttachVpnGateway": ("InvalidVpnGatewayID.NotFound", "VpnGatewayId", "The vpnGateway ID '{}' does not exist"),
    "ec2:DescribeVpnGateways": (
        "InvalidVpnGatewayID.NotFound",
        "VpnGatewayId.1",
        "The vpnGateway ID '{}' does not exist",
    ),
    "ec2:CreateVpnConnection": (
        "InvalidCustomerGatewayID.NotFound",
        "CustomerGatewayId",
        "The customerGateway ID '{}' does not exist",
    ),
    "ec2:DescribeVpnConnections": (
        "InvalidVpnConnectionID.NotFound",
        "VpnConnectionId.1",
        "The vpnConnection ID '{}' does not exist",
    ),
    "ec2:DescribeNatGateways": ("NatGatewayNotFound", "NatGatewayId.1", "NAT gateway {} was not found"),
    "ec2:DescribeInstances": ("InvalidInstanceID.NotFound", "InstanceId.1", "The instance ID '{}' does not exist"),
    "ec2:RunInstances": (
        "InvalidParameterValue",
        "IamInstanceProfile.Name",
        "Value ({}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
    ),
    "iam:PutRolePolicy": ("NoSuchEntity", "RoleName", "The role with name {} cannot be found."),
    "iam:AddRoleToInstanceProfile": (
        "NoSuchEntity",
        "InstanceProfileName",
        "Instance Profile {} cannot be found.",
    ),
}
_MAXIMUM: Mapping[str, tuple[str, str]] = {
    "ec2:CreateVpc": ("VpcLimitExceeded", "VPCs"),
    "ec2:CreateSubnet": ("SubnetLimitExceeded", "subnets"),
    "ec2:CreateInternetGateway": ("InternetGatewayLimitExceeded", "internet gateways"),
    "ec2:AllocateAddress": ("AddressLimitExceeded", "addresses"),
    "ec2:CreateNatGateway": ("NatGatewayLimitExceeded", "NAT gateways"),
    "ec2:CreateRouteTable": ("RouteTableLimitExceeded", "route tables"),
    "ec2:CreateSecurityGroup": ("SecurityGroupLimitExceeded", "security groups"),
    "ec2:CreateVpnGateway": ("VpnGatewayLimitExceeded", "virtual private gateways"),
    "ec2:CreateCustomerGateway": ("CustomerGatewayLimitExceeded", "customer gateways"),
    "ec2:CreateVpnConnection": ("VpnConnectionLimitExceeded", "VPN connections"),
}
# Compute Engine's quota, and where it is counted.
_QUOTAS: Mapping[str, str] = {
    "networks": "NETWORKS",
    "subnetworks": "SUBNETWORKS",
    "firewalls": "FIREWALLS",
    "routes": "ROUTES",
    "routers": "ROUTERS",
    "vpnGateways": "VPN_GATEWAYS",
    "vpnTunnels": "VPN_TUNNELS",
    "instances": "CPUS",
}


def applies(fault: Fault, call: Call) -> bool:
    """Whether a call is of the shape that a fault is about: one list, or one thing by its id."""
    if call.cloud == "gcp":
        return True
    if fault == "stale":
        return call.action not in _UNKNOWN or not parameter(call, _UNKNOWN[call.action][1])
    if fault == "unknown":
        return bool(parameter(call, _UNKNOWN[call.action][1]))
    return fault != "failed" or bool(parameter(call, "NatGatewayId.1"))


def refusal(fault: Fault, call: Call) -> Answer:
    """The answer to a call that is refused for a fault."""
    return _of_aws(fault, call) if call.cloud == "aws" else _of_gcp(fault, call)


def operation_error(fault: Fault, call: Call) -> OperationError:
    """With what an accepted change of GCP's ends."""
    place = call.target.rpartition("/")[0]
    if fault == "capacity":
        return OperationError(
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            f"The zone 'projects/{place}' does not have enough resources available to fulfill the request."
            "  Try a different zone, or try again later.",
            503,
        )
    if fault == "quota":
        return OperationError("QUOTA_EXCEEDED", _quota(call), 403)
    return OperationError("INTERNAL_ERROR", "Internal error. Please try again or contact Google Support.", 500)


def parameter(call: Call, name: str) -> str:
    """One parameter of a query request; empty without one."""
    return parse_qs(call.body.decode("utf-8", "replace")).get(name, [""])[0]


def _of_aws(fault: Fault, call: Call) -> Answer:
    service = call.action.partition(":")[0]
    error = _aws_error(fault, call, service)
    return _answer(error.status, error.headers(service), error.body(service))


def _aws_error(fault: Fault, call: Call, service: str) -> RefusedError:
    kind = parameter(call, "InstanceType")
    match fault:
        case "throttled" if service == "ec2":
            return RefusedError("RequestLimitExceeded", "Request limit exceeded.", 503)
        case "throttled":
            return RefusedError("Throttling", "Rate exceeded", 400)
        case "unknown":
            code, name, sentence = _UNKNOWN[call.action]
            status = 404 if service == "iam" else 400
            return RefusedError(code, sentence.format(parameter(call, name)), status)
        case "capacity":
            return RefusedError(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested. Our "
                f"system will be working on provisioning additional capacity. You can currently get {kind} capacity by "
                "not specifying an Availability Zone in your request or choosing another one.",
                500,
            )
        case "quota" if call.action == "ec2:RunInstances":
            return RefusedError(
                "VcpuLimitExceeded",
                "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance "
                "bucket that the specified instance type belongs to. Please visit "
                "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
            )
        case "quota" if service == "iam":
            return RefusedError("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", 409)
        case "quota":
            code, what = _MAXIMUM[call.action]
            return RefusedError(code, f"The maximum number of {what} has been reached.")
        case "expired" if service == "ec2":
            return RefusedError("RequestExpired", "Request has expired.")
        case "expired":
            return RefusedError("ExpiredToken", "The security token included in the request is expired", 403)
        case "image":
            return RefusedError(
                "InvalidAMIID.NotFound", f"The image id '[{parameter(call, 'ImageId')}]' does not exist"
            )
        case _:
            return RefusedError("InternalError", "An internal error has occurred", 500)


def _of_gcp(fault: Fault, call: Call) -> Answer:
    error = _gcp_error(fault, call)
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    if error.code == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/"'
    return _answer(error.code, headers, json.dumps(error.document()).encode())


def _gcp_error(fault: Fault, call: Call) -> ApiError:
    path = f"projects/{call.target}"
    match fault:
        case "throttled":
            return ApiError(
                429,
                "rateLimitExceeded",
                "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service "
                "'compute.googleapis.com'.",
                domain="usageLimits",
            )
        case "unknown" if call.writes:
            network = _sent(call).get("network", "")
            return not_ready("projects/" + network.rpartition("/projects/")[2].removeprefix("projects/"))
        case "unknown":
            return not_found(path)
        case "quota":
            return ApiError(403, "quotaExceeded", _quota(call), domain="usageLimits")
        case "expired":
            return unauthenticated(given=True)
        case "image":
            (disk, *_) = _sent(call).get("disks") or [{}]
            image = disk.get("initializeParams", {}).get("sourceImage", "")
            return not_found("projects/" + image.rpartition("projects/")[2])
        case _:
            return ApiError(503, "backendError", "Internal error. Please try again.", domain="global")


def _quota(call: Call) -> str:
    collection = call.target.rpartition("/")[2]
    parts = call.target.split("/")
    where = (
        "globally"
        if parts[1] == "global"
        else f"in region {parts[2].rpartition('-')[0] if 'zones' in parts else parts[2]}"
    )
    return f"Quota '{_QUOTAS.get(collection, collection.upper())}' exceeded.  Limit: 5.0 {where}."


def _sent(call: Call) -> dict[str, Any]:
    return dict(json.loads(call.body or b"{}"))


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    return Answer(f"{status} Error", (*headers.items(), ("Content-Length", str(len(body)))), body)
