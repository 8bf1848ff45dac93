"""One tunnel end: strongSwan's charon in a network namespace that has nothing but the end's public address.

charon makes a TUN device there and encrypts what comes out of it (ESP in userland). The device is then moved into
the cloud's gateway: what is routed into it there comes out of the other end's device, or nowhere.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import vici

from .. import netns
from ..errors import LabError
from ..model import Trouble, Tunnel
from . import config, daemon, words

# The world's side of every end's way to the internet; RFC 6598 has addresses for links.
NEXT_HOP = "100.66.0.1"
_FIRST_TABLE = 5000
_START_SECONDS = 30
# A daemon that takes longer to answer has died or is starved; the next look asks again.
_ANSWER_SECONDS = 5
# Below the usual 1500 by what ESP in UDP takes: 20 + 8 + 8 + 16 + up to 15 + 2 + 16 bytes and an inner header.
_MTU = 1400
# A TUN device holds 500 packets by itself, which charon, on a busy machine, lets overflow at a burst of small ones.
_QUEUE = 10000


class End:
    """One tunnel end that runs.

    Args:
        tunnel: what its cloud's API holds.
        number: its number in this world; namespace and interfaces are named after it.
        folder: a folder for it alone, in a memory file system.
        changed: called from another thread when charon says something of interest.
    """

    def __init__(self, tunnel: Tunnel, number: int, folder: Path, changed: Callable[[], None]) -> None:
        self.tunnel = tunnel
        self.interface = f"tun{number}"
        self._number = number
        self._namespace = f"t{number}"
        self._folder = folder
        self._changed = changed
        self._trouble: Trouble = ""
        self._process: subprocess.Popen[str] | None = None
        self._last = "it said nothing"
        self._stopped = False
        self.ready = False

    @property
    def ended(self) -> bool:
        """Whether charon is gone."""
        return self._stopped or (self._process is not None and self._process.poll() is not None)

    def start(self, program: Path, gateway: str) -> None:
        """Wire the end to the internet, start charon, and hand its TUN device to the gateway.

        Args:
            program: charon.
            gateway: namespace of the cloud's gateway.

        Raises:
            LabError: charon does not start.
        """
        self._wire()
        self._launch(program)
        self._await()
        # charon insists on routing by its device: a bridge of the device's name takes the route, which nothing uses.
        netns.batch(
            [
                f"link set ipsec0 netns {gateway} name {self.interface}",
                "link add ipsec0 type bridge",
                "link set ipsec0 up",
            ],
            self._namespace,
        )
        netns.batch(
            [
                f"addr add {self.tunnel.inside_local}/30 dev {self.interface}",
                f"link set {self.interface} mtu {_MTU} txqueuelen {_QUEUE} up",
            ],
            gateway,
        )
        with self._session() as session:
            session.load_shared(config.secret(self.tunnel))
            session.load_conn({"tunnel": config.connection(self.tunnel)})
            self._call(session)
        self.ready = True

    def look(self) -> words.Exchange:
        """What has become of the tunnel. An end that initiates and has nothing to show calls again.

        Raises:
            OSError: charon does not answer.
            vici.exception.CommandException: it answers something else.
        """
        with self._session() as session:
            associations = [one["tunnel"] for one in session.list_sas() if "tunnel" in one]
            suite = next((found for one in associations if (found := words.suite(one))), "")
            if not suite and all(words.established(one) for one in associations):
                self._call(session)
        return words.Exchange(suite, "" if suite else self._trouble)

    def stop(self) -> None:
        """Take everything of this end away; the TUN device goes with its daemon."""
        self._stopped, self.ready = True, False
        daemon.end(self._process)
        netns.batch([f"rule del {self._rule}"], force=True)
        if netns.exists(self._namespace):
            netns.delete(self._namespace)
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- starting ----------------------------------------------------------------------------------------

    @property
    def _rule(self) -> str:
        # Both tunnels of a GCP interface have its one address: who calls tells them apart.
        table = _FIRST_TABLE + self._number
        return f"pref {table} from {self.tunnel.peer} to {self.tunnel.local} lookup {table}"

    def _wire(self) -> None:
        link, own = self._namespace, self.tunnel.local
        netns.add(self._namespace)
        netns.sysctl([("net/ipv4/conf/all/rp_filter", "0"), ("net/ipv4/conf/default/rp_filter", "0")], self._namespace)
        netns.batch(
            [
                f"link add {link} type veth peer name internet netns {self._namespace}",
                f"link set {link} up",
                f"route add {own}/32 dev {link} table {_FIRST_TABLE + self._number}",
                f"rule add {self._rule}",
            ]
        )
        netns.batch(
            [
                f"addr add {own}/32 dev internet",
                "link set internet up",
                f"route add default via {NEXT_HOP} dev internet src {own} onlink",
            ],
            self._namespace,
        )

    def _launch(self, program: Path) -> None:
        self._folder.mkdir(parents=True, mode=0o700)
        settings = self._folder / "strongswan.conf"
        settings.write_text(config.charon())
        # A copy: some systems confine charon by the path of its program.
        shutil.copy(program, self._folder / "charon")
        # charon's process file has one place, so each daemon has a /run of its own.
        script = 'mount --bind "$1" /run && exec /run/charon'
        self._process = subprocess.Popen(
            [
                *netns.enter(self._namespace),
                *("unshare", "--mount", "--", "sh", "-c", script, "sh", str(self._folder)),
            ],
            env={"STRONGSWAN_CONF": "/run/strongswan.conf", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _await(self) -> None:
        """Return once charon answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self.ended or time.monotonic() > deadline:
                raise LabError(f"charon did not start for {self.tunnel.id}: {self._last}")
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), self._session() as session:
                session.version()
                return
            time.sleep(0.02)

    # ---- talking -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self) -> Iterator[vici.Session]:
        """A conversation with charon; each is short, so that one that went wrong does not spoil the next."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self._folder / "vici"))
            yield vici.Session(connection)

    def _call(self, session: vici.Session) -> None:
        """Begin a key exchange, if this end is the one to do so."""
        if self.tunnel.initiates:
            # -1: do not wait for the outcome.
            for _ in session.initiate({"child": "tunnel", "ike": "tunnel", "timeout": "-1"}):
                pass

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Follow what charon writes: it alone tells why an exchange failed."""
        assert process.stdout is not None
        for line in process.stdout:
            self._last = line.strip()
            heard = words.heard(line)
            if heard is not None:
                self._trouble = heard
                self._changed()
