"""Cut tunnels: pairs of public addresses between which the lab's internet loses IKE and ESP.

The set lives in the kernel, in the world's own namespace. Nobody tells the daemons: they find out as they would in
the clouds, by silence. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

Pair = tuple[str, str]

RULES = """table ip vpn {
  set cut { type ipv4_addr . ipv4_addr; }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr . ip daddr @cut udp dport { 500, 4500 } counter drop
  }
}
"""
LIST = ("nft", "-j", "list", "set", "ip", "vpn", "cut")


def change(pairs: Iterable[Pair], *, down: bool) -> str:
    """The nft commands that cut (or heal) tunnels, in both directions and however often they are given.

    Args:
        pairs: outside addresses of the tunnels.
        down: cut rather than heal.
    """
    elements = ", ".join(f"{a} . {b}" for pair in pairs for a, b in (pair, pair[::-1]))
    # Adding what is there does nothing; deleting what is not there would fail, so it is added first.
    lines = [f"add element ip vpn cut {{ {elements} }}", f"delete element ip vpn cut {{ {elements} }}"]
    return "\n".join(lines[:1] if down else lines) + "\n"


def listed(answer: str) -> frozenset[Pair]:
    """The pairs in what ``LIST`` prints."""
    sets = [entry["set"] for entry in json.loads(answer)["nftables"] if "set" in entry]
    return frozenset((element["concat"][0], element["concat"][1]) for one in sets for element in one.get("elem", ()))
