"""The list filter language, by tables."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.lab.gce.filters import FilterError, compile_filter

DOCUMENT: dict[str, Any] = {
    "name": "demo-server-1",
    "status": "RUNNING",
    "id": "1234",
    "guestCpus": 2,
    "canIpForward": False,
    "labels": {"deployment": "demo", "role": "consul"},
    "tags": {"items": ["consul-servers", "ssh"]},
    "networkInterfaces": [{"networkIP": "10.0.0.2", "network": "https://www.googleapis.com/compute/v1/x/networks/net"}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("name = demo-server-1", True),
        ("name=demo-server-1", True),
        ('name="demo-server-1"', True),
        ("name = demo-server", False),
        ("name = demo-*", True),
        ("name = demo-*-2", False),
        ("name != demo-server-1", False),
        ("name != other", True),
        ("name:server", True),
        ("name:servers", False),
        ("name eq demo-.*", True),
        ("name eq demo", False),
        ('name eq "demo-server-[0-9]"', True),
        ("name ne demo-.*", False),
        ("name ne .*-2", True),
        ("labels.role=consul", True),
        ("labels.role=web", False),
        ("labels.none=x", False),
        ("labels.none!=x", True),
        ("labels.role:*", True),
        ("labels.none:*", False),
        ("labels:role", True),
        ('tags.items:"consul-servers"', True),
        ("tags.items=ssh", True),
        ("tags.items:web", False),
        ("networkInterfaces.networkIP=10.0.0.2", True),
        ('networkInterfaces.network eq ".*/networks/net"', True),
        ("networkInterfaces.network=https://www.googleapis.com/compute/v1/x/networks/net", True),
        ("canIpForward = false", True),
        ("guestCpus > 1", True),
        ("guestCpus >= 3", False),
        ("guestCpus < 10", True),
        ("id <= 1234", True),
        ("(name:demo) (status = RUNNING)", True),
        ("(name:demo) (status = STOPPING)", False),
        ("name:demo AND status = STOPPING", False),
        ("name:demo OR status = STOPPING", True),
        ("status = STOPPING OR (labels.role = consul AND labels.deployment = demo)", True),
        ("NOT status = RUNNING", False),
        ("-status = STOPPING", True),
        ("NOT (status = STOPPING OR status = TERMINATED)", True),
        # AND binds tighter than OR
        ("status = STOPPING AND name:x OR name:demo", True),
    ],
)
def test_what_a_filter_accepts(text: str, expected: bool) -> None:
    assert compile_filter(text)(DOCUMENT) is expected


@pytest.mark.parametrize(
    "text",
    ["name", "name =", "= x", "name = x)", "(name = x", "name is x", "name eq [", "AND name = x", "name = x OR", "!!"],
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(text)


def test_fields_are_checked_where_they_are_known() -> None:
    known = frozenset({"name", "labels"})
    assert compile_filter("labels.role=consul", known)(DOCUMENT)
    with pytest.raises(FilterError, match="unknown field"):
        compile_filter("lables.role=consul", known)
