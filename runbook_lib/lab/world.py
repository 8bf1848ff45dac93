"""The lab's first process: it lives in namespaces of its own, and with it everything in the lab ends.

It serves the two clouds' APIs, and keeps what runs (routers, instances) in line with what the APIs hold. Its
own network namespace plays the internet.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import counts, image, latencies, netns, socks, tools, web
from .api_faults.injector import Injector
from .api_faults.schedule import draw
from .calls import Interceptor, intercepted
from .ec2 import Ec2
from .gce import Gce
from .machine import Instance
from .mirror import Mirror
from .model import API_ADDRESS, MIRROR_ADDRESS, MIRROR_NAME, OPERATOR, Cloud, Machine, Network, TunnelStatus
from .router import Router
from .vpn.carriers import carrier
from .vpn.control import REPORT
from .vpn.service import Vpn

log = logging.getLogger("lab")

# Where the world keeps what must vanish with it: a memory file system of its own mount namespace.
_RUN = Path("/run")
_DISKS = _RUN / "lab"


class World:
    """Everything in one lab.

    Args:
        home: the lab's folder on this machine: consoles, credentials and the status file.
        settings: region, zones, project, ports, and a seed of faults if there is one, as the starter chose them.
    """

    def __init__(self, home: Path, settings: Mapping[str, Any]) -> None:
        self._home = home
        self._settings = settings
        self._wake = threading.Event()
        self._lock = threading.RLock()
        self._count = itertools.count(1)
        self._link_count = itertools.count()
        self._instances: dict[str, Instance] = {}
        self._disks: dict[str, Path] = {}
        self._states: dict[str, str] = {}
        self._routers: dict[str, Router] = {}
        self._networks: dict[str, Network] = {}
        self._tunnels: dict[str, TunnelStatus] = {}
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="machine")
        self._tools = {name: str(tools.path(name)) for name in ("consul", "traefik")}
        self._python_path = str(tools.path("systemctl").parent.parent)
        self._authority = web.Authority()
        self._mirror = Mirror(home, self._tools)
        news = threading.Event()
        self._vpn = Vpn(carrier(settings["lacking"], _RUN / "vpn", news), news, self.changed, home / REPORT)
        factor = settings.get("latencies", 0.0)
        slow: dict[str, Any] = {"durations": latencies.scaled(factor)} if factor else {}
        # Between the APIs and the operator. Instances ask the APIs by another door.
        self._interceptors: list[Interceptor] = [latencies.RoundTrip(factor)] if factor else []
        ec2 = Ec2(self, settings["aws_region"], settings["aws_zones"], **slow)
        self._clouds: tuple[Cloud, ...] = (ec2, Gce(self, settings["gcp_project"], **slow))
        if (seed := settings.get("faults")) is not None:
            self._interceptors.append(Injector(draw(seed), ec2.fail_nat_gateway))

    # ---- Hooks: what the emulated clouds need ------------------------------------------------------------

    def changed(self) -> None:
        """An API's content changed: look again, soon."""
        self._wake.set()

    def console(self, machine: str) -> str:
        """An instance's console output so far."""
        file = self._console(machine)
        return file.read_text(errors="replace") if file.exists() else ""

    # ---- life --------------------------------------------------------------------------------------------

    def open(self, doors: Mapping[str, socket.socket]) -> None:
        """Build the internet and serve it.

        Args:
            doors: ``aws``, ``gcp`` and ``socks``: sockets that listen on the machine's own loopback.
        """
        (_RUN / "netns").mkdir()
        _DISKS.mkdir()
        netns.sysctl([("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/send_redirects", "0")])
        addresses = [OPERATOR, MIRROR_ADDRESS, *API_ADDRESS.values()]
        netns.batch(["link set lo up", *(f"addr add {address}/32 dev lo" for address in addresses)])
        self._vpn.open()
        with ThreadPoolExecutor() as pool:
            built = pool.submit(image.build, _DISKS / "image", self._authority.pem)
            list(pool.map(lambda cloud: cloud.ready(), self._clouds))
            built.result()
        region = self._settings["aws_region"]
        names = {"aws": ("*.amazonaws.com", f"*.{region}.amazonaws.com"), "gcp": ("*.googleapis.com",)}
        counted = counts.Counts(lambda tally: _write(self._home / counts.REPORT, json.dumps(tally)))
        for cloud in self._clouds:
            web.serve(doors[cloud.name], intercepted(cloud.name, cloud.api, counted, *self._interceptors))
            inside = socket.create_server((API_ADDRESS[cloud.name], 443), backlog=256)
            web.serve(inside, intercepted(cloud.name, cloud.api, counted), self._authority.context(*names[cloud.name]))
        mirror = socket.create_server((MIRROR_ADDRESS, 443), backlog=256)
        web.serve(mirror, self._mirror.answer, self._authority.context(MIRROR_NAME))
        threading.Thread(target=lambda: asyncio.run(socks.serve(doors["socks"])), daemon=True).start()

    def run(self) -> None:
        """Follow the APIs until the process ends."""
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self._follow()
            except Exception:
                # One bad object must not end the lab; the log names it, the next change tries again.
                log.exception("the lab could not follow a change")

    # ---- following the APIs ------------------------------------------------------------------------------

    def _follow(self) -> None:
        with self._lock:
            ends = [end for cloud in self._clouds for end in cloud.tunnels()]
            statuses = self._vpn.statuses(ends)
            wanted = {machine.id: (cloud, machine) for cloud in self._clouds for machine in cloud.machines()}
            networks = {n.id: n for cloud in self._clouds for n in cloud.networks(statuses)}
            clouds = {cloud.name: cloud for cloud in self._clouds}
            for network in networks.values():
                if network.id not in self._routers:
                    router = Router(network, next(self._link_count), _DISKS, clouds[network.cloud].metadata)
                    router.start()
                    self._routers[network.id] = router
            powered = {key for key, (_, machine) in wanted.items() if machine.powered}
            fresh = [wanted[key][1] for key in powered if key not in self._instances]
            for machine in fresh:
                self._plug(machine, networks[machine.network])
            self._networks = networks
            self._apply()
            self._vpn.follow(ends, self._routers)
            ending = [instance for key, instance in self._instances.items() if key not in powered]
            for key in self._disks.keys() - wanted.keys() - self._instances.keys():
                self._erase(key)
        for machine in fresh:
            self._pool.submit(self._boot, wanted[machine.id][0], self._instances[machine.id])
        for instance in ending:
            if self._states.get(instance.machine.id) != "stopping":
                self._states[instance.machine.id] = "stopping"
                self._pool.submit(self._halt, clouds[instance.machine.cloud], instance, instance.machine.id in wanted)
        if statuses != self._tunnels:
            self._tunnels = statuses
            for cloud in self._clouds:
                cloud.report_tunnels(statuses)
        self._write_status()

    def _plug(self, machine: Machine, network: Network) -> None:
        interface = next(i for i in network.interfaces if i.machine == machine.id)
        number = next(self._count)
        disk = self._disks.setdefault(machine.id, _DISKS / f"m{number}")
        instance = Instance(machine, number, disk, self._console(machine.id))
        instance.plug(self._routers[network.id].namespace, interface.subnet)
        self._instances[machine.id] = instance
        self._states[machine.id] = "booting"

    def _boot(self, cloud: Cloud, instance: Instance) -> None:
        machine = instance.machine
        try:
            cloud.report_machine(machine.id, "booting")
            instance.install(_DISKS / "image", cloud.authorized_keys(machine.id), self._tools)
            instance.start(self._tools, self._python_path, self._ended)
            self._states[machine.id] = "running"
            self._write_status()  # before the API says so: whoever reads it there may look here next
            cloud.report_machine(machine.id, "running")
        except Exception:
            log.exception("%s could not be started", machine.name)

    def _halt(self, cloud: Cloud, instance: Instance, keep: bool) -> None:
        machine = instance.machine
        try:
            cloud.report_machine(machine.id, "stopping")
            instance.stop()
            with self._lock:
                del self._instances[machine.id]
                del self._states[machine.id]
                self._apply()
                instance.unplug()
                if not keep:
                    self._erase(machine.id)
                # Before the API says so: whoever was told that it is gone does not find it listed.
                self._write_status()
            cloud.report_machine(machine.id, "stopped" if keep else "gone")
        except Exception:
            log.exception("%s could not be stopped", machine.name)
        self._wake.set()

    def _erase(self, machine: str) -> None:
        """An instance that does not exist any more leaves neither disk nor console."""
        image.remove(self._disks.pop(machine))
        self._console(machine).unlink(missing_ok=True)

    def _ended(self, instance: Instance) -> None:
        """An instance's first process is gone: it was asked to stop, or it shut itself down."""
        if self._states.get(instance.machine.id) == "running":
            self._states[instance.machine.id] = "stopping"
            cloud = next(cloud for cloud in self._clouds if cloud.name == instance.machine.cloud)
            self._pool.submit(self._halt, cloud, instance, True)

    def _apply(self) -> None:
        """Give every router what its network needs now; routers of networks that are gone end."""
        for identity, router in list(self._routers.items()):
            present = {
                key: (instance.link, instance.table)
                for key, instance in self._instances.items()
                if instance.machine.network == identity
            }
            network = self._networks.get(identity)
            if network is None:
                if not present:
                    router.stop()
                    del self._routers[identity]
                continue
            plugged = tuple(i for i in network.interfaces if i.machine in present)
            router.apply(replace(network, interfaces=plugged), present)
            router.names(
                instance.machine for instance in self._instances.values() if instance.machine.network == identity
            )

    # ---- what the outside reads --------------------------------------------------------------------------

    def _console(self, machine: str) -> Path:
        return self._home / "consoles" / f"{machine.replace('/', '_')}.log"

    def write_credentials(self) -> None:
        """Leave the operator's credentials for both APIs where the parameter file looks for them."""
        aws, gcp = self._clouds
        assert isinstance(aws, Ec2) and isinstance(gcp, Gce)
        token_uri = f"http://127.0.0.1:{self._settings['gcp_port']}/token"
        _write(self._home / "aws-credentials", aws.operator_credentials())
        _write(self._home / "gcp-credentials.json", json.dumps(gcp.operator_credentials(token_uri)))

    def _write_status(self) -> None:
        with self._lock:
            public = {i.machine: i.public for n in self._networks.values() for i in n.interfaces}
            nodes = [
                {
                    "name": instance.machine.name,
                    "cloud": instance.machine.cloud,
                    "zone": instance.machine.zone,
                    "private_ip": instance.machine.private_ip,
                    "public_ip": public.get(key),
                    "state": self._states[key],
                    "id": key,
                    "pid": instance.pid,
                    "console": str(instance.console),
                }
                for key, instance in sorted(self._instances.items(), key=lambda item: item[1].machine.name)
            ]
            networks = [
                {"id": key, "cloud": network.cloud, "subnets": network.subnets, "router": self._routers[key].namespace}
                for key, network in sorted(self._networks.items())
                if key in self._routers
            ]
            _write(self._home / "networks.json", json.dumps(networks))
            _write(self._home / "nodes.json", json.dumps(nodes))


def _write(file: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fresh = file.with_name(f".{file.name}.{threading.get_ident()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(file)


def main() -> None:
    """Entry point of the process that the starter puts into its namespaces; see ``host.py``."""
    settings = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # The kernel discards signals to a first process that has no handler for them.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    home = Path(settings["home"])
    (home / "consoles").mkdir(exist_ok=True)
    world = World(home, settings)
    doors = {name: socket.socket(fileno=fd) for name, fd in settings["doors"].items()}
    world.open(doors)
    world.write_credentials()
    world.changed()
    os.write(settings["ready"], b"ready\n")
    os.close(settings["ready"])
    world.run()


if __name__ == "__main__":
    main()
