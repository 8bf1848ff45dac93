"""The VPN of a lab, made by both APIs: it carries packets exactly when it would in the clouds, and says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from runbook_lib.lab import abilities, cli, host, tools
from runbook_lib.lab.errors import LabError
from runbook_lib.lab.vpn import control
from tests.lab.two_clouds import AWS_NETWORK, GCP_NETWORK, INSIDE, TwoClouds, eventually

pytestmark = pytest.mark.lab

UP = (["UP"] * 4, ["ESTABLISHED"] * 4)


# ---- what is right -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def joined(lab: host.Lab) -> TwoClouds:
    """Two networks with an instance each, four tunnels as they should be."""
    assert "strongSwan" in lab.vpn, "make setup; runbook doctor tells what is missing"
    site = TwoClouds(lab, "joined")
    site.boot()
    site.connect()
    site.propagate()
    eventually(site.states, UP)
    eventually(site.across, (True, True))
    return site


def test_four_tunnels_are_what_both_daemons_negotiated(joined: TwoClouds) -> None:
    # A tunnel is up before its session has told all routes.
    eventually(joined.aws, [("UP", "1 BGP ROUTES")] * 4)
    routes = lambda: [(peer.state, peer.num_learned_routes) for peer in joined.router().bgp_peer_status]  # noqa: E731
    eventually(routes, [("Established", 1)] * 4)
    # What Cloud VPN likes best of what AWS has.
    suite = "IKEv2 AES_GCM_16_256/ECP_256, ESP AES_GCM_16_256"
    assert joined.gcp() == [("ESTABLISHED", f"Tunnel is up and running: {suite}")] * 4
    assert joined.learned() == [GCP_NETWORK]
    status = joined.router()
    sessions = status.bgp_peer_status
    assert [[route.dest_range for route in session.advertised_routes] for session in sessions] == [[GCP_NETWORK]] * 4
    assert {route.dest_range for route in status.best_routes} == {AWS_NETWORK}


def test_without_propagation_awss_subnets_do_not_know_gcp(joined: TwoClouds) -> None:
    joined.ec2.disable_vgw_route_propagation(RouteTableId=joined.table, GatewayId=joined.vgw)
    eventually(joined.across, (False, False))
    assert (joined.states(), joined.learned()) == (UP, [])
    joined.propagate()
    eventually(joined.across, (True, True))


def test_one_tunnel_of_four_is_enough(joined: TwoClouds) -> None:
    for tunnel in (1, 2, 3):
        control.change(joined.lab, down=True, tunnel=tunnel)
    eventually(joined.states, (["DOWN"] * 3 + ["UP"], ["NO_INCOMING_PACKETS"] * 3 + ["ESTABLISHED"]))
    eventually(joined.across, (True, True))
    assert joined.learned() == [GCP_NETWORK]
    control.change(joined.lab, down=False)
    eventually(joined.states, UP)


def received(site: TwoClouds) -> list[int]:
    """Packets that came out of tunnels into AWS's and into GCP's network."""
    return [packets["received"] for _, packets in sorted(control.counters(site.lab).items())]


def test_no_packet_passes_while_the_vpn_is_cut(joined: TwoClouds) -> None:
    before = received(joined)
    assert joined.across() == (True, True)
    assert all(now > earlier for now, earlier in zip(received(joined), before, strict=True))
    assert control.change(joined.lab, down=True) == [1, 2, 3, 4]
    cut = received(joined)
    # At once, before any daemon has noticed, and ever after.
    assert joined.across() == (False, False)
    eventually(joined.states, (["DOWN"] * 4, ["NO_INCOMING_PACKETS"] * 4))
    silent = [f"IPSEC IS DOWN: no answer from {row['gcp']}" for row in control.tunnels(joined.lab)]
    eventually(lambda: sorted(message for _, message in joined.aws()), sorted(silent))
    assert joined.across() == (False, False)
    assert (received(joined), joined.learned()) == (cut, [])
    control.change(joined.lab, down=False)
    eventually(joined.states, UP)
    eventually(joined.across, (True, True))


def test_the_command_line_tells_cuts_and_heals(joined: TwoClouds) -> None:
    name = ["--name", joined.lab.name]

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli.lab, ["vpn", *words, *name])
        assert done.exit_code == 0, done.output
        return done.output

    assert "tunnel 2: cut" in run("down", "--tunnel", "2")
    lines = run().splitlines()
    assert "strongSwan" in lines[0]
    assert [line.endswith("cut here") for line in lines if line.startswith("tunnel")] == [False, True, False, False]
    assert [line.split()[:3] for line in lines[-2:]] == [["aws:", "packets", "sent"], ["gcp:", "packets", "sent"]]
    assert "tunnels 1, 2, 3, 4: healed" in run("up")
    with pytest.raises(LabError, match=r"no VPN tunnel 9 .* there are: 1, 2, 3, 4"):
        control.change(joined.lab, down=True, tunnel=9)
    eventually(joined.states, UP)


def test_daemons_that_died_are_replaced(joined: TwoClouds) -> None:
    listed = subprocess.run(
        [*joined.lab.inside(), "ps", "-eo", "pid=,comm="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    victims = [next(pid for pid, name in rows if name == wanted) for wanted in ("charon", "bird")]
    subprocess.run([*joined.lab.inside(), "kill", "-9", *victims], check=True)
    eventually(lambda: joined.states() != UP, True)
    eventually(joined.states, UP)
    eventually(joined.across, (True, True))


# ---- what is wrong -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty() -> Iterator[TwoClouds]:
    """Four tunnels, each with a fault of its own, in a lab of their own."""
    found, _ = host.up(f"test-{os.getpid()}-faulty")
    try:
        site = TwoClouds(found, "faulty")
        site.propagate()
        site.connect(
            # GCP dropped group 22 (Cloud VPN's "cipher changes"), AWS has it.
            options={1: {"Phase1DHGroupNumbers": [{"Value": 22}]}},
            tunnels={0: {"shared_secret": "not.the.same.key"}},
            sessions={2: {"peer_asn": 64999}, 3: {"inside": INSIDE[7]}},
        )
        yield site
    finally:
        host.down(found.name)


@pytest.mark.parametrize(
    ("number", "aws", "gcp"),
    [
        (0, "IPSEC IS DOWN: authentication failed: the pre-shared keys differ", "AUTHORIZATION_ERROR"),
        (1, "IPSEC IS DOWN: negotiation failed", "NEGOTIATION_FAILURE"),
        (2, "IPSEC IS UP", "ESTABLISHED"),
        (3, "IPSEC IS UP", "ESTABLISHED"),
    ],
    ids=["key", "ciphers", "AS number", "inside address"],
)
def test_a_fault_keeps_its_tunnel_down_and_is_named(faulty: TwoClouds, number: int, aws: str, gcp: str) -> None:
    eventually(lambda: (faulty.aws()[number][1].startswith(aws), faulty.gcp()[number][0]), (True, gcp))
    assert faulty.aws()[number][0] == "DOWN"
    session = faulty.router().bgp_peer_status[number]
    assert (session.status, session.num_learned_routes) == ("DOWN", 0)
    assert session.state != "Established"
    assert faulty.learned() == []
    if gcp == "ESTABLISHED":
        assert "BGP is down" in faulty.gcp()[number][1]


def test_a_right_tunnel_beside_them_comes_up(faulty: TwoClouds) -> None:
    # The right AS number is set in the one place where it was wrong: that session alone starts anew.
    faulty.peer({3: {"inside": INSIDE[7]}})
    eventually(faulty.states, (["DOWN", "DOWN", "UP", "DOWN"], faulty.states()[1]))
    eventually(faulty.learned, [GCP_NETWORK])


# ---- the rest ------------------------------------------------------------------------------------------------


def test_a_wrong_outside_address_is_silence_and_nothing_is_left() -> None:
    found, _ = host.up(f"test-{os.getpid()}-silent")
    try:
        site = TwoClouds(found, "silent")
        site.connect(customers={0: "203.0.113.250"})
        wanted = (["DOWN", "DOWN", "UP", "UP"], ["NO_INCOMING_PACKETS"] * 2 + ["ESTABLISHED"] * 2)
        eventually(site.states, wanted)
        assert site.aws()[0][1] in ("IPSEC IS DOWN", "IPSEC IS DOWN: no answer from 203.0.113.250")
        inside = subprocess.run([*found.inside(), "ps", "-eo", "comm="], capture_output=True, text=True, check=True)
        assert (inside.stdout.split().count("charon"), inside.stdout.split().count("bird")) == (8, 2)
        world = os.readlink(f"/proc/{host._first_child(found.pid)}/ns/pid")
        assert world in _pid_namespaces()
    finally:
        host.down(found.name)
    eventually(lambda: world in _pid_namespaces(), False)


def _pid_namespaces() -> set[str]:
    found = set()
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                found.add(os.readlink(f"/proc/{process}/ns/pid"))
            except OSError:
                continue  # gone, or somebody else's
    return found


def test_without_the_daemons_a_plain_link_stands_in_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bird = next(tool for tool in tools.find() if tool.name == "bird")
    monkeypatch.setattr(tools, "dispensable", lambda: (bird,))
    able = [ability for ability in abilities.abilities() if ability.ok]
    monkeypatch.setattr(tools, "abilities", lambda: able)
    found, _ = host.up(f"test-{os.getpid()}-plain")
    try:
        assert found.vpn == "plain link, nothing is encrypted (missing here: bird)"
        site = TwoClouds(found, "plain")
        site.boot()
        site.connect(tunnels={0: {"shared_secret": "not.the.same.key"}})
        site.propagate()
        eventually(site.states, (["DOWN", *["UP"] * 3], ["AUTHORIZATION_ERROR", *["ESTABLISHED"] * 3]))
        assert site.gcp()[1][1] == f"Tunnel is up and running: {found.vpn}"
        eventually(site.across, (True, True))
        control.change(found, down=True)
        eventually(site.across, (False, False))
        cut = control.counters(found)
        assert site.across() == (False, False)
        assert control.counters(found)["aws"]["received"] == cut["aws"]["received"] > 0
        assert site.states() == (["DOWN"] * 4, ["NO_INCOMING_PACKETS"] * 4)
        control.change(found, down=False)
        eventually(site.across, (True, True))
    finally:
        host.down(found.name)
