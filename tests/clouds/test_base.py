"""What both cloud modules share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbook_lib.clouds.base import CHANGEABLE, Secret, differences, unique
from runbook_lib.params import Params
from runbook_lib.resources import Found
from runbook_lib.topology import topology

URL = "https://www.googleapis.com/compute/v1/projects/p/zones/z/machineTypes/e2-small"


@pytest.mark.parametrize(
    ("wanted", "seen", "differ"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, ("a",)),
        ({"a": 1}, {}, ()),
        ({"a": True}, {"a": None}, ("a",)),
        ({"a": "e2-small"}, {"a": URL}, ()),
        ({"a": "zones/z/machineTypes/e2-small"}, {"a": URL}, ()),
        ({"a": "zones/y/machineTypes/e2-small"}, {"a": URL}, ("a",)),
        ({"a": "small"}, {"a": URL}, ("a",)),
        ({"a": "172.30.3.0/24"}, {"a": "24"}, ("a",)),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, ()),
        ({"a": ["x"]}, {"a": ["x", "y"]}, ("a",)),
        ({"a": ["x", "x"]}, {"a": ["x", "y"]}, ("a",)),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, ()),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 2}, {"b": 1}]}, ()),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 2}, {"b": 3}]}, ("a",)),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ("a",)),
        ({"a": {"b": 1}}, {"a": None}, ("a",)),
        ({"a": {"b": 1}}, {"a": {}}, ()),
        ({"tags": {"b": 1}}, {"tags": {}}, ("tags",)),
        ({"labels": {"b": 1}}, {"labels": {"b": 1, "c": 2}}, ()),
        ({"labels": {"b": 1}}, {"labels": None}, ("labels",)),
        ({"tags": ["b"]}, {"tags": ["b"]}, ()),
        ({"a": "x", "b": "y"}, {"a": "z", "b": "z"}, ("a", "b")),
    ],
)
def test_differences(wanted: dict[str, Any], seen: dict[str, Any], differ: tuple[str, ...]) -> None:
    assert differences(wanted, seen) == differ


def test_a_secret_does_not_show_but_can_be_sent() -> None:
    key = Secret("hush")
    found = Found("aws:vpn_connection:demo-gcp-a", "vpn-1", {"key_1": key})
    for shown in (repr(key), str(key), f"{key}", f"{key:>5}", repr(found), " ".join([str(key)])):
        assert "hush" not in shown
    assert json.dumps({"key": key}) == '{"key": "hush"}'


def test_a_second_thing_of_one_name_is_known_as_another() -> None:
    found = unique([Found("aws:vpc:demo-vpc", "vpc-1"), Found("aws:vpc:demo-vpc", "vpc-2")])
    assert {key: thing.id for key, thing in found.items()} == {
        "aws:vpc:demo-vpc": "vpc-1",
        "aws:vpc:demo-vpc#vpc-2": "vpc-2",
    }


def test_what_can_be_changed_is_a_field_of_its_kind() -> None:
    wanted = topology(Params(), public_key="ssh-ed25519 AAAA")
    fields: dict[str, set[str]] = {}
    for resource in wanted.resources:
        fields.setdefault(f"{resource.cloud}:{resource.kind}", set()).update(resource.spec)
    for kind, changeable in CHANGEABLE.items():
        assert changeable <= fields[kind], kind


def test_a_tag_that_was_taken_off_is_a_difference() -> None:
    for name in ("tags", "labels"):
        wanted = {name: {"role": "web", "consul": "client"}}
        assert differences(wanted, {name: {"role": "web", "consul": "client", "owner": "me"}}) == ()
        assert differences(wanted, {name: {"role": "web"}}) == (name,)
        assert differences(wanted, {name: None}) == (name,)
