"""Cuts are pairs of addresses in a set of the kernel."""

from __future__ import annotations

import json

from runbook_lib.lab.vpn import cut
from runbook_lib.lab.vpn.control import describe

PAIR = ("198.51.100.7", "203.0.113.8")


def test_both_directions_are_cut_and_healed() -> None:
    elements = "{ 198.51.100.7 . 203.0.113.8, 203.0.113.8 . 198.51.100.7 }"
    down, up = cut.change([PAIR], down=True), cut.change([PAIR], down=False)
    assert down == f"add element ip vpn cut {elements}\n"
    assert up == f"{down}delete element ip vpn cut {elements}\n"


def test_what_nft_lists() -> None:
    empty = {"set": {"family": "ip", "name": "cut", "table": "vpn"}}
    full = {"set": {**empty["set"], "elem": [{"concat": list(PAIR)}]}}
    assert cut.listed(json.dumps({"nftables": [{"metainfo": {}}, empty]})) == frozenset()
    assert cut.listed(json.dumps({"nftables": [{"metainfo": {}}, full]})) == {PAIR}


def test_what_stands_in_is_said() -> None:
    assert "strongSwan" in describe([])
    assert describe(["bird", "TUN devices"]) == "plain link, nothing is encrypted (missing here: bird, TUN devices)"
