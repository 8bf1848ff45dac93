from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from runbook_lib.params import Params
from runbook_lib.pictures import Picture, answer_chart, architecture, fault_chart, outage_chart
from runbook_lib.resources import Found
from runbook_lib.topology import ExistingNetwork
from runbook_lib.visits import Answer, Outage
from tests.experiments import experiment
from tests.standing import changed, site_of, standing


def answer(traefik: str, server: str, at: float = 0.0) -> Answer:
    return Answer(traefik, 200 if server else 502, server, 0.01, at, "")


def words(picture: Picture) -> list[str]:
    """All text in the image; fails on an SVG that is not well-formed."""
    root = ET.fromstring(picture._repr_svg_())
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt == repr(picture)
    return ["".join(part.itertext()).strip() for part in root.iter("{http://www.w3.org/2000/svg}text")]


def test_answers_are_counted_by_load_balancer_and_server() -> None:
    given = [answer("t-1", "w-1")] * 3 + [answer("t-1", "w-2")] * 4 + [answer("t-2", "w-1")] + [answer("t-2", "")] * 2
    given.append(Answer("t-2", 0, "", 0.01, 0.0, "refused"))
    picture = answer_chart(given)
    assert picture.alt.endswith("t-1: w-1 3, w-2 4; t-2: w-1 1, HTTP 502 2, no answer 1.")
    assert {"t-1", "t-2", "w-1", "w-2", "HTTP 502", "no answer", "3", "4", "1", "2"} <= set(words(picture))


def test_an_outage_is_told_in_moments_and_failures() -> None:
    given = [answer("t-1", name, float(at)) for at, name in enumerate(["w-1", "w-2", "", "w-2", "w-1"], start=100)]
    picture = outage_chart(Outage("w-1", tuple(given), stopped=101.5, left=102.5, started=103.0, returned=104.0))
    assert "5 requests while w-1 was stopped and started" in picture.alt
    assert "left after 2.5 s" in picture.alt
    assert "1 failed in all" in picture.alt
    assert {"t-1  →  w-1", "t-1  →  w-2", "t-1  →  failed", "stopped", "left", "started", "returned"} <= set(
        words(picture)
    )


def test_a_fault_is_told_in_moments_and_failures() -> None:
    picture = fault_chart(experiment())
    assert picture.alt == (
        "web-1 hangs: 7 requests, 5 of them since; broken after 2.0 s, steady after 3.5 s, mended after 5.0 s, "
        "whole after 6.0 s. Failed: t-1 1, t-2 1."
    )
    assert {"t-1  →  failed", "t-2  →  web-2", "broken", "steady", "mended", "whole"} <= set(words(picture))
    alone = words(fault_chart(experiment(mended=None, hand="")))
    assert {"broken", "whole"} <= set(alone)
    assert not {"steady", "mended"} & set(alone)


def test_charts_of_nothing_are_still_charts() -> None:
    assert words(answer_chart([]))
    assert words(outage_chart(Outage("w-1", (), 1.0, 2.0, 3.0, 4.0)))
    assert words(fault_chart(experiment(answers=())))


def test_the_same_picture_is_the_same_file() -> None:
    given = [answer("t-1", "w-1")]
    assert answer_chart(given).svg == answer_chart(given).svg


def test_words_of_a_picture_cannot_break_out() -> None:
    picture = Picture("<svg xmlns='http://www.w3.org/2000/svg'></svg>", 'a "quoted" <b>')
    assert words(picture) == []


# ---- the architecture ------------------------------------------------------------------------------------

FOUND = standing()


def test_the_architecture_shows_every_host_in_its_place() -> None:
    site = site_of(FOUND)
    picture = architecture(site)
    shown = words(picture)
    assert "AWS us-west-2: 6 subnets;" in picture.alt
    assert "GCP europe-west1: 2 subnets;" in picture.alt
    assert picture.alt.endswith("VPN: 4 of 4 tunnels up.")
    for host in site.hosts():
        assert f"{host.name} {host.private_ip} running" in picture.alt
        assert any(host.private_ip in word for word in shown)
        assert host.public_ip is None or any(host.public_ip in word for word in shown)


def test_a_stopped_host_is_marked() -> None:
    found = changed(FOUND, "gcp:instance:demo-server-gcp-consul-2", state="TERMINATED")
    picture = architecture(site_of(found))
    assert re.search(r"server-gcp-consul-2 \S+ terminated", picture.alt)
    assert picture.alt.count(" terminated") == 1
    assert words(picture).count("terminated") == 1
    assert "terminated" not in words(architecture(site_of(FOUND)))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, ["AWS us-west-2: nothing yet.", "GCP europe-west1: nothing yet.", "No VPN."]),
        (
            {key: thing for key, thing in FOUND.items() if key.startswith("gcp:") and ":instance:" not in key},
            ["AWS us-west-2: nothing yet.", "GCP europe-west1: 2 subnets; no hosts.", "No VPN."],
        ),
        (
            {key: thing for key, thing in FOUND.items() if key != "gcp:vpn_tunnel:demo-aws-4"},
            ["The VPN is incomplete."],
        ),
        (
            changed(FOUND, "gcp:vpn_tunnel:demo-aws-4", state="FIRST_HANDSHAKE"),
            ["VPN: 3 of 4 tunnels up."],
        ),
        (
            changed(FOUND, "aws:vpn_connection:demo-gcp-a", state_1="DOWN", state_2="DOWN"),
            ["VPN: 2 of 4 tunnels up."],
        ),
    ],
    ids=["nothing", "GCP's network alone", "a tunnel is missing", "a tunnel is down", "a connection is down"],
)
def test_half_an_architecture_is_shown_as_it_is(found: dict[str, Found], says: list[str]) -> None:
    picture = architecture(site_of(found))
    assert words(picture)
    for part in says:
        assert part in picture.alt


def test_many_hosts_make_a_taller_picture() -> None:
    params = Params(
        consul_servers=7, traefiks=8, web_servers=16, aws_zones=("us-west-2a",), aws_network="172.30.0.0/22"
    )
    site = site_of(standing(params), params)
    picture = architecture(site)
    assert picture.alt.count(" running") == len(site.hosts()) == 2 * (1 + 7 + 8 + 16)
    assert height_of(picture) > height_of(architecture(site_of(FOUND)))


def height_of(picture: Picture) -> float:
    return float(ET.fromstring(picture.svg).get("viewBox", "").split()[3])


def test_hosts_in_a_network_that_was_given_are_shown_in_it() -> None:
    given = ExistingNetwork("n", "p", "q", "vpc", ("a",), ("b",), "nat", "igw", "sg", "192.0.2.98", "192.0.2.99")
    site = site_of({key: thing for key, thing in FOUND.items() if "-server-" in key})
    site.topology = replace(site.topology, network=given)
    picture = architecture(site)
    assert picture.alt.count("0 subnets") == 2
    assert "bastion-aws 192.0.2.99 existing" in picture.alt
    assert "server-gcp-consul-1 " in picture.alt
    assert words(picture).count("the given network") == 2
    assert "existing" not in words(picture), "a host of which only the address is known is no failed one"
