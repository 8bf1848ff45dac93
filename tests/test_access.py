"""SSH through a bastion, against two real OpenSSH servers and a real SOCKS5 server on loopback addresses."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import httpx
import pytest

from runbook_lib import browse, wait
from runbook_lib.access import Access
from runbook_lib.errors import AccessError, WaitTimeout
from runbook_lib.keys import KnownHosts, operator_key
from runbook_lib.params import Params
from runbook_lib.resources import Host

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not Path(SSHD).exists(), reason="needs the package openssh-server"),
]
ME = getpass.getuser()
BASTION = Host("bastion", "gcp", "bastion", "z-b", "z", "1", "127.0.0.1", "127.0.0.1", "RUNNING")
INNER = Host("server-gcp-consul-1", "gcp", "consul", "z-b", "z", "2", "127.0.0.2", None, "RUNNING")


def free_port(*addresses: str) -> int:
    """A port that is free on all the addresses now."""
    while True:
        sockets = [socket.socket() for _ in addresses]
        try:
            port = 0
            for one, address in zip(sockets, addresses, strict=True):
                one.bind((address, port))
                port = one.getsockname()[1]
            return port
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()


def listening(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@dataclass
class Servers:
    """OpenSSH servers of which each listens on one loopback address."""

    folder: Path
    port: int
    authorized: str
    running: dict[str, subprocess.Popen[bytes]]

    def start(self, address: str, *, key: str = "host_key") -> None:
        key_file = self.folder / f"{key}-{address}"
        if not key_file.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key_file)], check=True)
        # An ordinary user cannot become root here; a sudo that only runs its command stands in for it.
        sudo = self.folder / "bin" / "sudo"
        sudo.parent.mkdir(exist_ok=True)
        sudo.write_text('#!/bin/sh\n[ "$1" = -n ] || exit 9\nshift\nexec "$@"\n')
        sudo.chmod(0o755)
        (self.folder / "authorized_keys").write_text(self.authorized + "\n")
        config = self.folder / f"sshd_config-{address}"
        config.write_text(
            f"ListenAddress {address}\nPort {self.port}\nHostKey {key_file}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            f"PermitRootLogin yes\nSetEnv PATH={sudo.parent}:/usr/bin:/bin MARK={address}\n"
        )
        with (self.folder / "sshd.log").open("ab") as log:
            self.running[address] = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
        wait.until(lambda: listening(address, self.port), bool, what="sshd", timeout=60, interval=0.02)

    def stop(self, address: str) -> None:
        process = self.running.pop(address)
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def privilege_separation() -> Iterator[None]:
    """The empty folder that sshd wants when root starts it; a distribution's own unit makes it at boot."""
    folder = Path("/run/sshd")
    made = os.geteuid() == 0 and not folder.exists()
    if made:
        folder.mkdir(mode=0o755)
    yield
    if made:
        folder.rmdir()


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return Params(keys=str(tmp_path / "keys"), ssh_user=ME, internet_proxy="", timeout=5)


@pytest.fixture
def servers(tmp_path: Path, params: Params, privilege_separation: None) -> Iterator[Servers]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    started = Servers(folder, free_port("127.0.0.1", "127.0.0.2"), operator_key(params).public_text, {})
    started.start("127.0.0.1")
    started.start("127.0.0.2")
    yield started
    for address in list(started.running):
        started.stop(address)


@pytest.fixture
def reach(params: Params, servers: Servers) -> Iterator[Callable[..., Access]]:
    made: list[Access] = []

    def make(*hosts: Host, params: Params = params) -> Access:
        made.append(Access(params, hosts or (BASTION, INNER), port=servers.port, connect_timeout=30))
        return made[-1]

    yield make
    for access in made:
        access.close()


@pytest.fixture
def web() -> Iterator[int]:
    """An HTTP server that tells on which address it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = str(self.connection.getsockname()[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def socks(servers: Servers, params: Params, tmp_path: Path) -> Iterator[int]:
    """A SOCKS5 server: OpenSSH's own."""
    port = free_port("127.0.0.1")
    client = subprocess.Popen(
        [
            *("ssh", "-F", "none", "-N", "-D", f"127.0.0.1:{port}", "-p", str(servers.port)),
            *("-i", str(operator_key(params).private_path), "-o", f"UserKnownHostsFile={tmp_path}/known"),
            *("-o", "StrictHostKeyChecking=accept-new", f"{ME}@127.0.0.1"),
        ],
        stderr=subprocess.DEVNULL,
    )
    wait.until(lambda: listening("127.0.0.1", port), bool, what="ssh -D", timeout=60, interval=0.02)
    yield port
    client.terminate()
    client.wait(10)


def test_a_command_runs_on_the_host_behind_the_bastion(reach: Callable[..., Access]) -> None:
    result = reach().run(INNER, "echo $MARK; echo oops >&2; cat", text="in\n")
    assert (result.stdout, result.stderr, result.exit_status) == ("127.0.0.2\nin\n", "oops\n", 0)


