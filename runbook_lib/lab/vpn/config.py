"""What strongSwan and BIRD are told of a tunnel end, from nothing but what its own cloud's API holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model import Ciphers, CloudName, Tunnel

# strongSwan's names of Diffie-Hellman groups, by IANA's numbers (IKEv2 Parameters, Transform Type 4).
GROUPS: Mapping[int, str] = {
    2: "modp1024",
    5: "modp1536",
    14: "modp2048",
    15: "modp3072",
    16: "modp4096",
    17: "modp6144",
    18: "modp8192",
    19: "ecp256",
    20: "ecp384",
    21: "ecp521",
    22: "modp1024s160",
    23: "modp2048s224",
    24: "modp2048s256",
    31: "curve25519",
}
# The clouds take 30 s and more to call a peer dead. On one machine an answer takes milliseconds, and whoever cuts a
# tunnel wants to see it: a question after 2 s of silence, given up after 0.5 + 0.75 + 1.1 + 1.7 s without an answer.
_DPD_SECONDS = 2
_RETRANSMIT = {"retransmit_timeout": 0.5, "retransmit_base": 1.5, "retransmit_tries": 3}
# The clouds' BGP holds a session for 30 s (AWS) or 60 s (GCP); three keepalives that a busy machine may lose.
_HOLD_SECONDS, _KEEPALIVE_SECONDS = 6, 2
# What charon loads: a kernel interface in userland, its control socket, and every algorithm that the clouds offer.
_PLUGINS = "random nonce openssl aes sha1 sha2 hmac kdf gcm gmp kernel-libipsec kernel-netlink socket-default vici"


def proposals(ciphers: Ciphers, *, ike: bool) -> list[str]:
    """The proposals of one phase in strongSwan's words; modes that authenticate by themselves stand apart."""
    groups = "-".join(GROUPS[number] for number in ciphers.groups)
    hashes = "-".join(ciphers.integrity)
    functions = "-".join(f"prf{name}" for name in ciphers.integrity)
    plain = "-".join(name for name in ciphers.encryption if "gcm" not in name)
    aead = "-".join(name for name in ciphers.encryption if "gcm" in name)
    found = []
    if aead:
        found.append("-".join(part for part in (aead, functions if ike else "", groups) if part))
    if plain:
        found.append("-".join(part for part in (plain, hashes, groups) if part))
    return found


def connection(end: Tunnel) -> dict[str, Any]:
    """The end as a connection for vici's ``load-conn``. Traffic selectors are open, as both clouds have them."""
    return {
        "version": str(end.ike),
        "local_addrs": [end.local],
        "remote_addrs": [end.peer],
        "proposals": proposals(end.phase1, ike=True),
        "dpd_delay": f"{_DPD_SECONDS}s",
        "mobike": "no",
        "unique": "replace",
        "keyingtries": "0",
        "local": {"auth": "psk", "id": end.local},
        "remote": {"auth": "psk", "id": end.peer},
        "children": {
            "tunnel": {
                "local_ts": ["0.0.0.0/0"],
                "remote_ts": ["0.0.0.0/0"],
                "esp_proposals": proposals(end.phase2, ike=False),
                "dpd_action": "restart" if end.initiates else "clear",
                "start_action": "none",
            }
        },
    }


def secret(end: Tunnel) -> dict[str, Any]:
    """The pre-shared key for vici's ``load-shared``."""
    return {"type": "IKE", "data": end.shared_key, "owners": [end.local, end.peer]}


def exchange(end: Tunnel) -> Tunnel:
    """The end without what only BGP needs: while this stays the same, its key exchange does."""
    return replace(end, local_asn=0, peer_asn=0, advertised=(), bgp=True, static=None, med=0)


def charon() -> str:
    """strongswan.conf of a daemon that has one tunnel, a private /run and a network namespace of its own."""
    timers = "\n".join(f"  {name} = {value}" for name, value in _RETRANSMIT.items())
    return f"""charon {{
  load = {_PLUGINS}
  # After the main table: the end's own default route leads to the internet, whatever charon adds.
  routing_table_prio = 40000
  install_virtual_ip = no
  # Who answers takes what the caller likes best: Cloud VPN documents its order, AWS none.
  prefer_configured_proposals = no
  # A peer that tries again and again is what the lab is for.
  block_threshold = 0
  cookie_threshold = 0
  half_open_timeout = 10
{timers}
  filelog {{
    out {{
      path = /dev/stdout
      default = 1
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix:///run/vici
    }}
  }}
}}
"""


def bird(cloud: CloudName, ends: Mapping[str, Tunnel]) -> str:
    """bird.conf of one gateway.

    AWS's virtual private gateway sends by one path, GCP's Cloud Router by all that are equally good.

    Args:
        cloud: whose gateway.
        ends: interface -> tunnel end.
    """
    announced = sorted({network for end in ends.values() for network in end.advertised})
    identity = next((end.inside_local for end in ends.values()), "192.0.2.255")
    return "\n".join(
        [
            "log stderr { info, remote, warning, error, auth, fatal, bug };",
            "debug protocols { states };",
            f"router id {identity};",
            "protocol device { scan time 5; }",
            "protocol kernel {",
            *(["  merge paths on;"] if cloud == "gcp" else []),
            '  ipv4 { import none; export where source = RTS_BGP || proto = "fixed"; };',
            "}",
            "protocol static own {",
            "  ipv4;",
            *(f"  route {network} unreachable;" for network in announced),
            "}",
            "protocol static fixed {",
            "  ipv4;",
            *_fixed(ends),
            "}",
            *(line for name, end in ends.items() if end.bgp for line in _session(name, end)),
            "",
        ]
    )


def _fixed(ends: Mapping[str, Tunnel]) -> Iterable[str]:
    """Static routing: the first tunnel that has a network takes it."""
    via: dict[str, str] = {}
    for name, end in ends.items():
        for network in end.static or ():
            via.setdefault(network, name)
    return [f'  route {network} via "{name}";' for network, name in sorted(via.items())]


def _session(name: str, end: Tunnel) -> list[str]:
    networks = ", ".join(end.advertised)
    announce = f'filter {{ if proto = "own" && net ~ [ {networks} ] then {{ bgp_med = {end.med}; accept; }} reject; }}'
    return [
        f"protocol bgp {name} {{",
        f"  local {end.inside_local} as {end.local_asn};",
        f"  neighbor {end.inside_peer} as {end.peer_asn};",
        "  direct;",
        f"  hold time {_HOLD_SECONDS};",
        f"  keepalive time {_KEEPALIVE_SECONDS};",
        # The defaults (5 s, 120 s, 60 to 300 s) spare a network between strangers.
        "  connect delay time 1;",
        "  connect retry time 1;",
        "  error wait time 1, 2;",
        f"  ipv4 {{ import all; export {announce if networks else 'none'}; next hop self; }};",
        "}",
    ]
