"""VPN tunnels: options refused and completed, the configuration document."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("moto")

from runbook_lib.lab.ec2 import tunnels
from runbook_lib.lab.model import Ciphers

KEY = "abcdefgh"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({}, None),
        ({"TunnelInsideCidr": "169.254.44.0/30", "PreSharedKey": KEY}, None),
        ({"TunnelInsideCidr": "169.254.44.0/29"}, "Must be a /30"),
        ({"TunnelInsideCidr": "10.0.0.0/30"}, "Must be a /30"),
        ({"TunnelInsideCidr": "169.254.44.1/30"}, "Must be a /30"),
        ({"TunnelInsideCidr": "169.254.5.0/30"}, "reserved"),
        ({"TunnelInsideCidr": "169.254.169.252/30"}, "reserved"),
        ({"TunnelInsideCidr": "169.254.6.0/30"}, "already in use"),
        ({"PreSharedKey": "0bcdefgh"}, "PreSharedKey"),
        ({"PreSharedKey": "short"}, "PreSharedKey"),
        ({"PreSharedKey": "a" * 64}, None),
        ({"PreSharedKey": "a" * 65}, "PreSharedKey"),
        ({"PreSharedKey": "with-hyphen"}, "PreSharedKey"),
        ({"IKEVersions": [{"Value": "ikev2"}]}, None),
        ({"IKEVersions": [{"Value": "ikev3"}]}, "ikev1 or ikev2"),
        ({"Phase1EncryptionAlgorithms": [{"Value": "AES256-GCM-16"}], "Phase2DHGroupNumbers": [{"Value": 5}]}, None),
        ({"Phase1EncryptionAlgorithms": [{"Value": "3DES"}]}, "Phase1EncryptionAlgorithms. Must be one of AES128"),
        ({"Phase2IntegrityAlgorithms": [{"Value": "MD5"}]}, "Phase2IntegrityAlgorithms"),
        ({"Phase1DHGroupNumbers": [{"Value": 5}]}, "Phase1DHGroupNumbers"),
        ({"StartupAction": "start"}, None),
        ({"StartupAction": "stop"}, "StartupAction"),
    ],
)
def test_options_are_checked(option: dict[str, Any], reason: str | None) -> None:
    found = tunnels.refusals([option], taken=["169.254.6.0/30"])
    assert (reason is None) == (found == [])
    assert reason is None or reason in found[0]


def test_a_refusal_does_not_show_the_key() -> None:
    assert "secret-key" not in tunnels.refusals([{"PreSharedKey": "secret-key"}], [])[0]


def test_both_tunnels_need_different_networks() -> None:
    same = {"TunnelInsideCidr": "169.254.44.0/30"}
    assert "already in use" in tunnels.refusals([same, same], [])[0]


def test_what_is_left_open_is_chosen() -> None:
    first = tunnels.complete({}, "198.51.100.10", [])
    second = tunnels.complete({}, "198.51.100.11", [first.inside])
    assert (first.inside, second.inside) == ("169.254.0.4/30", "169.254.0.8/30")
    assert first.addresses == ("169.254.0.5", "169.254.0.6")
    assert first.shared_key != second.shared_key
    assert tunnels.refusals([{"PreSharedKey": first.shared_key}], []) == []


def test_ciphers_are_those_asked_for_or_all() -> None:
    bare = tunnels.complete({}, "198.51.100.10", [])
    assert bare.ciphers(1).encryption == ("aes128", "aes256", "aes128gcm16", "aes256gcm16")
    assert (5 in bare.ciphers(1).groups, 5 in bare.ciphers(2).groups) == (False, True)
    assert not bare.initiates
    option = {
        "Phase1EncryptionAlgorithms": [{"Value": "AES256"}],
        "Phase1IntegrityAlgorithms": [{"Value": "SHA2-384"}],
        "Phase1DHGroupNumbers": [{"Value": "14"}],
        "StartupAction": "start",
    }
    chosen = tunnels.complete(option, "198.51.100.10", [])
    assert chosen.ciphers(1) == Ciphers(("aes256",), ("sha384",), (14,))
    assert chosen.ciphers(2) == bare.ciphers(2)
    assert chosen.initiates


@pytest.mark.parametrize(
    ("up", "ipsec", "detail", "message"),
    [
        (True, True, "AES", "2 BGP ROUTES"),
        (False, True, "AES; BGP is down: Active", "IPSEC IS UP"),
        (False, False, "", "IPSEC IS DOWN"),
        (False, False, "no answer from 203.0.113.9", "IPSEC IS DOWN: no answer from 203.0.113.9"),
    ],
)
def test_telemetry_in_awss_words(up: bool, ipsec: bool, detail: str, message: str) -> None:
    tunnel = tunnels.complete({}, "198.51.100.10", [])
    tunnel.up, tunnel.ipsec, tunnel.detail, tunnel.learned = up, ipsec, detail, ("10.9.0.0/16", "10.8.0.0/16")
    shown = tunnel.telemetry()
    assert (shown["Status"], shown["StatusMessage"]) == ("UP" if up else "DOWN", message)
    assert shown["AcceptedRouteCount"] == (2 if up else 0)


def test_keys_are_not_in_a_repr() -> None:
    tunnel = tunnels.complete({"PreSharedKey": "letmeinplease"}, "198.51.100.10", [])
    assert "letmeinplease" not in repr(tunnel)


def test_generated_keys_are_acceptable() -> None:
    keys = {tunnels.new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(re.fullmatch(r"(?!0)[A-Za-z0-9._]{32}", key) for key in keys)


def test_configuration() -> None:
    pair = [
        tunnels.complete({"PreSharedKey": f"{KEY}{n}", "TunnelInsideCidr": f"169.254.{n}.0/30"}, f"198.51.100.{n}", [])
        for n in (10, 11)
    ]
    text = tunnels.configuration("vpn-1", ("cgw-1", "203.0.113.9", 65273), ("vgw-1", 64512), pair, static=False)
    root = ElementTree.fromstring(text)
    assert root.attrib["id"] == "vpn-1"
    assert [t.findtext("ike/pre_shared_key") for t in root.iter("ipsec_tunnel")] == [f"{KEY}10", f"{KEY}11"]
    first = next(root.iter("ipsec_tunnel"))
    assert first.findtext("vpn_gateway/tunnel_outside_address/ip_address") == "198.51.100.10"
    assert first.findtext("vpn_gateway/tunnel_inside_address/ip_address") == "169.254.10.1"
    assert first.findtext("customer_gateway/tunnel_inside_address/ip_address") == "169.254.10.2"
    assert first.findtext("customer_gateway/bgp/asn") == "65273"
    assert first.findtext("vpn_gateway/bgp/asn") == "64512"


def test_a_static_connection_has_no_bgp() -> None:
    tunnel = tunnels.complete({}, "198.51.100.10", [])
    text = tunnels.configuration("vpn-1", ("cgw-1", "203.0.113.9", 65273), ("vgw-1", 64512), [tunnel], static=True)
    assert ElementTree.fromstring(text).find(".//bgp") is None
