"""How long the clouds take, so that the emulated ones can take as long, or a part of it.

No cloud promises any of this, and only a few durations are published; the rest are what Terraform's output commonly
shows, rounded. They are for comparing orders of work with one another, not for predicting a particular day.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .calls import Answer, Call, Serve


class Latency(NamedTuple):
    """How long something takes.

    Args:
        seconds: from the call's answer until what it began is done.
        source: where the figure comes from.
    """

    seconds: float
    source: str


ROUND_TRIP = Latency(0.2, "a control API's answer to a plain call: 0.1 to 0.5 s are common")

_TERRAFORM = "Terraform's output, which asks every 10 s, commonly shows this much less some seconds"
_MINUTES = "Terraform's output commonly shows"
# By the action that begins it. What is not listed is done when it is answered.
TABLE: Mapping[str, Latency] = MappingProxyType(
    {
        "ec2:CreateNatGateway": Latency(95, f"{_MINUTES} 1.5 to 2 min"),
        "ec2:DeleteNatGateway": Latency(50, f"{_MINUTES} 40 s to 1 min"),
        "ec2:CreateVpnConnection": Latency(180, f"{_MINUTES} 2.5 to 5 min"),
        "ec2:DeleteVpnConnection": Latency(60, f"{_MINUTES} about a minute"),
        "ec2:AttachVpnGateway": Latency(25, "Terraform's acceptance tests attach and detach in 67 s (its PR 8636)"),
        "ec2:DetachVpnGateway": Latency(25, "Terraform's acceptance tests attach and detach in 67 s (its PR 8636)"),
        "ec2:RunInstances": Latency(12, f"pending to running; {_TERRAFORM}"),
        "ec2:TerminateInstances": Latency(30, f"{_MINUTES} 30 s to 1 min"),
        "compute.networks.insert": Latency(7, "an operation of 6.9 s in GoogleCloudPlatform/magic-modules#5031"),
        "compute.networks.delete": Latency(20, f"{_MINUTES} 20 to 40 s"),
        "compute.subnetworks.insert": Latency(11, _TERRAFORM),
        "compute.subnetworks.delete": Latency(15, f"{_MINUTES} 10 to 25 s"),
        "compute.firewalls.insert": Latency(7, _TERRAFORM),
        "compute.firewalls.delete": Latency(9, _TERRAFORM),
        "compute.firewalls.patch": Latency(7, _TERRAFORM),
        "compute.routes.insert": Latency(9, _TERRAFORM),
        "compute.routes.delete": Latency(9, _TERRAFORM),
        "compute.routers.insert": Latency(8, _TERRAFORM),
        "compute.routers.delete": Latency(10, _TERRAFORM),
        "compute.routers.patch": Latency(8, _TERRAFORM),
        "compute.routers.update": Latency(8, _TERRAFORM),
        "compute.vpnGateways.insert": Latency(5, _TERRAFORM),
        "compute.vpnGateways.delete": Latency(8, _TERRAFORM),
        "compute.externalVpnGateways.insert": Latency(4, _TERRAFORM),
        "compute.externalVpnGateways.delete": Latency(5, _TERRAFORM),
        "compute.vpnTunnels.insert": Latency(9, _TERRAFORM),
        "compute.vpnTunnels.delete": Latency(10, _TERRAFORM),
        "compute.instances.insert": Latency(12, _TERRAFORM),
        "compute.instances.start": Latency(12, _TERRAFORM),
        "compute.instances.delete": Latency(40, f"{_MINUTES} 20 s to 1 min (27 s in terraform-google-container-vm#31)"),
        "compute.instances.stop": Latency(40, f"{_MINUTES} 20 s to 1 min"),
    }
)


def scaled(factor: float) -> dict[str, float]:
    """The table's seconds times a factor, by action."""
    return {action: latency.seconds * factor for action, latency in TABLE.items()}


class RoundTrip:
    """An interceptor that answers each call as late as if it had come from far away.

    Args:
        factor: of the real time.
    """

    def __init__(self, factor: float) -> None:
        self.seconds = ROUND_TRIP.seconds * factor

    def __call__(self, call: Call, serve: Serve) -> Answer:
        time.sleep(self.seconds)
        return serve()
