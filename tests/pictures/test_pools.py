from __future__ import annotations

from dataclasses import replace

import pytest

from runbook_lib.pictures.now import Said
from runbook_lib.pictures.pools import drawn
from runbook_lib.resources import CloudName
from tests.pictures.seen import lost_from_afar, nothing_is_cut, seen, silent, with_status, words

WELL = seen()


def test_every_member_is_in_its_pools_with_leaders_starred() -> None:
    picture = drawn(WELL)
    shown = words(picture)
    nothing_is_cut(picture)
    assert picture.headline == "Consul's pools now: 14 of 14 members alive."
    assert "LAN pool us-west-2: 7 of 7 members alive, leader: server-aws-consul-1." in picture.alt
    assert "WAN pool: 6 of 6 members alive." in picture.alt
    for host in WELL.hosts:
        assert shown.count(host.name) == (host.role != "bastion")
        assert shown.count(f"{host.name}.{host.datacenter}") == (host.role == "consul")
    assert shown.count("★") == 4
    assert shown.count("✓ alive") == 7 + 7 + 6 + 1, "and the legend"


@pytest.mark.parametrize("status", ["failed", "left", "leaving"])
def test_a_member_that_is_not_alive_has_a_sign_and_a_word(status: str) -> None:
    picture = drawn(with_status(WELL, "gcp", "server-gcp-traefik-2", status))
    assert words(picture).count(f"✗ {status}") == 1
    assert picture.headline == "Consul's pools now: not alive: server-gcp-traefik-2."
    assert "6 of 7 members alive" in picture.alt


def test_a_host_that_left_and_is_gone_is_no_member_any_more() -> None:
    left = with_status(WELL, "gcp", "server-gcp-traefik-2", "left")
    without = replace(left, hosts=tuple(host for host in left.hosts if host.name != "server-gcp-traefik-2"))
    picture = drawn(without)
    assert picture.headline == "Consul's pools now: 13 of 13 members alive."
    assert "server-gcp-traefik-2" not in picture.alt


def test_a_server_that_does_not_answer_is_marked_before_the_others_miss_it() -> None:
    assert words(drawn(silent(WELL, "aws", ["server-aws-consul-2"]))).count("✗ no answer") == 1


def test_what_the_two_sides_see_differently_is_told() -> None:
    picture = drawn(lost_from_afar(WELL, "server-gcp-consul-1"))
    assert words(picture).count("✗ failed to AWS") == 1
    assert "not alive: server-gcp-consul-1.europe-west1." in picture.headline


def test_pools_that_are_not_joined_are_two() -> None:
    picture = drawn(seen(joined=False))
    assert "WAN pool: 6 of 6 members alive; the datacenters are not joined: each has its own." in picture.alt
    assert picture.headline == "Consul's pools now: 14 of 14 members alive."
    half: dict[CloudName, tuple[Said, ...]] = {"aws": WELL.said["aws"], "gcp": seen(joined=False).said["gcp"]}
    assert words(drawn(replace(WELL, said=half))).count("✗ unknown to GCP") == 3
    everywhere = {cloud: tuple(replace(one, wan=()) for one in said) for cloud, said in WELL.said.items()}
    assert "WAN pool: nobody tells of it." in drawn(replace(WELL, said=everywhere)).alt


def test_a_datacenter_that_cannot_be_asked_is_told() -> None:
    picture = drawn(silent(WELL, "aws", [said.server for said in WELL.said["aws"]], "no answer in time"))
    nothing_is_cut(picture)
    assert "LAN pool us-west-2: Consul cannot be asked: no answer in time." in picture.alt
    assert "LAN pool europe-west1: 7 of 7 members alive" in picture.alt
    empty = drawn(seen({}))
    assert empty.headline == "Consul's pools: nobody tells of them."
    assert empty.alt.count("Consul: no servers yet") == 2
