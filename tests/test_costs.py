"""What it costs to leave things, in tables."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.costs import MONTH, left, summary
from runbook_lib.resources import Found


def thing(key: str, spec: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Found]:
    return {key: Found(key, "id", attributes, spec or {})}


SMALL = {"instance_type": "t3.small"}
E2 = {"machine_type": "https://www.googleapis.com/compute/v1/projects/p/zones/z/machineTypes/e2-small"}


@pytest.mark.parametrize(
    ("found", "hourly"),
    [
        (thing("aws:vpc:demo-vpc"), None),
        (thing("gcp:router:demo-vpn"), None),
        (thing("aws:nat_gateway:demo-nat"), 0.045),
        (thing("aws:nat_gateway:demo-nat#nat-2"), 0.045),
        (thing("aws:instance:demo-a", SMALL), 0.0208 + 0.8 / MONTH),
        (thing("aws:instance:demo-a", SMALL, public_ip="192.0.2.1"), 0.0258 + 0.8 / MONTH),
        (thing("aws:instance:demo-a", SMALL, running=False), 0.8 / MONTH),
        (thing("gcp:instance:demo-a", E2), 0.0184 + 0.4 / MONTH),
    ],
)
def test_what_is_charged_is_counted(found: dict[str, Found], hourly: float | None) -> None:
    costs = left(found)
    assert [cost.key for cost in costs] == ([] if hourly is None else list(found))
    if hourly is not None:
        assert costs[0].hourly == pytest.approx(hourly)


def test_an_unknown_type_is_said_to_be_unknown() -> None:
    found = thing("aws:instance:demo-a", {"instance_type": "x9.huge"}) | thing("aws:nat_gateway:demo-nat")
    assert [cost.hourly for cost in left(found)] == [None, 0.045]
    assert summary(found).startswith("what is left costs 0.045 USD an hour, 33 a month")
    assert "besides what is not in this list: x9.huge, disk" in summary(found)


def test_nothing_costs_nothing() -> None:
    assert left({}) == ()
    assert "0.000 USD" in summary({})
