"""Two ends of a tunnel meet only if each cloud's own objects say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook_lib.lab.model import Ciphers, Tunnel
from runbook_lib.lab.vpn import negotiate as vpn

AWS = Tunnel(
    cloud="aws",
    network="vpc-1",
    id="vpn-1:198.51.100.7",
    local="198.51.100.7",
    peer="203.0.113.8",
    shared_key="abcdefgh",
    ike=2,
    inside_local="169.254.21.1",
    inside_peer="169.254.21.2",
    local_asn=64512,
    peer_asn=65273,
    advertised=("172.30.3.0/24",),
)
GCP = Tunnel(
    cloud="gcp",
    network="net",
    id="europe-west1/t1",
    local="203.0.113.8",
    peer="198.51.100.7",
    shared_key="abcdefgh",
    ike=2,
    inside_local="169.254.21.2",
    inside_peer="169.254.21.1",
    local_asn=65273,
    peer_asn=64512,
    advertised=("172.27.3.0/26", "172.27.3.128/26"),
)


def test_matching_ends_come_up_and_learn_from_each_other() -> None:
    statuses = vpn.negotiate([AWS, GCP])
    assert statuses[AWS.id].up and statuses[AWS.id].learned == GCP.advertised
    assert statuses[GCP.id].up and statuses[GCP.id].learned == AWS.advertised
    assert vpn.links([AWS, GCP], statuses) == {("vpc-1", "net")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shared_key": "abcdefgX"}, "keys differ"),
        ({"ike": 1}, "IKEv1"),
        ({"inside_local": "169.254.21.6"}, "inside addresses"),
        ({"local_asn": 65000}, "AS numbers"),
        ({"peer": "198.51.100.99"}, "no answer"),
        ({"phase1": Ciphers(("aes256",), ("sha256",), (22,))}, "no phase 1 cipher"),
        ({"phase2": Ciphers(("aes128",), ("sha256",), (14,))}, "no phase 2 cipher"),
        ({"bgp": False}, "no session"),
    ],
)
def test_any_difference_keeps_the_tunnel_down_and_is_named(change: dict[str, Any], told: str) -> None:
    other = replace(GCP, **change)
    statuses = vpn.negotiate([AWS, other])
    assert not statuses[AWS.id].up and not statuses[other.id].up
    assert told in statuses[AWS.id].detail
    assert vpn.links([AWS, other], statuses) == frozenset()


def test_either_ike_version_is_met_by_any() -> None:
    either = replace(AWS, ike=0)
    assert all(vpn.negotiate([either, replace(GCP, ike=version)])[AWS.id].up for version in (1, 2))


def test_a_cut_in_either_direction_is_silence() -> None:
    for pair in ((AWS.local, GCP.local), (GCP.local, AWS.local)):
        statuses = vpn.negotiate([AWS, GCP], cut={pair, pair[::-1]})
        assert {status.trouble for status in statuses.values()} == {"no answer"}
    assert vpn.negotiate([AWS, GCP], cut={(AWS.local, "203.0.113.9")})[AWS.id].up


def test_only_a_tunnel_that_fails_at_bgp_has_ipsec() -> None:
    assert vpn.negotiate([AWS, replace(GCP, local_asn=65000)])[AWS.id].ipsec
    assert not vpn.negotiate([AWS, replace(GCP, shared_key="abcdefgX")])[AWS.id].ipsec


def test_the_status_never_shows_the_key() -> None:
    assert AWS.shared_key not in repr(AWS) + repr(vpn.negotiate([AWS, replace(GCP, shared_key="zzzzzzzz")]))
