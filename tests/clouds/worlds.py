"""Emulated clouds behind real sockets, with something in place of the world that runs their instances."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
            wanted = {machine.id for machine in self.cloud.machines()}
            for machine in sorted(wanted - self._running):
                self.cloud.report_machine(machine, "running")
            for machine in sorted(self._running - wanted):
                self.cloud.report_machine(machine, "gone")
            self._running = wanted

    def close(self) -> None:
        self._closed = True
        self._woken.set()


class _Quiet(WSGIRequestHandler):
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
