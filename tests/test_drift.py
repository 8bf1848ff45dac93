"""Differences in words."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.drift import explain

SSH = {"protocol": "tcp", "low": 22, "high": 22, "source": "0.0.0.0/0"}
TELNET = {"protocol": "tcp", "low": 23, "high": 23, "source": "0.0.0.0/0"}


@pytest.mark.parametrize(
    ("name", "wanted", "seen", "words"),
    [
        ("cidr", "172.30.3.0/24", "10.0.0.0/8", "cidr is 10.0.0.0/8, not 172.30.3.0/24"),
        ("vpc", "vpc-1", None, "vpc is unset, not vpc-1"),
        ("vpc", None, "vpc-1", "vpc follows what is made anew"),
        ("vpc", None, None, "vpc follows what is made anew"),
        ("tags", {"Role": "web", "Consul": "x"}, {"Role": "a"}, "tags.Role is a, not web; tags.Consul is unset, not x"),
        ("dns", True, False, "dns is False, not True"),
        ("ingress", [SSH], [SSH, TELNET], "ingress has tcp 23 23 0.0.0.0/0 besides"),
        ("ingress", [SSH, TELNET], [SSH], "ingress lacks tcp 23 23 0.0.0.0/0"),
        ("tags", ["a", "b"], ["b", "c"], "tags has c besides and lacks a"),
        ("ports", ["80", "80"], ["80"], "ports lacks 80"),
        ("tags", {"Role": "web", "Consul": "client"}, {"Role": "web"}, "tags.Consul is unset, not client"),
        ("tags", {"Role": "web"}, {"Role": "traefik"}, "tags.Role is traefik, not web"),
        ("script_digest", "0123", "4567", "the boot script is another"),
        (
            "metadata",
            {"items": [{"key": "startup-script", "value": "#!/bin/sh\nnew"}, {"key": "ssh-keys", "value": "k"}]},
            {"items": [{"key": "startup-script", "value": "#!/bin/sh\nold"}, {"key": "ssh-keys", "value": "k"}]},
            "metadata.items[startup-script].value is another text",
        ),
        ("network", "projects/p/global/networks/a", "https://x/projects/p/global/networks/b", None),
    ],
)
def test_a_difference_reads(name: str, wanted: Any, seen: Any, words: str | None) -> None:
    assert explain(name, wanted, seen) == (words or "network is p/global/networks/b, not p/global/networks/a")


def test_long_values_are_cut() -> None:
    said = explain("description", "a" * 500, "b" * 500)
    assert len(said) < 160
    assert "a…" in said and "b…" in said
