"""One instance: a disk, a network namespace and a process tree, from power-on to power-off."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path

from . import image, netns
from .fabric import gateway
from .model import RESOLVER, Machine

# An instance is given this long to stop its services before it is switched off.
_GRACE_SECONDS = 2.0


class Instance:
    """A running (or just stopped) instance.

    Args:
        machine: what the cloud's API says it is.
        index: its number in this world; interface and namespace are named after it.
        disk: folder that is (or becomes) its disk.
        console: file that collects its console output.
    """

    def __init__(self, machine: Machine, index: int, disk: Path, console: Path) -> None:
        self.machine = machine
        self.namespace = f"m{index}"
        self.link = f"m{index}"
        self.table = 1000 + index
        self.disk = disk
        self.console = console
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Lock()

    def plug(self, router: str, subnet: str) -> None:
        """Make the instance's namespace and hang its interface on the router."""
        device = "ens5" if self.machine.cloud == "aws" else "ens4"
        length = IPv4Network(subnet).prefixlen if self.machine.cloud == "aws" else 32
        netns.add(self.namespace)
        netns.batch(
            [
                f"link add {self.link} type veth peer name {device} netns {self.namespace}",
                f"link set {self.link} up",
            ],
            router,
        )
        # Neighbours in the subnet are answered for by the router, at once, so that it sees all traffic.
        netns.sysctl(
            [(f"net/ipv4/conf/{self.link}/proxy_arp", "1"), (f"net/ipv4/neigh/{self.link}/proxy_delay", "0")], router
        )
        netns.batch(
            [
                f"addr add {self.machine.private_ip}/{length} dev {device}",
                f"link set {device} up",
                f"route add {gateway(subnet)} dev {device}",
                f"route add default via {gateway(subnet)} dev {device}",
            ],
            self.namespace,
        )

    def install(self, base: Path, authorized_keys: str, tools: Iterable[str]) -> None:
        """Lay out the disk at first boot, and what a guest agent renews at each boot.

        Args:
            base: the image's writable part.
            authorized_keys: who may log in.
            tools: names of programs that a prepared image has.
        """
        if not self.disk.exists():
            image.instantiate(base, self.disk, () if self.machine.bare else tools)
        full, short = self.machine.hostname, self._hostname()
        (self.disk / "etc/hostname").write_text(f"{short}\n")
        (self.disk / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.machine.private_ip} {full} {short}\n")
        (self.disk / "etc/resolv.conf").write_text(f"nameserver {RESOLVER[self.machine.cloud]}\n")
        keys = self.disk / "root/.ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        keys.write_text(authorized_keys)
        keys.chmod(0o600)
        boot = self.disk / "var/lib/lab/boot"
        if self.machine.script:
            boot.write_text(self.machine.script)
            boot.chmod(0o755)

    def start(self, tools: Mapping[str, str], python_path: str, ended: Callable[[Instance], None]) -> None:
        """Switch on.

        Args:
            tools: name -> path of programs that a prepared image has.
            python_path: folder of the ``systemctl2`` package.
            ended: called once, from another thread, when the instance's first process is gone.
        """
        read, write = os.pipe()
        bare = self.machine.bare
        command = [
            *netns.enter(self.namespace),
            "bwrap",
            *image.binds(self.disk, {} if bare else tools, python_path, image.installed(tools) if bare else ()),
            *("--unshare-pid", "--unshare-uts", "--unshare-ipc", "--as-pid-1"),
            *("--hostname", self._hostname(), "--info-fd", str(write), "--chdir", "/", "--new-session"),
            *("--", "/usr/local/sbin/init"),
        ]
        with self.console.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[write]
            )
        os.close(write)
        with os.fdopen(read) as info:
            text = info.read()
        self.pid = json.loads(text)["child-pid"] if text.strip() else 0
        threading.Thread(target=self._watch, args=(self._process, ended), daemon=True).start()

    def stop(self) -> None:
        """Switch off: services are asked to stop first, then the process tree ends."""
        with self._stopping:
            process = self._process
            if process is None or process.poll() is not None:
                return
            self._signal(signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                process.wait()

    def unplug(self) -> None:
        """Take the interface and the namespace away."""
        if netns.exists(self.namespace):
            netns.delete(self.namespace)

    def _hostname(self) -> str:
        # Linux allows 64 characters, which a fully qualified name may exceed.
        return self.machine.hostname.split(".")[0]

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _watch(self, process: subprocess.Popen[bytes], ended: Callable[[Instance], None]) -> None:
        process.wait()
        ended(self)
