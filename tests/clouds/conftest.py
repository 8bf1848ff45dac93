"""Emulated clouds behind real sockets, with something in place of the world that runs their instances."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server


class World:
    """Says of every instance that it runs, and of every ended one that it is gone."""

    def __init__(self) -> None:
        self.cloud: Any = None
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._running: set[str] = set()
        self._closed = False

    def changed(self) -> None:
        self._woken.set()

    def console(self, machine: str) -> str:
        return f"console of {machine}\n"

    def run(self) -> None:
        while not self._closed:
            self._woken.wait()
            self._woken.clear()
            known = self.cloud.machines()
            powered = {machine.id for machine in known if machine.powered}
            for machine in sorted(powered - self._running):
                self.cloud.report_machine(machine, "booting")
                self.cloud.report_machine(machine, "running")
            for machine in sorted(self._running - powered):
                there = any(machine == one.id for one in known)
                self.cloud.report_machine(machine, "stopped" if there else "gone")
            self._running = powered

    def close(self) -> None:
        self._closed = True
        self._woken.set()


class Mutations:
    """WSGI middleware of an AWS API that counts the calls which change something."""

    def __init__(self) -> None:
        self.actions: list[str] = []

    def __call__(self, app: Any) -> Any:
        def counted(environ: dict[str, Any], start_response: Any) -> Any:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]  # of services that speak JSON
            action = parse_qs(body.decode()).get("Action", [target])[0]
            if not action.startswith(("Describe", "Get", "List")):
                self.actions.append(action)
            return app(environ, start_response)

        return counted


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def served(cloud: Any, world: World, middleware: Any = lambda app: app) -> Iterator[str]:
    """Serve an emulated cloud's API on a port of its own, and give its URL."""
    world.cloud = cloud
    server = make_server("127.0.0.1", 0, middleware(cloud.api), threaded=True, request_handler=_Quiet)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)), threading.Thread(target=world.run)]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        world.close()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Emulated:
    """An emulated cloud that can be asked.

    Args:
        url: its API.
        credentials: file with an operator's.
        mutations: names of the calls that changed something (AWS only).
    """

    url: str
    credentials: str
    mutations: list[str]


@pytest.fixture
def aws_lab(tmp_path: Path) -> Iterator[Emulated]:
    """An empty AWS account."""
    pytest.importorskip("moto")
    from runbook_lib.lab.ec2 import Ec2

    world, mutations = World(), Mutations()
    emulator = Ec2(world, "us-west-2", settle=0.05)
    credentials = tmp_path / "aws-credentials"
    credentials.write_text(emulator.operator_credentials())
    with served(emulator, world, mutations) as url:
        yield Emulated(url, str(credentials), mutations.actions)


@pytest.fixture
def gcp_lab(tmp_path: Path) -> Iterator[Emulated]:
    """An empty GCP project."""
    from runbook_lib.lab.gce import Gce

    world = World()
    emulator = Gce(world, "runbook-lab")
    emulator.ready()
    credentials = tmp_path / "gcp-credentials.json"
    with served(emulator, world) as url:
        credentials.write_text(json.dumps(emulator.operator_credentials(f"{url}/token")))
        yield Emulated(url, str(credentials), [])
