"""From a seed to the faults that calls meet. Pure.

A schedule says "the second and third CreateSubnet", not "after 0.4 s", so that what a seed does hardly depends on how
fast the machine is. Each fault strikes a bounded number of calls, and then the API is well again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ..model import CloudName

Fault = Literal[
    "throttled",  # too many calls
    "broken",  # an error on the cloud's side; whether it acted is not said
    "unknown",  # what was made a moment ago is not known here yet
    "stale",  # a list as it was before
    "cut-before",  # the connection ends before the cloud has acted
    "cut-after",  # it has acted, but the answer is lost
    "capacity",  # no room for an instance of that type in that zone
    "quota",  # the account has as many as it may
    "failed",  # accepted, and ends in an error
    "expired",  # the credentials are not accepted any more
    "image",  # the image is not there
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
# Those that a client cannot do anything about come seldom, or no run would get far.
_HARD: tuple[Fault, ...] = ("capacity", "quota", "failed", "expired", "image")
_SOFT_WEIGHT, _HARD_WEIGHT = 6, 1
_STRIKES = (3, 8)  # how many strikes a schedule has, at least and at most
_FIRST = (1, 1, 1, 2, 3)  # which call is the first one struck: most are made a few times only
_TIMES = (1, 1, 2, 3)
FOR_GOOD = 1_000_000  # calls: more than there are
_FOR_GOOD_ODDS = 0.3  # of expired credentials

_AWS_CREATES = [
    "ec2:CreateVpc",
    "ec2:CreateSubnet",
    "ec2:CreateInternetGateway",
    "ec2:AllocateAddress",
    "ec2:CreateNatGateway",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateVpnGateway",
    "ec2:CreateCustomerGateway",
    "ec2:CreateVpnConnection",
    "ec2:ImportKeyPair",
    "ec2:RunInstances",
    "iam:CreateRole",
    "iam:CreateInstanceProfile",
]
_AWS_LINKS = [
    "ec2:ModifyVpcAttribute",
    "ec2:AttachInternetGateway",
    "ec2:AttachVpnGateway",
    "ec2:AssociateRouteTable",
    "ec2:CreateRoute",
    "ec2:EnableVgwRoutePropagation",
    "ec2:AuthorizeSecurityGroupIngress",
    "iam:PutRolePolicy",
    "iam:AddRoleToInstanceProfile",
]
_AWS_LISTS = [
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeAddresses",
    "ec2:DescribeNatGateways",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeVpnGateways",
    "ec2:DescribeCustomerGateways",
    "ec2:DescribeVpnConnections",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeInstances",
]
_AWS_BY_ID = [
    "ec2:DescribeNatGateways",
    "ec2:DescribeVpnGateways",
    "ec2:DescribeVpnConnections",
    "ec2:DescribeInstances",
]
_GCP_KINDS = [
    "networks",
    "subnetworks",
    "firewalls",
    "routes",
    "routers",
    "vpnGateways",
    "externalVpnGateways",
    "vpnTunnels",
    "instances",
]
_GCP_CREATES = [f"compute.{kind}.insert" for kind in _GCP_KINDS]
_GCP_GETS = [f"compute.{kind}.get" for kind in _GCP_KINDS]
_GCP_LISTS = [f"compute.{kind}.{'aggregatedList' if kind == 'instances' else 'list'}" for kind in _GCP_KINDS]
_AWS_ANY = [*_AWS_CREATES, *_AWS_LINKS, *_AWS_LISTS]
_GCP_ANY = [*_GCP_CREATES, "compute.routers.patch", "compute.operations.wait", *_GCP_GETS, *_GCP_LISTS]
# Which calls meet which fault; faults that a cloud does not know are not there.
CALLS: Mapping[CloudName, Mapping[Fault, list[str]]] = {
    "aws": {
        "throttled": _AWS_ANY,
        "broken": _AWS_ANY,
        "unknown": [
            "ec2:CreateSubnet",
            "ec2:CreateNatGateway",
            "ec2:CreateRouteTable",
            "ec2:CreateSecurityGroup",
            "ec2:CreateVpnConnection",
            "ec2:RunInstances",
            *_AWS_LINKS,
            *_AWS_BY_ID,
        ],
        "stale": _AWS_LISTS,
        "cut-before": _AWS_ANY,
        "cut-after": [*_AWS_CREATES, *_AWS_LINKS],
        "capacity": ["ec2:RunInstances"],
        "quota": [name for name in _AWS_CREATES if name not in ("ec2:ImportKeyPair", "iam:CreateInstanceProfile")],
        "failed": ["ec2:DescribeNatGateways"],
        "expired": _AWS_ANY,
        "image": ["ec2:RunInstances"],
    },
    "gcp": {
        "throttled": _GCP_ANY,
        "broken": _GCP_ANY,
        "unknown": [*_GCP_GETS, "compute.subnetworks.insert", "compute.firewalls.insert", "compute.routers.insert"],
        "stale": _GCP_LISTS,
        "cut-before": _GCP_ANY,
        "cut-after": [*_GCP_CREATES, "compute.routers.patch"],
        "capacity": ["compute.instances.insert"],
        "quota": [name for name in _GCP_CREATES if name != "compute.externalVpnGateways.insert"],
        "failed": _GCP_CREATES,
        "expired": _GCP_ANY,
        "image": ["compute.instances.insert"],
    },
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, for some calls.

    Args:
        cloud: whose API.
        fault: what happens.
        action: to which calls, as ``calls.Call`` names them.
        first: the first of those calls that it strikes, counted from 1.
        times: how many of them, from there on.
    """

    cloud: CloudName
    fault: Fault
    action: str
    first: int = 1
    times: int = 1

    def __str__(self) -> str:
        often = "from there on" if self.times == FOR_GOOD else f"{self.times} times"
        return f"{self.fault}: {self.action}, call {self.first}, {often}"


def draw(seed: int) -> tuple[Strike, ...]:
    """The faults of a seed: always the same ones."""
    numbers = random.Random(seed)  # no secret is drawn
    weights = [_HARD_WEIGHT if fault in _HARD else _SOFT_WEIGHT for fault in FAULTS]
    strikes = []
    for _ in range(numbers.randint(*_STRIKES)):
        cloud: CloudName = numbers.choice(("aws", "gcp"))
        (fault,) = numbers.choices(FAULTS, weights)
        action = numbers.choice(CALLS[cloud][fault])
        times = numbers.choice(_TIMES)
        if fault == "expired" and numbers.random() < _FOR_GOOD_ODDS:
            times = FOR_GOOD
        strikes.append(Strike(cloud, fault, action, numbers.choice(_FIRST), times))
    return tuple(strikes)
