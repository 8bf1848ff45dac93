"""SSH connections as asyncio sees them: proxy -> bastion -> host, each made once and kept."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from python_socks.async_.asyncio import Proxy

from .keys import KnownHosts
from .resources import Host

# OpenSSH allows ten sessions a connection (MaxSessions); tunnels are not counted.
SESSIONS = 8
# A host that boots may accept a connection and drop it; a kept connection may have died unnoticed.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How to log in.

    Args:
        user: account on every host.
        key: private key file.
        proxy: ``socks5h://HOST:PORT`` towards public addresses, or empty.
        port: where SSH servers listen.
        connect_timeout: seconds for one connection, handshake included.
    """

    user: str
    key: Path
    proxy: str
    port: int = 22
    connect_timeout: float = 15.0


class Connections:
    """Connections to hosts and their bastions; every method runs in one event loop.

    Errors come as ``OSError`` and ``asyncssh.Error``; the module ``access`` puts them into words.

    Args:
        settings: how to log in.
        known: where host keys are learned and compared.
    """

    def __init__(self, settings: Settings, known: KnownHosts) -> None:
        self.settings = settings
        self.known = known
        self._open: dict[str, asyncssh.SSHClientConnection] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SESSIONS))

    async def to(self, host: Host, bastion: Host | None) -> asyncssh.SSHClientConnection:
        """The connection to a host: through its bastion, or straight when there is none."""
        name = self.known.alias(host)
        async with self._locks[name]:
            kept = self._open.get(name)
            if kept is not None and not kept.is_closed():
                return kept
            async with asyncio.timeout(self.settings.connect_timeout):
                fresh = await self._connect(host, bastion)
            self._open[name] = fresh
            return fresh

    async def run(
        self, host: Host, bastion: Host | None, command: str, text: str | None, timeout: float
    ) -> asyncssh.SSHCompletedProcess:
        """Run a command to its end. Starting it is tried again; once started it never is."""
        async with self._turns[self.known.alias(host)]:
            process = await self._start(host, bastion, command, text)
            return await process.wait(check=False, timeout=timeout)

    async def forward(
        self, host: Host, bastion: Host | None, target: str, port: int, local_port: int = 0
    ) -> asyncssh.SSHListener:
        """Listen on a loopback port, any free one by default; what connects there is led to ``target:port`` as the host
        sees it."""
        connection = await self.to(host, bastion)
        return await connection.forward_local_port("127.0.0.1", local_port, target, port)

    async def forget(self, host: Host) -> None:
        """Drop the connection to a host, if there is one."""
        kept = self._open.pop(self.known.alias(host), None)
        if kept is not None:
            kept.abort()

    async def close(self) -> None:
        """Close every connection, those through bastions first."""
        for connection in reversed(list(self._open.values())):
            connection.close()
            try:
                async with asyncio.timeout(2):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()
        self._open.clear()

    async def _start(
        self, host: Host, bastion: Host | None, command: str, text: str | None
    ) -> asyncssh.SSHClientProcess[str]:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.3)
            try:
                connection = await self.to(host, bastion)
                async with asyncio.timeout(self.settings.connect_timeout):
                    # "errors": a log may hold bytes that are no text, which must not end the connection.
                    return await connection.create_process(command, input=text, errors="replace")
            except (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, ConnectionError):
                if attempt == ATTEMPTS - 1:
                    raise
                await self.forget(host)
        raise AssertionError("the last attempt returns or raises")

    async def _connect(self, host: Host, bastion: Host | None) -> asyncssh.SSHClientConnection:
        alias = self.known.alias(host)
        options: dict[str, Any] = {
            "username": self.settings.user,
            "client_keys": [str(self.settings.key)],
            "preferred_auth": "publickey",
            "agent_path": None,
            "config": None,  # the operator's own ~/.ssh/config must not change where this goes
            "known_hosts": str(self.known.path),
            "host_key_alias": alias,
            "client_factory": lambda: _Learner(self.known, alias),
            "keepalive_interval": 15,
        }
        if bastion is not None:
            options["tunnel"] = await self.to(bastion, None)
            return await asyncssh.connect(host.private_ip, self.settings.port, **options)
        address = str(host.public_ip)
        if not self.settings.proxy:
            return await asyncssh.connect(address, self.settings.port, **options)
        way = await self._through_proxy(address)
        try:
            return await asyncssh.connect(sock=way, **options)
        except BaseException:
            way.close()
            raise

    async def _through_proxy(self, address: str) -> socket.socket:
        # The library says "names are resolved by the proxy" with an argument instead of the scheme.
        url = self.settings.proxy.replace("socks5h://", "socks5://", 1)
        return await Proxy.from_url(url, rdns=True).connect(address, self.settings.port)


class _Learner(asyncssh.SSHClient):
    """Accepts and keeps the key of an instance never seen before; refuses every other unknown key."""

    def __init__(self, known: KnownHosts, alias: str) -> None:
        self._known = known
        self._alias = alias

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if self._known.knows(self._alias):
            return False
        self._known.learn(self._alias, key.export_public_key().decode("ascii"))
        return True
