"""What the views look at; that they refresh is tried in tests/e2e/test_walk_live.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from runbook_lib import live
from runbook_lib.params import Params
from runbook_lib.resources import Host


def test_only_load_balancers_that_are_there_have_answers_and_silence_is_none() -> None:
    def balancer(name: str) -> Host:
        return Host(name, "gcp", "traefik", "z", "dc", f"id-{name}", "10.0.0.9", f"{name}.invalid", "RUNNING")

    standing = [balancer("one"), balancer("two")]
    site: Any = SimpleNamespace(params=Params(internet_proxy=""), hosts=lambda role: tuple(standing))
    visitor = live._Visitor(site, "demo")
    first = visitor()
    assert sorted(key[0] for key in first.rows) == ["one", "two"]
    assert {row.state for row in first.rows.values()} == {("no answer",)}
    del standing[0]
    assert [key[0] for key in visitor().rows] == ["two"], "what answered for the other one is history"
