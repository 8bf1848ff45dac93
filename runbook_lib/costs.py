"""What it costs to leave things as they are, by list prices. Pure.

Not counted: traffic, what AWS may charge for the addresses of VPN connections' ends, taxes and discounts. Prices are US
dollars without commitments, for us-west-2 and europe-west1; other regions differ, mostly by less than a third. They are
the figures that were commonly quoted in 2025, not read off a price list on a certain day: an order of magnitude for
whoever must decide whether to hurry. The pages named are where today's stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .resources import Found

MONTH = 730.0  # hours, as both clouds count

# An hour of one thing; see aws.amazon.com/vpc/pricing (NAT gateway, public address), aws.amazon.com/vpn/pricing,
# cloud.google.com/network-connectivity/docs/vpn/pricing.
HOURLY: Mapping[str, tuple[str, float]] = {
    "aws:nat_gateway": ("NAT gateway", 0.045),
    "aws:elastic_ip": ("public IPv4 address", 0.005),
    "aws:vpn_connection": ("site-to-site VPN connection", 0.05),
    "gcp:vpn_tunnel": ("HA VPN tunnel", 0.05),
}
# An hour of a running instance; see aws.amazon.com/ec2/pricing/on-demand (Linux), cloud.google.com/compute/all-pricing.
INSTANCES: Mapping[str, float] = {
    "t3.nano": 0.0052,
    "t3.micro": 0.0104,
    "t3.small": 0.0208,
    "t3.medium": 0.0416,
    "t3.large": 0.0832,
    "e2-micro": 0.0092,
    "e2-small": 0.0184,
    "e2-medium": 0.0369,
}
# A public address in use, an hour; the same in both clouds (aws.amazon.com/vpc/pricing, cloud.google.com/vpc/pricing).
PUBLIC_ADDRESS = 0.005
# A month of an instance's disk: gigabytes of Debian's image, by the price of the kind that an instance gets by default
# (gp2: aws.amazon.com/ebs/pricing; standard persistent disk: cloud.google.com/compute/disks-image-pricing).
DISKS: Mapping[str, float] = {"aws": 8 * 0.10, "gcp": 10 * 0.04}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing costs.

    Args:
        key: which thing.
        what: what is charged.
        hourly: US dollars an hour; ``None`` if the price is not known here.
    """

    key: str
    what: str
    hourly: float | None


def left(found: Mapping[str, Found]) -> tuple[Cost, ...]:
    """What each thing that exists costs; what is free is left out."""
    return tuple(cost for key, thing in sorted(found.items()) if (cost := _cost(key, thing)) is not None)


def summary(found: Mapping[str, Found]) -> str:
    """What leaving all that exists costs, in one sentence."""
    costs = left(found)
    hourly = sum(cost.hourly for cost in costs if cost.hourly is not None)
    unknown = sorted({cost.what for cost in costs if cost.hourly is None})
    more = f", besides what is not in this list: {'; '.join(unknown)}" if unknown else ""
    return f"what is left costs {hourly:.3f} USD an hour, {hourly * MONTH:.0f} a month (list prices, roughly){more}"


def _cost(key: str, thing: Found) -> Cost | None:
    cloud, kind, _ = key.split(":", 2)
    if kind == "instance":
        parts = list(_instance(cloud, thing))
        known = [price for _, price in parts if price is not None]
        return Cost(key, ", ".join(name for name, _ in parts), sum(known) if len(known) == len(parts) else None)
    charged = HOURLY.get(f"{cloud}:{kind}")
    return Cost(key, *charged) if charged else None


def _instance(cloud: str, thing: Found) -> Iterator[tuple[str, float | None]]:
    """What is charged for an instance: itself while it runs, its public address, its disk."""
    size = str(thing.spec.get("instance_type") or thing.spec.get("machine_type") or "").rpartition("/")[2]
    if thing.attributes.get("running", True):
        yield size or "unknown type", INSTANCES.get(size)
    if thing.attributes.get("public_ip"):
        yield "public IPv4 address", PUBLIC_ADDRESS
    yield "disk", DISKS[cloud] / MONTH
