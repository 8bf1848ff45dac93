"""Hosts that leave their service before they end, and are back in it before the next one goes.

The service is Consul's cluster, which needs its quorum, and the demo, which visitors ask for all the while. Who waits
for whom is decided by ``rollout``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from . import consul, delivery, traefik, wait
from .access import Access
from .errors import AccessError, WaitTimeout
from .resources import CloudName, Found, Host

SERVICE = "demo"
# Lists what is connected to a web server. Kept-alive connections end by themselves after some idle seconds.
_CONNECTED = "ss -Htn state established '( sport = :80 )'"
ELECTION = 10.0  # seconds within which a cluster that lives has a leader again


class Handover:
    """Takes hosts out of service and brings them into it, over SSH. May be used by several threads at a time.

    Args:
        access: the way to the hosts.
        hosts: says which there are now, among those that are wanted.
        host_of: the host that a found instance is, wanted or not.
    """

    def __init__(self, access: Access, hosts: Callable[[], tuple[Host, ...]], host_of: Callable[[Found], Host]) -> None:
        self._access = access
        self._hosts = hosts
        self._host_of = host_of

    def retire(self, found: Found) -> None:
        """Let a host finish what it is doing and leave: a load balancer and a web server their visitors, all their
        datacenter. One that does not answer any more, and counts as failed, has left already.

        Raises:
            AccessError: it serves, and cannot be asked to leave.
            WaitTimeout: others go on counting with it.
        """
        host = self._known(found)
        try:
            if host.role == "traefik":
                self._access.run(host, "systemctl stop traefik")  # which ends once its requests are answered
            consul.leave(self._access, host)
            self._access.run(host, "systemctl stop consul")  # so that nothing starts it again meanwhile
        except AccessError:
            if self._counts_on(host):
                raise
        if host.role == "consul" and (cluster := self._cluster(host)):
            self._until_no_peer(host, cluster)
        if host.role == "web":
            for balancer in self._others(host, "traefik"):
                self._until_led(balancer, host, led=False)
            self._until_idle(host)

    def settle(self, found: Found) -> None:
        """Give a new host its secrets, and return once it does what the one before it did.

        Raises:
            AccessError, WaitTimeout: it does not come that far.
        """
        host = self._known(found)
        self._access.wait_for([host])
        delivery.deliver(self._access, [host])
        cluster = self._cluster(host) if host.role == "consul" else None
        if host.role == "consul" and cluster is None:
            return  # there is none yet, or none any more: the rest of the step sets one up
        consul.until_ready(self._access, [host])
        if cluster:
            self._federate(host, cluster)
        if host.role == "traefik":
            traefik.until_up(self._access, [host])
            for instance in consul.health(self._access, host, SERVICE):
                if instance.status == "passing":
                    self._until_led(host, instance)
        if host.role == "web":
            consul.register(self._access, [host])
            for balancer in self._others(host, "traefik"):
                self._until_led(balancer, host)

    # ---- underneath --------------------------------------------------------------------------------------------

    def _known(self, found: Found) -> Host:
        self._access.hosts = self._hosts()
        return self._host_of(found)

    def _others(self, host: Host, role: str) -> list[Host]:
        return [h for h in self._access.hosts if (h.cloud, h.role) == (host.cloud, role) and h.name != host.name]

    def _counts_on(self, host: Host) -> bool:
        """Whether its datacenter counts on a host that does not answer; not so where nobody there does.

        Raises:
            AccessError: the bastion does not answer either, so nothing is known of anybody.
        """
        for server in self._others(host, "consul"):
            try:
                return host.name in _alive(consul.members(self._access, server))
            except AccessError:
                continue
        self._access.run(self._bastion(host.cloud), "true")
        return False

    def _cluster(self, host: Host) -> Host | None:
        """A server of the host's datacenter, another one, that answers for a cluster with a leader; if there is any."""
        others = self._others(host, "consul")

        def answering() -> Host | None:
            for server in others:
                with suppress(AccessError):  # of one that is down, or before anybody may ask
                    if any(peer.leader for peer in consul.peers(self._access, server)):
                        return server
            return None

        try:
            return wait.until(
                answering,
                lambda server: server is not None or not others,
                what=f"a leader in {host.datacenter}",
                timeout=min(ELECTION, self._access.params.timeout),
            )
        except WaitTimeout:
            return None

    def _bastion(self, cloud: CloudName) -> Host:
        return next(host for host in self._access.hosts if (host.cloud, host.role) == (cloud, "bastion"))

    def _until_no_peer(self, host: Host, server: Host) -> None:
        wait.until(
            lambda: consul.peers(self._access, server),
            lambda peers: host.name not in {peer.name for peer in peers},
            what=f"{server.name} to go on without {host.name}",
            timeout=self._access.params.timeout,
            describe=lambda peers: ", ".join(peer.name for peer in peers),
            remedy=f"on {server.name}: consul operator raft list-peers",
            tolerate=(AccessError,),  # as during an election, when the one that left led
        )

    def _federate(self, host: Host, server: Host) -> None:
        """Into the WAN pool with those of the other datacenter that are in it and alive; others may be just ending."""
        alive = {m.address for m in consul.members(self._access, server, wan=True) if m.status == "alive"}
        there = [h for h in self._access.hosts if h.role == "consul" and h.cloud != host.cloud]
        if others := [h for h in there if h.private_ip in alive]:
            consul.join_wan(self._access, [host], others)

    def _until_led(self, balancer: Host, to: Host | consul.Instance, *, led: bool = True) -> None:
        """Until a load balancer leads, or does not lead any more, to a web server."""
        address = to.private_ip if isinstance(to, Host) else to.address
        wait.until(
            lambda: {url for service in traefik.services(self._access, balancer) for url in service.servers},
            lambda urls: any(f"//{address}:" in f"{url}:" for url in urls) is led,
            what=f"{balancer.name} to lead {'' if led else 'no more '}to {address}",
            timeout=self._access.params.timeout,
            describe=lambda urls: ", ".join(sorted(urls)) or "nowhere",
            remedy=f"look at the service's checks in Consul and at {traefik.LOG} on {balancer.name}",
            tolerate=(AccessError,),
        )

    def _until_idle(self, host: Host) -> None:
        """Until nobody is connected to a web server that nobody is led to; one that is not reached has no visitors."""
        try:
            self._access.run(host, "true")
        except AccessError:
            return
        wait.until(
            lambda: self._access.run(host, _CONNECTED).stdout.split("\n")[:-1],
            lambda lines: not lines,
            what=f"the last visitors of {host.name}",
            timeout=self._access.params.timeout,
            describe=lambda lines: f"{len(lines)} connections",
            remedy=f"on {host.name}: {_CONNECTED}",
            tolerate=(AccessError,),
        )


def _alive(members: Iterable[consul.Member]) -> set[str]:
    return {member.name for member in members if member.status == "alive"}
