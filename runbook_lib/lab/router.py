"""One network's router: its namespace, its uplink, and the two services at the link-local address."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer

from . import fabric, netns, web
from .model import API_ADDRESS, METADATA, MIRROR_ADDRESS, MIRROR_NAME, OPERATOR, RESOLVER, Machine, Network

Metadata = Callable[[str, dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Router:
    """The router of one network.

    Args:
        network: the network, as its cloud holds it when the router is made.
        index: its number in this world; the link to the internet is numbered after it.
        home: folder for its name server's files.
        metadata: the cloud's metadata service, called with the asking machine's id.
    """

    def __init__(self, network: Network, index: int, home: Path, metadata: Metadata) -> None:
        self.cloud = network.cloud
        self.namespace = f"r{index}"
        link = f"100.64.{index % 256}"  # RFC 6598: addresses for links
        self._far, self._near = f"{link}.0", f"{link}.1"
        self._hosts = home / f"r{index}-hosts"
        self._metadata = metadata
        self._machines: Mapping[str, str] = {}
        self._routes: frozenset[str] = frozenset()
        self._rules: frozenset[str] = frozenset()
        self._public: frozenset[str] = frozenset()
        self._local: frozenset[str] = frozenset()
        self._ruleset = ""
        self._vpn = ""
        self._resolver: subprocess.Popen[bytes] | None = None
        self._server: BaseWSGIServer | None = None

    def start(self) -> None:
        """Make the namespace, wire it to the internet, and serve metadata and names in it."""
        netns.add(self.namespace)
        netns.batch(
            [
                f"link add {self.namespace} type veth peer name {fabric.UPLINK} netns {self.namespace}",
                f"addr add {self._far}/31 dev {self.namespace}",
                f"link set {self.namespace} up",
            ]
        )
        netns.sysctl([("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/send_redirects", "0")], self.namespace)
        own = {METADATA, RESOLVER[self.cloud]}
        netns.batch(
            [
                f"addr add {self._near}/31 dev {fabric.UPLINK}",
                f"link set {fabric.UPLINK} up",
                *(f"addr add {address}/32 dev lo" for address in sorted(own)),
                # The network's own hosts are found before any machine's table is asked.
                "rule add pref 100 lookup main",
            ],
            self.namespace,
        )
        self._local = frozenset(own)
        self._serve_metadata()
        self._serve_names()

    def apply(self, network: Network, machines: Mapping[str, tuple[str, int]]) -> None:
        """Bring routes and rules in line with what the cloud's API holds, changing only the difference.

        Args:
            network: the network now; only interfaces of plugged machines.
            machines: machine id -> (interface, table).
        """
        links = fabric.Links(uplink=self._far, vpn=self._vpn, machines=machines)
        self._machines = {interface.address: interface.machine for interface in network.interfaces}
        local, routes = fabric.local_addresses(network), fabric.routes(network, links)
        rules, public = fabric.rules(network, links), fabric.public_addresses(network)
        netns.batch(
            [
                *(f"addr replace {address}/32 dev lo" for address in sorted(local - self._local)),
                # Main-table routes first: the tables' next hops are reached by them.
                *(f"route replace {route}" for route in sorted(routes - self._routes, key=_specific_first)),
            ],
            self.namespace,
        )
        netns.batch([f"rule add {rule}" for rule in sorted(rules - self._rules)], self.namespace)
        self._rules |= rules  # there is no "rule replace": what was added must not be added again
        ruleset = fabric.ruleset(network, links)
        if ruleset != self._ruleset:
            netns.load(ruleset, self.namespace)
        netns.batch(
            [
                *(f"rule del {rule}" for rule in sorted(self._rules - rules)),
                *(f"route del {route}" for route in sorted(self._routes - routes)),
                *(f"addr del {address}/32 dev lo" for address in sorted(self._local - local)),
            ],
            self.namespace,
            force=True,
        )
        netns.batch(
            [
                f"route replace {address}/32 via {self._near} dev {self.namespace} src {OPERATOR}"
                for address in public - self._public
            ]
        )
        # An address may have moved to another network's router meanwhile: delete only our own entry.
        netns.batch(
            [f"route del {address}/32 via {self._near} dev {self.namespace}" for address in self._public - public],
            force=True,
        )
        self._local, self._routes, self._rules, self._public = local, routes, rules, public
        self._ruleset = ruleset

    def names(self, machines: Iterable[Machine]) -> None:
        """Publish the machines' names in the network's name server, which rereads them by itself."""
        text = "".join(f"{m.private_ip} {m.hostname}\n" for m in sorted(machines, key=lambda m: m.id))
        file = self._hosts / "machines"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)

    def link_vpn(self, near: str, far: str) -> None:
        """Give this router its end of a link to another cloud's router; ``far`` is the next hop."""
        netns.batch([f"addr add {near}/31 dev {fabric.VPN}", f"link set {fabric.VPN} up"], self.namespace)
        self._vpn = far

    def unlink_vpn(self) -> None:
        """The link is gone."""
        self._vpn = ""

    def stop(self) -> None:
        """Take everything of this router away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._resolver is not None:
            self._resolver.kill()
            self._resolver.wait()
        netns.batch([f"route del {a}/32 via {self._near} dev {self.namespace}" for a in self._public], force=True)
        netns.delete(self.namespace)

    # ---- services ----------------------------------------------------------------------------------------

    def _serve_metadata(self) -> None:
        self._server = web.serve(netns.listen(self.namespace, METADATA, 80), self._answer)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        machine = self._machines.get(environ.get("REMOTE_ADDR", ""))
        if machine is None:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return [b""]
        return self._metadata(machine, environ, start_response)

    def _serve_names(self) -> None:
        self._hosts.mkdir(parents=True)
        # The resolver knows the clouds' API names, the mirror and the network's own hosts: all of the lab's internet.
        self._resolver = subprocess.Popen(
            [
                *netns.enter(self.namespace),
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                f"--listen-address={RESOLVER[self.cloud]}",
                f"--hostsdir={self._hosts}",
                f"--address=/amazonaws.com/{API_ADDRESS['aws']}",
                f"--address=/googleapis.com/{API_ADDRESS['gcp']}",
                f"--address=/metadata.google.internal/{METADATA}",
                f"--address=/{MIRROR_NAME}/{MIRROR_ADDRESS}",
                "--local=/#/",
                "--user=root",
                "--pid-file",
            ],
            stdin=subprocess.DEVNULL,
        )


def _specific_first(route: str) -> tuple[bool, str]:
    return (" table " in route, route)
