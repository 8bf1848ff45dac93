from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from runbook_lib.errors import ParameterError
from runbook_lib.params import Params
from runbook_lib.pictures.architecture import architecture, drawn
from runbook_lib.pictures.now import Balancer
from runbook_lib.pictures.picture import Picture
from runbook_lib.provision import hosts_of
from runbook_lib.resources import Found
from runbook_lib.topology import ExistingNetwork
from tests.pictures.seen import FOUND, lost_from_afar, nothing_is_cut, seen, silent, with_status, words
from tests.standing import changed, site_of, standing

WELL = seen()
SECOND = "server-aws-consul-2"


def test_every_host_is_shown_as_it_is() -> None:
    picture = drawn(WELL)
    shown = words(picture)
    nothing_is_cut(picture)
    assert picture.headline == "Architecture now: 16 hosts in two clouds, none of them marked as failing."
    assert "AWS us-west-2: 6 subnets;" in picture.alt
    assert "GCP europe-west1: 2 subnets;" in picture.alt
    assert "VPN: 4 of 4 tunnels up. WAN pool: joined, AWS sees 3 of 3 servers of GCP" in picture.alt
    assert "Consul: 7 of 7 members alive, leader: server-gcp-consul-1." in picture.alt
    for host in WELL.hosts:
        assert f"{host.name} {host.private_ip}" in picture.alt
        assert host.private_ip in shown
        assert host.public_ip is None or host.public_ip in shown
    assert shown.count("consul-1 ★") == 2
    assert shown.count("✓ demo: passing") == shown.count("demo → 2 servers") == 4
    assert [word for word in shown if word.startswith("✗")] == ["✗ not as it should be"]


def test_a_stopped_host_is_marked() -> None:
    found = changed(FOUND, "gcp:instance:demo-server-gcp-consul-2", state="TERMINATED")
    picture = drawn(seen(found))
    assert words(picture).count("✗ terminated") == 1
    assert "1 of them not as they should be: server-gcp-consul-2." in picture.headline


@pytest.mark.parametrize("status", ["failed", "left"])
def test_an_agent_that_consul_misses_is_marked(status: str) -> None:
    picture = drawn(with_status(WELL, "aws", "server-aws-test-1", status))
    assert words(picture).count(f"✗ consul: {status}") == 1
    assert "1 of them not as they should be: server-aws-test-1." in picture.headline
    assert "Consul: 6 of 7 members alive" in picture.alt


def test_a_server_that_does_not_answer_is_marked_before_the_others_miss_it() -> None:
    now = silent(WELL, "aws", [SECOND])
    assert words(drawn(now)).count("✗ consul: no answer") == 1
    assert words(drawn(with_status(now, "aws", SECOND, "failed"))).count("✗ consul: failed") == 1


def test_a_host_that_is_no_member_is_marked() -> None:
    said = WELL.said["gcp"]
    without = tuple(replace(one, lan=tuple(m for m in one.lan if m.name != "server-gcp-test-1")) for one in said)
    picture = drawn(replace(WELL, said={**WELL.said, "gcp": without}))
    assert words(picture).count("✗ consul: no member") == 1


def test_consul_that_cannot_be_asked_is_told_and_nothing_is_concluded() -> None:
    names = [said.server for said in WELL.said["aws"]]
    picture = drawn(silent(WELL, "aws", names, "Consul's agent on a does not answer as it should"))
    assert "Consul cannot be asked: Consul's agent on a does not answer as it should" in picture.alt
    assert words(picture).count("✗ consul: no answer") == 3
    assert words(picture).count("consul: alive") == 7, "those of the other cloud alone"
    assert "WAN pool: not whole, GCP sees 3 of 3 servers of AWS." in picture.alt


def test_without_a_leader_none_is_starred() -> None:
    said = {"aws": tuple(replace(one, leader="") for one in WELL.said["aws"]), "gcp": WELL.said["gcp"]}
    picture = drawn(replace(WELL, said=said))  # type: ignore[arg-type]
    assert "members alive, leader: none" in picture.alt
    assert words(picture).count("consul-1 ★") == 1


def test_services_and_routes_are_what_they_are() -> None:
    services = {"demo": {"server-aws-test-1": "critical", "server-aws-test-2": "passing"}}
    said = {**WELL.said, "aws": tuple(replace(one, services=services) for one in WELL.said["aws"])}
    routes = {"server-aws-traefik-1": Balancer({"demo": 1}), "server-aws-traefik-2": Balancer(problem="refused")}
    shown = words(drawn(replace(WELL, said=said, balancers={**WELL.balancers, **routes})))
    assert shown.count("✗ demo: critical") == 1
    assert shown.count("demo → 1 server") == 1
    assert shown.count("✗ traefik: no answer") == 1
    assert "routes: none" in words(drawn(replace(WELL, balancers={"server-aws-traefik-1": Balancer()})))


