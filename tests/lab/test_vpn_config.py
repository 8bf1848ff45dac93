"""Both daemons are told what the end's own cloud holds, and no more."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.lab import tools
from runbook_lib.lab.model import Ciphers, Tunnel
from runbook_lib.lab.vpn import config
from tests.lab.test_vpn_negotiate import AWS, GCP


@pytest.mark.parametrize(
    ("ciphers", "ike", "expected"),
    [
        (Ciphers(("aes256",), ("sha256",), (14,)), True, ["aes256-sha256-modp2048"]),
        (
            Ciphers(("aes128", "aes256"), ("sha1",), (2, 19)),
            True,
            ["aes128-aes256-sha1-modp1024-ecp256"],
        ),
        (Ciphers(("aes256gcm16",), ("sha384",), (20,)), True, ["aes256gcm16-prfsha384-ecp384"]),
        (Ciphers(("aes256gcm16",), ("sha384",), (20,)), False, ["aes256gcm16-ecp384"]),
        (
            Ciphers(("aes128", "aes256gcm16"), ("sha256",), (14,)),
            True,
            ["aes256gcm16-prfsha256-modp2048", "aes128-sha256-modp2048"],
        ),
    ],
)
def test_proposals(ciphers: Ciphers, ike: bool, expected: list[str]) -> None:
    assert config.proposals(ciphers, ike=ike) == expected


def test_a_connection_is_between_the_two_outside_addresses() -> None:
    told = config.connection(replace(GCP, initiates=True))
    assert (told["local_addrs"], told["remote_addrs"], told["version"]) == ([GCP.local], [GCP.peer], "2")
    assert (told["local"]["id"], told["remote"]["id"]) == (GCP.local, GCP.peer)
    assert told["children"]["tunnel"]["dpd_action"] == "restart"
    assert config.connection(AWS)["children"]["tunnel"]["dpd_action"] == "clear"
    assert GCP.shared_key not in repr(told) + config.charon() + config.bird("gcp", {"tun1": GCP})
    assert config.secret(GCP) == {"type": "IKE", "data": GCP.shared_key, "owners": [GCP.local, GCP.peer]}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"advertised": ("10.0.0.0/8",)}, True),
        ({"peer_asn": 65000}, True),
        ({"bgp": False}, True),
        ({"shared_key": "abcdefgX"}, False),
        ({"peer": "198.51.100.99"}, False),
        ({"ike": 1}, False),
        ({"inside_local": "169.254.21.6"}, False),
        ({"phase2": Ciphers(("aes128",), ("sha1",), (2,))}, False),
    ],
)
def test_what_only_bgp_needs_leaves_the_exchange_alone(change: dict[str, Any], same: bool) -> None:
    assert (config.exchange(GCP) == config.exchange(replace(GCP, **change))) is same


def test_only_gcp_uses_several_paths() -> None:
    assert "merge paths on" in config.bird("gcp", {"tun1": GCP})
    assert "merge paths" not in config.bird("aws", {"tun1": AWS})


def test_sessions_announce_their_own_networks_with_their_metric() -> None:
    other = replace(GCP, id="t2", inside_local="169.254.21.6", inside_peer="169.254.21.5", advertised=("10.9.0.0/16",))
    text = config.bird("gcp", {"tun1": replace(GCP, med=100), "tun2": other})
    first, second = text.split("protocol bgp ")[1:]
    assert "local 169.254.21.2 as 65273;" in first and "neighbor 169.254.21.1 as 64512;" in first
    assert "172.27.3.0/26, 172.27.3.128/26" in first and "bgp_med = 100" in first
    assert "10.9.0.0/16" in second and "172.27.3.0/26" not in second


def test_a_session_that_is_switched_off_is_not_there() -> None:
    assert "protocol bgp" not in config.bird("gcp", {"tun1": replace(GCP, bgp=False)})


def test_static_routing_takes_the_first_tunnel() -> None:
    static = replace(AWS, bgp=False, static=("10.9.0.0/16",))
    text = config.bird("aws", {"tun1": static, "tun2": static})
    assert text.count('route 10.9.0.0/16 via "tun1";') == 1
    assert '"tun2"' not in text


@pytest.mark.lab
@pytest.mark.parametrize(
    "ends",
    [
        {},
        {"tun1": AWS},
        {"tun1": replace(AWS, bgp=False, static=("10.9.0.0/16",)), "tun2": AWS},
        {"tun1": replace(GCP, advertised=())},
        {"tun1": GCP, "tun2": replace(GCP, inside_local="169.254.21.6", inside_peer="169.254.21.5")},
    ],
    ids=["no tunnel", "one", "static", "nothing announced", "two"],
)
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_bird_accepts_its_configuration(ends: dict[str, Tunnel], cloud: Any, tmp_path: Path) -> None:
    file = tmp_path / "bird.conf"
    file.write_text(config.bird(cloud, ends))
    done = subprocess.run([str(tools.path("bird")), "-p", "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
