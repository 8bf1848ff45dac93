from __future__ import annotations

from dataclasses import replace
from typing import Any

from runbook_lib.pictures.network import drawn
from runbook_lib.pictures.openings import Opening, openings
from runbook_lib.resources import Found
from tests.pictures.seen import FOUND, nothing_is_cut, seen, words
from tests.standing import changed

WELL = seen()


def firewall(name: str, **spec: Any) -> dict[str, Found]:
    """A rule of GCP's as its API has it."""
    usual = {
        "allowed": [{"I_p_protocol": "tcp", "ports": ["8500"]}],
        "source_ranges": ["0.0.0.0/0"],
        "target_tags": ["web"],
    }
    key = f"gcp:firewall:{name}"
    return {key: Found(key, "1", {}, {"direction": "INGRESS", "disabled": False, **usual, **spec})}


def opened(more: dict[str, Found]) -> set[Opening]:
    """What these rules add to GCP's openings."""
    return {*openings({**FOUND, **more}, "gcp", "demo")} - {*openings(FOUND, "gcp", "demo")}


def test_every_zone_subnet_address_and_way_out_is_shown() -> None:
    picture = drawn(WELL, "demo")
    shown = words(picture)
    nothing_is_cut(picture)
    for cidr in ("172.30.3.0/27", "172.30.3.192/27", "172.27.3.0/26", "172.27.3.128/26"):
        assert cidr in picture.alt and any(cidr in word for word in shown)
    for zone in ("us-west-2a", "us-west-2c", "europe-west1-d"):
        assert f"zone {zone}" in shown
    for host in WELL.hosts:
        assert f"{host.name} {host.private_ip}" in picture.alt
        assert any(host.private_ip in word.split() for word in shown)
    assert "NAT gateway demo-nat in demo-public-a" in picture.alt
    assert "Routes of demo-private: 0.0.0.0/0 by demo-nat; learned by the VPN: 172.27.3.0/26" in picture.alt
    assert "by demo-bastion-gcp, which is their NAT" in picture.alt
    assert picture.headline.startswith("Network now: 8 subnets, 16 hosts,")
    assert picture.headline.endswith("VPN: 4 of 4 tunnels up.")


def test_what_is_open_to_whom_is_told_in_one_form() -> None:
    for cloud in ("aws", "gcp"):
        found = openings(FOUND, cloud, "demo")
        assert Opening(("traefik",), ("80 tcp",), ("anywhere",)) in found
        assert Opening(("web",), ("80 tcp",), ("traefik",)) in found
        agents = ("consul-clients", "consul-servers", "consul-traefik")
        assert Opening(agents, ("8301 tcp+udp",), agents) in found
        assert not [one for one in found if "8500" in str(one.ports)]


def test_a_port_opened_in_a_group_appears() -> None:
    key = "aws:security_group_rules:demo-web"
    rule = {"protocol": "tcp", "low": 9000, "high": 9010, "source": "198.51.100.0/24"}
    found = changed(FOUND, key, ingress=[*FOUND[key].spec["ingress"], rule])
    picture = drawn(seen(found), "demo")
    assert "web: 9000-9010 tcp from 198.51.100.0/24" in picture.alt
    assert "9000-9010 tcp" in words(picture)
    assert "9000" not in drawn(WELL, "demo").alt
    every = [{"protocol": "-1", "low": 0, "high": 0, "source": "0.0.0.0/0"}]
    assert Opening(("web",), ("all ports",), ("anywhere",)) in openings(
        changed(FOUND, key, ingress=every), "aws", "demo"
    )


def test_a_port_closed_in_a_group_goes() -> None:
    found = changed(FOUND, "aws:security_group_rules:demo-web", ingress=[])
    assert "web: 80 tcp from traefik" in drawn(WELL, "demo").alt.split("GCP ")[0]
    assert "web: 80 tcp from traefik" not in drawn(seen(found), "demo").alt.split("GCP ")[0]


def test_a_rule_of_a_name_that_the_runbook_does_not_give_is_named() -> None:
    assert opened(firewall("by-hand")) == {Opening(("web",), ("8500 tcp",), ("anywhere",), "rule by-hand")}
    picture = drawn(replace(WELL, found={**FOUND, **firewall("by-hand", target_tags=[])}), "demo")
    nothing_is_cut(picture)
    assert "every host: 8500 tcp from anywhere (rule by-hand)" in picture.alt
    assert "rule by-hand" in words(picture)


def test_rules_that_let_nothing_in_are_told_apart() -> None:
    denied = firewall("a", allowed=[], denied=[{"I_p_protocol": "all", "ports": []}])
    assert opened(denied) == {Opening(("web",), ("all ports",), ("anywhere",), "denied, rule a")}
    assert opened(firewall("demo-nat", disabled=True)).pop().note == "switched off"
    assert opened(firewall("b", direction="EGRESS")) == set()
    assert opened(firewall("c", source_ranges=[])).pop().sources == ("anywhere",)


def test_a_stopped_host_is_marked() -> None:
    found = changed(FOUND, "aws:instance:demo-server-aws-test-1", state="stopped")
    picture = drawn(seen(found), "demo")
    assert "✗ test-1: stopped" in words(picture)
    assert "server-aws-test-1 10.0.0" in picture.alt and " stopped" in picture.alt


def test_half_a_network_is_shown_as_it_is() -> None:
    empty = drawn(seen({}), "demo")
    nothing_is_cut(empty)
    assert empty.alt.count("nothing yet") == 2
    bare = {key: thing for key, thing in FOUND.items() if key.startswith("aws:subnet:")}
    assert "(no hosts)" in drawn(seen(bare), "demo").alt
    alone = {key: thing for key, thing in FOUND.items() if ":instance:" in key}
    assert "elsewhere" in drawn(seen(alone), "demo").alt