def test_a_bastion_is_reached_straight(reach: Callable[..., Access]) -> None:
    assert reach(BASTION).run(BASTION, "echo $MARK").stdout == "127.0.0.1\n"


def test_the_way_to_public_addresses_is_the_proxy(reach: Callable[..., Access], params: Params, socks: int) -> None:
    proxied = params.model_copy(update={"internet_proxy": f"socks5h://127.0.0.1:{socks}"})
    assert reach(params=proxied).run(INNER, "echo $MARK").stdout == "127.0.0.2\n"
    closed = params.model_copy(update={"internet_proxy": f"socks5h://127.0.0.1:{free_port('127.0.0.1')}"})
    with pytest.raises(AccessError, match="not reached") as caught:
        reach(params=closed).run(INNER, "true")
    assert closed.internet_proxy in str(caught.value)


def test_a_failing_command_says_how(reach: Callable[..., Access]) -> None:
    access = reach()
    with pytest.raises(AccessError, match="exit status 3: broken") as caught:
        access.run(INNER, "echo broken >&2; exit 3")
    assert INNER.name in str(caught.value)
    assert access.run(INNER, "exit 3", check=False).exit_status == 3


def test_a_command_that_hangs_is_given_up(reach: Callable[..., Access]) -> None:
    access = reach()
    with pytest.raises(AccessError, match="took too long"):
        access.run(INNER, "sleep 60", timeout=0.3)
    assert access.run(INNER, "echo still here").stdout == "still here\n"


def test_output_that_is_no_text_is_read_all_the_same(reach: Callable[..., Access]) -> None:
    assert reach().run(INNER, "printf 'a\\377b'").stdout == "a\ufffdb"


def test_many_threads_share_one_connection(reach: Callable[..., Access], servers: Servers) -> None:
    access = reach()
    with ThreadPoolExecutor(24) as pool:
        said = list(pool.map(lambda n: access.run(INNER, f"echo {n}").stdout, range(24)))
    assert said == [f"{n}\n" for n in range(24)]
    accepted = (servers.folder / "sshd.log").read_text().count("Accepted publickey")
    assert accepted == 2  # one for the bastion, one for the host


def test_it_works_inside_a_running_event_loop(reach: Callable[..., Access]) -> None:
    async def as_a_notebook_cell() -> str:
        return reach().run(INNER, "echo $MARK").stdout

    assert asyncio.run(as_a_notebook_cell()) == "127.0.0.2\n"


def test_a_file_is_written_whole_and_only_when_it_differs(reach: Callable[..., Access], tmp_path: Path) -> None:
    access = reach()
    target = tmp_path / "with space" / "web.json"
    target.parent.mkdir()
    path, owner = str(target), f"{os.getuid()}:{os.getgid()}"
    assert access.put(INNER, '{"a": "é"}\n', path, mode="0640", owner=owner) is True
    assert target.read_text(encoding="utf-8") == '{"a": "é"}\n'
    assert target.stat().st_mode & 0o777 == 0o640
    assert access.put(INNER, '{"a": "é"}\n', path, mode="0600", owner=owner) is False
    assert target.stat().st_mode & 0o777 == 0o600
    assert access.put(INNER, "other", path, owner=owner) is True
    with pytest.raises(AccessError):
        access.put(INNER, "never", path, owner="no-such-account")
    assert target.read_text() == "other"
    assert [file.name for file in target.parent.iterdir()] == ["web.json"]


def test_what_follows_a_new_content_is_done_with_it_or_the_file_is_gone(
    reach: Callable[..., Access], tmp_path: Path
) -> None:
    access, told = reach(), tmp_path / "told"
    path, owner = str(tmp_path / "web.json"), f"{os.getuid()}:{os.getgid()}"
    for text in ("one", "one", "two"):
        access.put(INNER, text, path, owner=owner, then=f"cat {path} >>{told}")
    assert told.read_text() == "onetwo"
    with pytest.raises(AccessError):
        access.put(INNER, "three", path, owner=owner, then="false")
    assert not Path(path).exists(), "the next time it is new again"


def test_forwards_end_on_the_host_or_come_from_the_bastion(reach: Callable[..., Access], web: int) -> None:
    access = reach()
    with access.forward(INNER, web) as there:
        assert httpx.get(there.url, trust_env=False).text == "127.0.0.1"  # the host's own loopback address
    with access.forward(INNER, web, via="bastion") as there:
        assert httpx.get(there.url, trust_env=False).text == INNER.private_ip
    wait.until(lambda: listening(there.host, there.port), lambda up: not up, what="the forward's end", timeout=5)


