"""The public's view: pages and names by tables, requests to a small web server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runbook_lib.errors import WaitTimeout
from runbook_lib.params import Params
from runbook_lib.resources import CloudName, Host
from runbook_lib.visits import Answer, Outage, Watch, answers, ask, served_by, server_name, until_all_answer

PARAMS = Params(internet_proxy="", deployment="blue", domain="exemple.com", timeout=10)


def host(name: str, role: str, cloud: CloudName = "gcp", private: str = "10.0.0.9", public: str | None = None) -> Host:
    return Host(name, cloud, role, "z", "dc", f"id-{name}", private, public, "RUNNING")


BALANCER = host("server-gcp-traefik-1", "traefik", public="127.0.0.1")
WEB = [host(f"server-gcp-test-{n}", "web") for n in (1, 2)]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("welcome to webserver : blue-server-gcp-test-1\n", "blue-server-gcp-test-1"),
        ("<p>welcome to webserver : ip-172-30-3-140.us-west-2.compute.internal</p>", "ip-172-30-3-140"),
        ("404 page not found", ""),
        ("", ""),
    ],
)
def test_the_page_names_its_server(body: str, name: str) -> None:
    assert served_by(body) == name


def test_a_web_servers_own_name_is_the_clouds() -> None:
    assert server_name(PARAMS, WEB[0]) == "blue-server-gcp-test-1"
    assert server_name(PARAMS, host("server-aws-test-1", "web", "aws", "172.30.3.140")) == "ip-172-30-3-140"


class Balancer(BaseHTTPRequestHandler):
    """Answers for the demo name only, in turn for each server in rotation, and 503 when there is none."""

    rotation: tuple[str, ...] = ()
    count = 0
    waiting: threading.Barrier | None = None

    def do_GET(self) -> None:
        if Balancer.waiting is not None:
            with suppress(threading.BrokenBarrierError):
                Balancer.waiting.wait(10)
        if self.headers["Host"] != "demo.exemple.com":
            status, body = 404, "404 page not found"
        elif not Balancer.rotation:
            status, body = 503, "no available server"
        else:
            Balancer.count += 1
            name = Balancer.rotation[Balancer.count % len(Balancer.rotation)]
            status, body = 200, f"welcome to webserver : {name}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Balancer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    Balancer.rotation = tuple(server_name(PARAMS, web) for web in WEB)
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_asking_tells_who_answered(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # the shell's proxy is not the way
    given = ask(PARAMS, BALANCER, times=4, port=port)
    assert {answer.server for answer in given} == set(Balancer.rotation)
    assert all(answer.ok and answer.status == 200 and answer.traefik == BALANCER.name for answer in given)
    assert [answer.at for answer in given] == sorted(answer.at for answer in given)


def test_other_names_and_closed_ports_are_answers_too(port: int) -> None:
    (other,) = ask(PARAMS, BALANCER, "other", port=port)
    assert (other.status, other.server, other.ok) == (404, "", False)
    (closed,) = ask(PARAMS, BALANCER, port=1)
    assert (closed.status, closed.ok) == (0, False)
    assert "ConnectError" in closed.text


def test_whether_a_port_answers(port: int) -> None:
    assert answers(PARAMS, BALANCER, port) is True
    assert answers(PARAMS, BALANCER, 1) is False


def test_all_servers_must_answer(port: int) -> None:
    given = until_all_answer(PARAMS, [BALANCER, *WEB], port=port)
    assert {answer.server for answer in given} == set(Balancer.rotation)
    third = host("server-gcp-test-3", "web")
    with pytest.raises(WaitTimeout, match="blue-server-gcp-test-3") as caught:
        until_all_answer(PARAMS, [BALANCER, *WEB, third], port=port, timeout=0.3)
    assert "blue-server-gcp-test-1" in str(caught.value.seen)


def test_watching_a_server_leave_and_return(port: int) -> None:
    both = Balancer.rotation
    with Watch(PARAMS, [BALANCER, *WEB], interval=0.005, port=port) as watch:
        watch.until_only(WEB)
        Balancer.rotation = ()
        Balancer.rotation = both[1:]
        left = watch.until_only(WEB[1:])
        assert {answer.server for answer in watch.since(left)} == {both[1]}
        assert watch.failures(left) == ()
        Balancer.rotation = both
        watch.until_only(WEB)
        Balancer.rotation = ()
        with pytest.raises(WaitTimeout, match="server-gcp-test-2"):
            watch.until_only(WEB, timeout=0.2)
        nobody = watch.until_only([])  # no answer is the right one then
        assert not [answer for answer in watch.since(nobody) if answer.ok]
    assert watch.failures()[-1].status == 503


def test_a_watch_ends_by_itself(port: int) -> None:
    with Watch(PARAMS, [BALANCER], interval=0, limit=3, port=port) as watch:
        for thread in watch._threads:
            thread.join(10)
    assert len(watch.answers) == 3


def test_several_visitors_do_not_wait_for_one_another(port: int) -> None:
    """Four of them each get their answers while all four wait at once."""
    Balancer.waiting = threading.Barrier(4)
    try:
        with Watch(PARAMS, [BALANCER], interval=0, limit=8, port=port, visitors=4) as watch:
            for thread in watch._threads:
                thread.join(10)
    finally:
        Balancer.waiting = None
    assert len(watch.answers) == 8
    assert watch.failures() == ()


def test_a_visitor_gives_up_after_its_patience(port: int) -> None:
    Balancer.waiting = threading.Barrier(2)  # the other never comes
    try:
        with Watch(PARAMS, [BALANCER], limit=1, port=port, patience=0.2) as watch:
            watch._threads[0].join(10)
        [given] = watch.answers
        Balancer.waiting.abort()
    finally:
        Balancer.waiting = None
    assert not given.ok
    assert "Timeout" in given.text


def test_an_outage_counts_by_span() -> None:
    names = ["web-1", "web-2", "", "web-2", "web-1"]
    given = tuple(Answer("t", 200 if name else 502, name, 0.01, float(at), "") for at, name in enumerate(names))
    seen = Outage("web-1", given, stopped=1.0, left=2.0, started=3.0, returned=4.0)
    assert [answer.at for answer in seen.between(1, 3)] == [1.0, 2.0], "the end is outside"
    assert [answer.at for answer in seen.between(seen.returned)] == [4.0]
    assert (seen.failed(0), seen.failed(0, 2), seen.failed(2, 3), seen.failed(3)) == (1, 0, 1, 0)
    assert (seen.count(0, server="web-1"), seen.count(1, 4, server="web-1"), seen.count(1, 4, server="web-2")) == (
        2,
        0,
        2,
    )
