"""What the daemons say is understood; the samples were written by strongSwan 5.9.8 and BIRD 2.0.12."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook_lib.lab.model import TunnelStatus
from runbook_lib.lab.vpn import words
from tests.lab.test_vpn_negotiate import AWS, GCP


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("13[IKE] received AUTHENTICATION_FAILED notify error", "wrong key"),
        ("01[IKE] tried 1 shared key for '198.51.100.7' - '203.0.113.8', but MAC mismatched", "wrong key"),
        ("07[ENC] could not decrypt payloads", "wrong key"),
        ("08[IKE] received NO_PROPOSAL_CHOSEN notify error", "no proposal"),
        ("08[IKE] received NO_PROPOSAL_CHOSEN error notify", "no proposal"),
        ("16[IKE] received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built", "no proposal"),
        ("13[IKE] received proposals unacceptable", "no proposal"),
        ("13[IKE] no acceptable proposal found", "no proposal"),
        ("12[IKE] no IKE config found for 198.51.100.7...203.0.113.8, sending NO_PROPOSAL_CHOSEN", "no proposal"),
        ("10[IKE] giving up after 3 retransmits", "no answer"),
        ("14[IKE] CHILD_SA tunnel{1} established with SPIs 04fb185c_i 3cca9f26_o and TS 0.0.0.0/0 === 0.0.0.0/0", ""),
        ("14[IKE] IKE_SA tunnel[1] established between 203.0.113.8[203.0.113.8]...198.51.100.7[198.51.100.7]", None),
        ("10[KNL] interface ipsec0 deleted", None),
    ],
)
def test_a_line_of_the_log(line: str, trouble: str | None) -> None:
    assert words.heard(line) == trouble


def association(state: bytes = b"ESTABLISHED", child: bytes = b"INSTALLED") -> dict[str, Any]:
    """As vici lists it."""
    cipher = {"encr-alg": b"AES_CBC", "encr-keysize": b"256", "integ-alg": b"HMAC_SHA2_256_128"}
    return {
        **cipher,
        "state": state,
        "version": b"2",
        "dh-group": b"MODP_2048",
        "child-sas": {"tunnel-1": {**cipher, "state": child}},
    }


def test_the_suite_is_there_once_packets_flow() -> None:
    suite = "IKEv2 AES_CBC_256/HMAC_SHA2_256_128/MODP_2048, ESP AES_CBC_256/HMAC_SHA2_256_128"
    assert words.suite(association()) == suite
    assert words.suite(association(state=b"CONNECTING")) == ""
    assert words.suite(association(child=b"DELETING")) == ""
    assert words.suite({**association(), "child-sas": {}}) == ""


PROTOCOLS = """\
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     12:22:42.660
own        Static     master4    up     12:22:42.660
  Channel ipv4
    State:          UP
tun1       BGP        ---        up     12:22:44.702  Established
  BGP state:          Established
    Neighbor address: 169.254.21.2
    Neighbor AS:      65273
tun2       BGP        ---        start  12:22:44.702  Idle          BGP Error: Bad peer AS
  BGP state:          Idle
    Neighbor address: 169.254.21.6
    Last error:       BGP Error: Bad peer AS
"""


def test_bgp_sessions() -> None:
    found = words.sessions(PROTOCOLS)
    assert found == {
        "tun1": words.Session("Established"),
        "tun2": words.Session("Idle", "BGP Error: Bad peer AS"),
    }


def test_networks_of_routes() -> None:
    text = """\
Table master4:
172.27.3.128/26      unicast [tun1 12:22:45.100] * (100) [AS65273i]
\tvia 169.254.21.2 on tun1
172.27.3.0/26        unicast [tun1 12:22:45.100] * (100) [AS65273i]
\tvia 169.254.21.2 on tun1
9.0.0.0/8            unreachable [own 12:22:45.100] * (200)
"""
    assert words.networks(text) == ("9.0.0.0/8", "172.27.3.0/26", "172.27.3.128/26")
    assert words.networks("") == ()


UP = words.Session("Established", "", ("172.30.3.0/24",), ("172.27.3.0/26",))


@pytest.mark.parametrize(
    ("exchange", "session", "expected"),
    [
        (words.Exchange("AES"), UP, TunnelStatus(True, "AES", UP.learned, "", "Established", UP.announced)),
        (words.Exchange(""), None, TunnelStatus(False, "")),
        # BGP holds on for a while after the packets stopped.
        (
            words.Exchange("", "no answer"),
            UP,
            TunnelStatus(False, "no answer from 198.51.100.7", (), "no answer", "Established"),
        ),
        (
            words.Exchange("AES"),
            words.Session("Active", "Received: Bad peer AS"),
            TunnelStatus(False, "AES; BGP is down: Active, Received: Bad peer AS", (), "no BGP", "Active"),
        ),
        (words.Exchange("AES"), None, TunnelStatus(False, "AES; BGP is down: there is no session", (), "no BGP")),
    ],
)
def test_a_status(exchange: words.Exchange, session: words.Session | None, expected: TunnelStatus) -> None:
    assert words.status(GCP, exchange, session) == expected


def test_with_static_routing_the_exchange_is_enough() -> None:
    end = replace(AWS, bgp=False, static=("10.9.0.0/16",))
    assert words.status(end, words.Exchange("AES"), None) == TunnelStatus(True, "AES", ("10.9.0.0/16",))
    assert not words.status(end, words.Exchange("", "wrong key"), None).up
