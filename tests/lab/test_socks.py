"""The SOCKS5 door, asked by a client library."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from python_socks import ProxyError
from python_socks.sync import Proxy

from runbook_lib.lab import socks


@pytest.fixture
def proxy() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    loop = asyncio.new_event_loop()
    task = loop.create_task(socks.serve(listener))

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"socks5://127.0.0.1:{port}"

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def test_bytes_pass_both_ways_and_each_end_closes_alone(proxy: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        near = Proxy.from_url(proxy).connect("127.0.0.1", server.getsockname()[1], timeout=5)
        far, _ = server.accept()
        with closing(near), closing(far):
            near.sendall(b"ask" * 50_000)
            near.shutdown(socket.SHUT_WR)
            received = b""
            while data := far.recv(65536):
                received += data
            assert received == b"ask" * 50_000
            far.sendall(b"answer")
            far.close()
            assert near.recv(100) == b"answer"


def test_a_closed_port_is_reported_as_refused(proxy: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(ProxyError, match="refused"):
        Proxy.from_url(proxy).connect("127.0.0.1", port, timeout=5)


def test_another_protocol_version_is_turned_away(proxy: str) -> None:
    port = int(proxy.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as client:
        client.sendall(b"\x04\x01\x00")
        assert client.recv(10) == b""