def test_the_wan_pool_is_shown_as_both_sides_see_it() -> None:
    assert "WAN pool: not joined." in drawn(seen(joined=False)).alt
    assert "WAN pool: not whole, AWS sees 2 of 3" in drawn(lost_from_afar(WELL, "server-gcp-consul-1")).alt


@pytest.mark.parametrize(
    ("new", "marks"),
    [
        ("", 0),
        ("00_provision", 5 + 1),
        ("01_bootstrap", 6 + 1),
        ("02_federate", 1 + 1),
        ("03_traefik", 4 + 1),
        ("04_test", 4 + 1),
    ],
)
def test_what_a_step_added_is_marked(new: str, marks: int) -> None:
    picture = drawn(WELL, new)
    assert words(picture).count("new") == marks, "each part, and the legend"
    assert ("(new)" in picture.alt) is bool(new)


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(ParameterError, match="no step called 1"):
        architecture(site_of({}), new="1")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, ["AWS us-west-2: nothing yet.", "GCP europe-west1: nothing yet.", "No VPN."]),
        (
            {key: thing for key, thing in FOUND.items() if key.startswith("gcp:") and ":instance:" not in key},
            ["AWS us-west-2: nothing yet.", "GCP europe-west1: 2 subnets; no hosts.", "The VPN is incomplete."],
        ),
        (
            {key: thing for key, thing in FOUND.items() if "-server-" not in key},
            ["6 subnets; bastion-aws", "Consul: no servers yet.", "VPN: 4 of 4 tunnels up.", "WAN pool: not known"],
        ),
        (
            {key: thing for key, thing in FOUND.items() if key != "gcp:vpn_tunnel:demo-aws-4"},
            ["The VPN is incomplete."],
        ),
        (changed(FOUND, "gcp:vpn_tunnel:demo-aws-4", state="FIRST_HANDSHAKE"), ["VPN: 3 of 4 tunnels up."]),
        (changed(FOUND, "aws:vpn_connection:demo-gcp-a", state_1="DOWN", state_2="DOWN"), ["VPN: 2 of 4 tunnels up."]),
    ],
    ids=[
        "nothing",
        "GCP's network alone",
        "after 00",
        "a tunnel is missing",
        "a tunnel is down",
        "a connection is down",
    ],
)
def test_half_an_architecture_is_shown_as_it_is(found: dict[str, Found], says: list[str]) -> None:
    picture = drawn(seen(found))
    nothing_is_cut(picture)
    for part in says:
        assert part in picture.alt


def test_a_deployment_without_servers_is_drawn_without_a_way_to_them() -> None:
    site = site_of({key: thing for key, thing in FOUND.items() if "-server-" not in key})
    assert "Consul: no servers yet." in architecture(site).alt
    assert site._access is None


def test_many_hosts_make_a_taller_picture() -> None:
    params = Params(
        consul_servers=7, traefiks=8, web_servers=16, aws_zones=("us-west-2a",), aws_network="172.30.0.0/22"
    )
    now = seen(standing(params), params)
    picture = drawn(now)
    nothing_is_cut(picture)
    assert picture.alt.count(" running") == len(now.hosts) == 2 * (1 + 7 + 8 + 16)
    assert height_of(picture) > height_of(drawn(WELL))


def height_of(picture: Picture) -> float:
    return float(ET.fromstring(picture.svg).get("viewBox", "").split()[3])


def test_hosts_in_a_network_that_was_given_are_shown_in_it() -> None:
    given = ExistingNetwork("n", "p", "q", "vpc", ("a",), ("b",), "nat", "igw", "sg", "192.0.2.98", "192.0.2.99")
    found = {key: thing for key, thing in FOUND.items() if "-server-" in key}
    site = site_of(found)
    hosts = hosts_of(replace(site.topology, network=given), found)
    picture = drawn(replace(seen(found), hosts=hosts), given=True)
    assert picture.alt.count("0 subnets") == 2
    assert "bastion-aws 192.0.2.99 existing" in picture.alt
    assert words(picture).count("the given network") == 2
    assert not [word for word in words(picture) if word == "✗ existing"], (
        "only its address is known: it is no failed one"
    )
