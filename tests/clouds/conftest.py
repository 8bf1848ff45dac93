"""Emulated clouds behind real sockets, with something in place of the world that runs their instances."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from runbook_lib.lab.calls import Interceptor, intercepted
from runbook_lib.lab.counts import Counts


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


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def served(cloud: Any, world: World, *interceptors: Interceptor) -> Iterator[str]:
    """Serve an emulated cloud's API on a port of its own, behind interceptors, and give its URL."""
    world.cloud = cloud
    api = intercepted(cloud.name, cloud.api, *interceptors)
    server = make_server("127.0.0.1", 0, api, threaded=True, request_handler=_Quiet)
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
        counts: the calls that changed something.
    """

    url: str
    credentials: str
    counts: Counts


@pytest.fixture
def aws_lab(tmp_path: Path) -> Iterator[Emulated]:
    """An empty AWS account."""
    pytest.importorskip("moto")
    from runbook_lib.lab.ec2 import Ec2

    world, counts = World(), Counts()
    emulator = Ec2(world, "us-west-2", settle=0.05)
    credentials = tmp_path / "aws-credentials"
    credentials.write_text(emulator.operator_credentials())
    with served(emulator, world, counts) as url:
        yield Emulated(url, str(credentials), counts)


@pytest.fixture
def gcp_lab(tmp_path: Path) -> Iterator[Emulated]:
    """An empty GCP project."""
    from runbook_lib.lab.gce import Gce

    world, counts = World(), Counts()
    emulator = Gce(world, "runbook-lab")
    emulator.ready()
    credentials = tmp_path / "gcp-credentials.json"
    with served(emulator, world, counts) as url:
        credentials.write_text(json.dumps(emulator.operator_credentials(f"{url}/token")))
        yield Emulated(url, str(credentials), counts)
