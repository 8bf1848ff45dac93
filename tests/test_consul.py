"""Questions to Consul: parsing by tables, everything else to real agents on loopback addresses."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runbook_lib import consul, wait
from runbook_lib.access import Access, Result
from runbook_lib.consul import Discovery, Instance, Member, Peer, WanJoin, parse_discovered, worst
from runbook_lib.errors import AccessError, WaitTimeout
from runbook_lib.lab import tools
from runbook_lib.params import Params
from runbook_lib.resources import Host

TOOLS = {tool.name: tool.path for tool in tools.find()}  # found as the lab finds them
CONSUL = str(TOOLS["consul"] or "")
needs_consul = [
    pytest.mark.lab,
    pytest.mark.skipif(not CONSUL, reason="needs consul: make setup fetches it"),
]


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", ()),
        ("[INFO]  agent: (LAN) joining: lan_addresses=[172.30.3.144]", ()),
        (
            'T09:41:10.514Z [INFO]  agent: Discovered servers: cluster=LAN cluster=LAN servers="10.0.0.1 10.0.0.2"',
            (Discovery("LAN", ("10.0.0.1", "10.0.0.2")),),
        ),
        (
            "    x [INFO]  agent: Discovered servers: cluster=LAN cluster=LAN servers=10.0.0.1\nother\n"
            "    y [INFO]  agent: Discovered servers: cluster=LAN cluster=LAN servers=\n",
            (Discovery("LAN", ("10.0.0.1",)), Discovery("LAN", ())),
        ),
    ],
)
def test_reading_what_auto_join_found(log: str, found: tuple[Discovery, ...]) -> None:
    assert parse_discovered(log) == found


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), "passing"),
        (("passing", "passing"), "passing"),
        (("passing", "critical", "warning"), "critical"),
        (("warning", "passing"), "warning"),
        (("maintenance", "critical"), "maintenance"),
    ],
)
def test_the_worst_check_counts(statuses: tuple[str, ...], expected: str) -> None:
    assert worst(statuses) == expected


def test_the_web_service_has_the_articles_tag_and_a_check() -> None:
    service = consul.web_service()["service"]
    assert (service["name"], service["port"], service["tags"]) == ("demo", 80, ["traefik.tags=exposed"])
    assert service["check"]["http"] == "http://127.0.0.1:80/"


# Agents of two test processes must not meet: each process has a loopback network of its own.
NET = f"127.{64 + os.getpid() // 250 % 60}.{os.getpid() % 250}"


def agent_host(number: int, datacenter: str) -> Host:
    return Host(f"server-{number}", "aws", "consul", "z", datacenter, f"i-{number}", f"{NET}.{number}", None, "running")


class Loopback:
    """Stands in for SSH (which has tests of its own): agents are asked, and files written, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params = Params(timeout=30)
        self.credentials = None  # agents without access control; those with it are in test_acl.py
        self.reloads = 0

    def forward(self, host: Host, port: int) -> Any:
        there = SimpleNamespace(host=host.private_ip, port=port)
        return nullcontext(there)

    def put(self, host: Host, text: str, path: str, *, then: str = "", **_: object) -> bool:
        target = self.folder / host.name / Path(path).name
        changed = not target.exists() or target.read_text() != text
        target.write_text(text)
        if changed and then:
            self.run(host, then)
        return changed

    def run(self, host: Host, command: str, **_: object) -> Result:
        assert command == "systemctl reload consul"
        self.reloads += 1
        subprocess.run(
            [str(CONSUL), "reload", f"-http-addr={host.private_ip}:8500"], check=True, capture_output=True, timeout=30
        )
        return Result("", "", 0, 0.0)


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[int, Host]]]:
    """Two servers in one datacenter, one in another, none joined to the other datacenter."""
    folder = tmp_path_factory.mktemp("agents")
    hosts = {1: agent_host(1, "west"), 2: agent_host(2, "west"), 3: agent_host(3, "east")}
    running = []
    for number, host in hosts.items():
        home = folder / host.name
        home.mkdir()
        address = host.private_ip
        command = [str(CONSUL), "agent", "-server", f"-node={host.name}", f"-datacenter={host.datacenter}"]
        command += [f"-bind={address}", f"-client={address}", f"-data-dir={home}/data", f"-config-dir={home}"]
        command += [f"-bootstrap-expect={2 if host.datacenter == 'west' else 1}", "-retry-interval=1s"]
        command += [f"-retry-join={NET}.1"] if number == 2 else []
        (home / "fast.json").write_text('{"performance": {"raft_multiplier": 1}}')
        with (folder / f"{host.name}.log").open("wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
    yield folder, hosts
    for process in running:
        process.kill()
    for process in running:
        process.wait(10)


@pytest.fixture
def access(agents: tuple[Path, dict[int, Host]]) -> Access:
    found = cast(Access, Loopback(agents[0]))
    consul.until_ready(found, agents[1].values())
    return found


@pytest.fixture
def hosts(agents: tuple[Path, dict[int, Host]]) -> dict[int, Host]:
    return agents[1]


class TestAgents:
    pytestmark = needs_consul

    def test_leader_peers_and_members(self, access: Access, hosts: dict[int, Host]) -> None:
        leader = consul.leader(access, hosts[1])
        assert leader in (f"{NET}.1:8300", f"{NET}.2:8300")
        assert consul.leader(access, hosts[2]) == leader
        peers = wait.until(
            lambda: consul.peers(access, hosts[2]),
            lambda seen: all(peer.voter for peer in seen),
            what="voters",
            timeout=30,
        )
        assert peers == tuple(Peer(f"server-{n}", f"{NET}.{n}", leader == f"{NET}.{n}:8300", True) for n in (1, 2))
        members = consul.until_alive(access, hosts[1], ["server-1", "server-2"])
        version = members[0].version
        assert members == tuple(Member(f"server-{n}", f"{NET}.{n}", "alive", "server", "west", version) for n in (1, 2))
        assert version.count(".") == 2

    def test_joining_the_wan(self, access: Access, hosts: dict[int, Host], agents: tuple[Path, Any]) -> None:
        west, east = [hosts[1], hosts[2]], [hosts[3]]
        joined = consul.join_wan(access, west, east)
        assert joined == (
            WanJoin("server-1", True, (f"{NET}.3",)),
            WanJoin("server-2", True, (f"{NET}.3",)),
        )
        names = ["server-1.west", "server-2.west", "server-3.east"]
        for host in hosts.values():
            seen = consul.until_alive(access, host, names, wan=True)
            assert [member.name for member in seen] == names
            assert consul.datacenters(access, host) == ("east", "west")
        assert f'"{NET}.3"' in (agents[0] / "server-1" / "wan.json").read_text()
        again = consul.join_wan(access, west, east)
        assert again == (WanJoin("server-1", False, ()), WanJoin("server-2", False, ()))

    def test_a_service_by_file_and_reload(self, access: Access, hosts: dict[int, Host]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            definition = consul.web_service("demo", port)
            definition["service"]["check"] = {"tcp": f"127.0.0.1:{port}", "interval": "200ms"}
            assert consul.register(access, [hosts[1]], definition) == (True,)
            assert consul.register(access, [hosts[1]], definition) == (False,)
            passing = wait.until(
                lambda: consul.health(access, hosts[2], "demo"),
                lambda seen: [instance.status for instance in seen] == ["passing"],
                what="the check to pass",
                timeout=30,
            )
        expected = Instance("server-1", f"{NET}.1", "west", "demo", port, ("traefik.tags=exposed",))
        assert consul.catalog(access, hosts[2], "demo") == (expected,)
        assert passing[0].node == "server-1"
        # The check is a real one: what it asks has stopped listening.
        wait.until(
            lambda: consul.health(access, hosts[2], "demo"),
            lambda seen: [instance.status for instance in seen] == ["critical"],
            what="the check to fail",
            timeout=30,
        )
        consul.join_wan(access, [hosts[1]], [hosts[3]])
        across = wait.until(
            lambda: consul.catalog(access, hosts[3], "demo", dc="west"),
            bool,
            what="an answer across",
            timeout=30,
            tolerate=(AccessError,),
        )
        assert across == (expected,)
        assert consul.catalog(access, hosts[3], "demo") == ()

    def test_the_shells_consul_settings_do_not_lead_elsewhere(
        self, access: Access, hosts: dict[int, Host], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONSUL_HTTP_ADDR", f"{NET}.3:8500")
        monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
        monkeypatch.setenv("http_proxy", f"http://{NET}.9:1")
        assert [member.datacenter for member in consul.members(access, hosts[1])] == ["west", "west"]

    def test_who_is_missing_is_said(self, access: Access, hosts: dict[int, Host]) -> None:
        with pytest.raises(WaitTimeout, match="server-1 alive, server-2 alive"):
            consul.until_alive(access, hosts[1], ["server-9"], timeout=0.1)

    def test_an_agent_that_is_not_there_is_named(self, access: Access, hosts: dict[int, Host]) -> None:
        nobody = agent_host(7, "west")
        with pytest.raises(AccessError, match="server-7"):
            consul.leader(access, nobody)
        with pytest.raises(AccessError, match="No path to datacenter"):
            consul.catalog(access, hosts[1], "demo", dc="north")
        with pytest.raises(WaitTimeout, match="server-7"):
            consul.until_ready(access, [nobody], timeout=0.1)
