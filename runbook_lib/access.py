"""Reaching private hosts as an operator does: SSH to the cloud's bastion, through it to the host, and the secrets that
what listens there asks for."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import asyncssh
from python_socks import ProxyError

from . import credentials, together, wait
from .errors import AccessError
from .keys import KnownHosts, operator_key
from .params import Params
from .resources import Host
from .ssh import Connections, Settings

T = TypeVar("T")
LAST_STEPS = 5.0  # seconds that what is cancelled has for ending
NOT_REACHED = (OSError, TimeoutError, asyncssh.Error, ProxyError)


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did.

    Args:
        stdout: its output, decoded.
        stderr: its error output, decoded.
        exit_status: 0 for success; ``None`` when a signal ended it.
        seconds: from sending it to its end.
    """

    stdout: str
    stderr: str
    exit_status: int | None
    seconds: float


class Forward:
    """A local port that leads to a port inside a cloud, until closed. Also a context manager."""

    def __init__(self, access: Access, listener: asyncssh.SSHListener, to: Host) -> None:
        self._access = access
        self.to = to
        self._listener = listener
        self.host = "127.0.0.1"
        self.port: int = listener.get_port()
        self.url = f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Stop listening, which frees the port; what is connected stays so."""

        async def stop() -> None:
            self._listener.close()

        with contextlib.suppress(AccessError, FutureTimeout):  # it ended with its Access
            self._access._submit(stop()).result(LAST_STEPS)

    def __enter__(self) -> Forward:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Forward({self.url})"


class Access:
    """SSH to every host of a deployment; connections are opened when first needed and kept.

    Works with or without ``with``; without it, connections close with the program. Its event loop has a
    thread of its own, as a notebook's kernel already runs one. Methods may be called from any thread.

    Its attribute ``credentials`` holds the deployment's secrets, or ``None`` at the article's level of security;
    ``console`` tells what a host wrote to its console, or nothing where no cloud can be asked; ``doors`` holds the
    forwards that are kept open from one cell to the next, by what they lead to.

    Args:
        params: the deployment's parameters.
        hosts: all its hosts, bastions among them.
        port: where SSH servers listen.
        connect_timeout: seconds for one connection.
        console: asks a host's cloud for its console output.
    """

    def __init__(
        self,
        params: Params,
        hosts: Iterable[Host],
        *,
        port: int = 22,
        connect_timeout: float = 15,
        console: Callable[[Host], str] = lambda host: "",
    ) -> None:
        self.params = params
        self.console = console
        self.hosts = tuple(hosts)
        self.doors: dict[tuple[str, int], Forward] = {}
        key = operator_key(params)
        self._settings = Settings(params.ssh_user, key.private_path, params.internet_proxy, port, connect_timeout)
        self._known = KnownHosts.of(params)
        self.credentials = credentials.of(params)
        self._connections = Connections(self._settings, self._known)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="runbook-ssh", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    # ---- what a step does with it ----------------------------------------------------------------------------

    def run(
        self, host: Host, command: str, *, check: bool = True, timeout: float = 60, text: str | None = None
    ) -> Result:
        """Run a shell command as root on a host.

        Args:
            host: where.
            command: a shell command line.
            check: raise when its exit status is not 0.
            timeout: seconds until it is given up.
            text: its standard input; none by default.

        Raises:
            AccessError: the host is not reached, the command takes too long, or (``check``) it fails.
        """
        started = time.monotonic()
        done = self._on(
            host, self._connections.run(host, self._bastion(host), self._as_root(command), text or "", timeout)
        )
        result = Result(_text(done.stdout), _text(done.stderr), done.exit_status, time.monotonic() - started)
        if check and result.exit_status != 0:
            raise AccessError(
                f"a command failed on {host.name}",
                resource=command,
                expected="exit status 0",
                seen=f"exit status {result.exit_status}: {(result.stderr or result.stdout).strip()[-2000:]}",
                remedy="read the message above; the same command can be tried on the host by hand",
            )
        return result

    def put(
        self, host: Host, text: str, path: str, *, mode: str = "0644", owner: str = "root:root", then: str = "true"
    ) -> bool:
        """Write a file at once or not at all; the same content again changes nothing.

        Args:
            host: where.
            text: the content.
            path: the file.
            mode: its permissions.
            owner: its user and group.
            then: a shell command that follows a changed content, in one go with it: whoever is interrupted between the
                two would find the content right, and never do it. If it fails, the file is gone, too.

        Returns:
            Whether the content changed.

        Raises:
            AccessError: as ``run``.
        """
        where = shlex.quote(path)
        script = (
            f'set -eu; new=$(mktemp {where}.XXXXXX); trap \'rm -f "$new"\' EXIT; cat >"$new"; '
            f'chmod {shlex.quote(mode)} "$new"; chown {shlex.quote(owner)} "$new"; '
            f'if cmp -s "$new" {where}; then said=same; else said=new; fi; mv -f "$new" {where}; '
            f"[ $said = same ] || {{ {then}; }} || {{ rm -f {where}; exit 1; }}; echo $said"
        )
        return self.run(host, script, text=text).stdout.strip() == "new"

    def forward(
        self, host: Host, port: int, *, via: Literal["host", "bastion"] = "host", local_port: int = 0
    ) -> Forward:
        """Lead a local port to a port of a host.

        Args:
            host: where to.
            port: the port there.
            via: ``host`` goes by SSH to the host itself and asks its loopback address; ``bastion`` goes to
                the bastion, which connects to the host's private address: the article's ``ssh -L``.
            local_port: a port of this machine that is free; any by default.

        Raises:
            AccessError: the host or the bastion is not reached.
        """
        bastion = self._bastion(host)
        if via == "bastion":
            start = self._connections.forward(bastion or host, None, host.private_ip, port, local_port)
        else:
            start = self._connections.forward(host, bastion, "127.0.0.1", port, local_port)
        return Forward(self, self._on(host, start), host)

    def command_line(
        self, host: Host, port: int, local_port: int | None = None, *, via: Literal["host", "bastion"] = "bastion"
    ) -> str:
        """The ``ssh -L`` command with which an operator opens the same tunnel in a terminal, ready to paste.

        Args:
            host: where to.
            port: the port there.
            local_port: where it is to be found on this machine; ``port`` by default.
            via: as in ``forward``: the bastion connects to the host's private address, as in the article, or SSH goes
                on to the host, for what listens on its loopback address only.

        Raises:
            AccessError: the host's cloud has no bastion.
        """
        bastion = self._bastion(host)
        forward = ["-N", "-L", f"{local_port or port}:{host.private_ip}:{port}"]
        if via == "bastion" or bastion is None:
            return shlex.join(self._ssh(bastion or host, forward, self._way()))
        forward = ["-N", "-L", f"{local_port or port}:127.0.0.1:{port}"]
        # Each ssh replaces the %h and %p of its own ProxyCommand; the inner one's have to outlive the outer's turn.
        hop = shlex.join(self._ssh(bastion, ["-W", "%h:%p"], self._way().replace("%", "%%")))
        return shlex.join(self._ssh(host, forward, hop, address=host.private_ip))

    def _way(self) -> str:
        """What OpenSSH needs for reaching public addresses: a ProxyCommand, or nothing."""
        proxy = urlsplit(self._settings.proxy)
        return f"nc -X 5 -x {proxy.hostname}:{proxy.port} %h %p" if self._settings.proxy else ""

    def _ssh(self, host: Host, words: list[str], proxy: str, address: str | None = None) -> list[str]:
        options = {
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self._known.path),
            "HostKeyAlias": self._known.alias(host),
            "StrictHostKeyChecking": "accept-new",
            **({"ProxyCommand": proxy} if proxy else {}),
            **({"Port": str(self._settings.port)} if self._settings.port != 22 else {}),
        }
        chosen = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        where = f"{self._settings.user}@{address or host.public_ip}"
        return ["ssh", *words, "-i", str(self._settings.key), *chosen, where]

    def wait_for(self, hosts: Iterable[Host] | None = None, *, timeout: float | None = None) -> None:
        """Return once every host (all by default) lets the operator's key in.

        Args:
            hosts: which; bastions come first by themselves.
            timeout: seconds for all of them; ``params.timeout`` by default.

        Raises:
            WaitTimeout: with what the last attempt said.
            AccessError: a host shows another key than before; waiting would not mend that.
        """
        wanted = tuple(self.hosts if hosts is None else hosts)
        limit = self.params.timeout if timeout is None else timeout

        def arrive(host: Host) -> None:
            wait.until(
                lambda: self._attempt(host),
                lambda problem: problem == "",
                what=f"SSH to {host.name}",
                timeout=limit,
                remedy=f"look at the console output of {host.name} and at the firewall rules for port 22",
            )

        together.each(arrive, wanted)

    def close(self) -> None:
        """Close every connection and forward. Closing twice does nothing."""
        atexit.unregister(self.close)
        self.doors.clear()
        if self._loop.is_closed():
            return
        with contextlib.suppress(FutureTimeout):  # what still hangs ends with the loop
            self._submit(self._connections.close()).result(10)
        self._soon(self._loop.stop)
        self._thread.join(5)

    def __enter__(self) -> Access:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---- underneath ------------------------------------------------------------------------------------------

    def _bastion(self, host: Host) -> Host | None:
        if host.role == "bastion":
            return None
        for other in self.hosts:
            if other.cloud == host.cloud and other.role == "bastion" and other.public_ip:
                return other
        raise AccessError(
            f"there is no way to {host.name}: {host.cloud} has no bastion with a public address",
            resource=host.name,
            expected=f"a running bastion in {host.cloud}",
            seen=", ".join(h.name for h in self.hosts if h.cloud == host.cloud) or "no host at all",
            remedy="run 00_provision",
        )

    def _attempt(self, host: Host) -> str:
        """Connect once; what stood in the way, or nothing."""
        bastion = self._bastion(host)
        try:
            together.result(self._submit(self._connections.to(host, bastion)))
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._explain(host, error) from None
        except NOT_REACHED as error:
            return _said(error)
        return ""

    def _as_root(self, command: str) -> str:
        if self._settings.user == "root":
            return command
        return f"sudo -n sh -c {shlex.quote(command)}"

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            work.close()
            raise AccessError("this Access is closed", remedy="make a new one: Access(params, hosts)")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _soon(self, call: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _on(self, host: Host, work: Coroutine[Any, Any, T]) -> T:
        running = self._submit(work)
        try:
            return together.result(running)
        except NOT_REACHED as error:
            raise self._explain(host, error) from None
        except BaseException:
            running.cancel()  # an interrupted cell must not leave its command waiting
            raise

    def _explain(self, host: Host, error: BaseException) -> AccessError:
        bastion = self._bastion(host)
        way = [self._settings.proxy] if self._settings.proxy else []
        way += [f"bastion {bastion.name} ({bastion.public_ip})"] if bastion else []
        address = host.private_ip if bastion else host.public_ip
        tried = f"SSH as {self._settings.user} by way of {' and '.join(way)}" if way else "SSH straight"
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            message = f"{host.name} or its bastion shows another host key than at the first contact"
            remedy = f"if you know why the key changed, take the line out of {self._known.path}; if not, do not go on"
        elif isinstance(error, asyncssh.TimeoutError):
            message = f"a command on {host.name} took too long"
            remedy = "look on the host what it waits for, or allow it more seconds"
        elif isinstance(error, asyncssh.PermissionDenied):
            message = f"{host.name} or its bastion refuses the operator's key"
            remedy = f"was the host made with another key than {self._settings.key}, or is it still starting?"
        else:
            message = f"{host.name} is not reached over SSH"
            remedy = "is the host running, and does the firewall let the bastion in on port 22?"
        return AccessError(
            message, resource=f"{host.name} ({address})", expected=tried, seen=_said(error), remedy=remedy
        )


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:  # whoever waits for one is told
            loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_STEPS))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _text(value: str | bytes | bytearray | memoryview | None) -> str:
    return value if isinstance(value, str) else ""