def test_a_page_keeps_its_tunnel_until_its_host_is_another(reach: Callable[..., Access], web: int) -> None:
    access, kind = reach(), browse._Kind("a page", web, "/", "bastion")
    first = browse._door(access, kind, INNER)
    assert browse._door(access, kind, INNER) is first
    # The web server listens at every address: only the address tells who is asked.
    other = browse._door(access, kind, replace(INNER, id="3", private_ip="127.0.0.3"))
    assert httpx.get(other.url, trust_env=False).text == "127.0.0.3"
    assert other.port == first.port, "a reader's page stays where it was"
    assert browse.close(SimpleNamespace(access=access)) == (other.url,)  # type: ignore[arg-type]
    assert not listening(other.host, other.port)


@pytest.mark.parametrize(("via", "asked_at"), [("bastion", INNER.private_ip), ("host", "127.0.0.1")])
def test_the_printed_command_opens_the_tunnel(
    reach: Callable[..., Access],
    params: Params,
    socks: int,
    web: int,
    via: Literal["host", "bastion"],
    asked_at: str,
) -> None:
    access = reach(params=params.model_copy(update={"internet_proxy": f"socks5h://127.0.0.1:{socks}"}))
    port = free_port("127.0.0.1")
    line = access.command_line(INNER, web, port, via=via)
    assert f"-L {port}:{asked_at}:{web}" in line
    pasted = subprocess.Popen(["bash", "-c", f"exec {line}"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait.until(lambda: listening("127.0.0.1", port), bool, what=line, timeout=60, interval=0.05)
        assert httpx.get(f"http://127.0.0.1:{port}", trust_env=False).text == asked_at
    finally:
        pasted.terminate()
        pasted.wait(10)


def test_the_printed_command_without_a_proxy_has_none(reach: Callable[..., Access]) -> None:
    words = shlex.split(reach().command_line(INNER, 8080))
    assert not any(word.startswith("ProxyCommand") for word in words)
    assert words[-1] == f"{ME}@127.0.0.1"
    assert words[words.index("-L") + 1] == "8080:127.0.0.2:8080"


def test_a_changed_host_key_is_refused(reach: Callable[..., Access], servers: Servers, params: Params) -> None:
    reach().run(INNER, "true")
    servers.stop("127.0.0.2")
    servers.start("127.0.0.2", key="another")
    for attempt in (lambda a: a.run(INNER, "true"), lambda a: a.wait_for([INNER], timeout=30)):
        with pytest.raises(AccessError, match="another host key") as caught:
            attempt(reach())
        assert str(KnownHosts.of(params).path) in str(caught.value)


def test_a_replaced_instance_may_bring_another_key(reach: Callable[..., Access], servers: Servers) -> None:
    reach().run(INNER, "true")
    servers.stop("127.0.0.2")
    servers.start("127.0.0.2", key="another")
    again = replace(INNER, id="3")
    assert reach(BASTION, again).run(again, "echo $MARK").stdout == "127.0.0.2\n"


def test_a_host_that_restarted_is_reached_again(reach: Callable[..., Access], servers: Servers) -> None:
    access = reach()
    for address in ("127.0.0.2", "127.0.0.1"):
        pid = access.run(INNER, "echo $PPID").stdout
        servers.stop(address)
        # sshd's children outlive it; a reboot takes them along.
        access.run(BASTION if address == "127.0.0.1" else INNER, "kill $PPID", check=False)
        servers.start(address)
        assert access.run(INNER, "echo $PPID").stdout != pid


def test_waiting_lasts_until_the_host_is_up(reach: Callable[..., Access], servers: Servers) -> None:
    servers.stop("127.0.0.2")
    access = reach()
    with pytest.raises(WaitTimeout, match=INNER.name):
        access.wait_for(timeout=0.5)
    late = threading.Timer(0.3, servers.start, ["127.0.0.2"])
    late.start()
    access.wait_for(timeout=20)
    late.join()
    assert access.run(INNER, "echo up").stdout == "up\n"


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ((INNER,), "has no bastion"),
        ((replace(BASTION, public_ip=None), INNER), "has no bastion"),
        ((replace(BASTION, cloud="aws"), INNER), "has no bastion"),
        ((BASTION, replace(INNER, private_ip="127.0.0.3")), "is not reached"),
        ((replace(BASTION, public_ip="127.0.0.3"), INNER), "is not reached"),
    ],
)
def test_no_way_is_named(reach: Callable[..., Access], hosts: tuple[Host, ...], words: str) -> None:
    with pytest.raises(AccessError, match=words) as caught:
        reach(*hosts).run(hosts[-1], "true")
    assert caught.value.remedy


def test_a_stranger_is_refused_and_the_key_named(reach: Callable[..., Access], servers: Servers) -> None:
    (servers.folder / "authorized_keys").write_text("")
    with pytest.raises(AccessError, match="refuses the operator's key") as caught:
        reach().run(INNER, "true")
    assert "id_ed25519" in caught.value.remedy


def test_closing_ends_everything_and_may_be_repeated(reach: Callable[..., Access]) -> None:
    before = threading.active_count()
    access = reach()
    access.run(INNER, "true")
    access.close()
    access.close()
    assert threading.active_count() == before
    with pytest.raises(AccessError, match="closed"):
        access.run(INNER, "true")
