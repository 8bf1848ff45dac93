"""What the steps ask of Consul's agents, through the HTTP API at the end of an SSH tunnel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import consul as api

from . import events, wait
from .access import Access
from .consul_agent import LOG, across, agent
from .errors import AccessError
from .resources import Host
from .together import each

T = TypeVar("T")
WAN_FILE = "/etc/consul/wan.json"
WEB_FILE = "/etc/consul/web.json"
RELOAD = "systemctl reload consul"
# Serf's numbers for a member's state (hashicorp/serf, serf.MemberStatus).
STATUS = ("none", "alive", "leaving", "left", "failed")


@dataclass(frozen=True, slots=True)
class Member:
    """One agent in a gossip pool; in the WAN pool its name is ``NAME.DATACENTER``."""

    name: str
    address: str
    status: str
    role: str
    datacenter: str
    version: str


@dataclass(frozen=True, slots=True)
class Peer:
    """One server in the Raft configuration."""

    name: str
    address: str
    leader: bool
    voter: bool


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service; ``status`` is the worst of its and its node's checks."""

    node: str
    address: str
    datacenter: str
    service: str
    port: int
    tags: tuple[str, ...]
    status: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """One answer that an agent got from the cloud's API when it looked for servers to join."""

    pool: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WanJoin:
    """What ``join_wan`` did on one server: its file changed or not, and whom it had yet to meet."""

    server: str
    file_changed: bool
    joined: tuple[str, ...]


# ---- asking ----------------------------------------------------------------------------------------------------


def leader(access: Access, host: Host) -> str:
    """``ADDRESS:PORT`` of the leader of the host's datacenter; empty while there is none."""
    with agent(access, host) as there:
        return str(there.status.leader() or "")


def peers(access: Access, host: Host) -> tuple[Peer, ...]:
    """The servers that vote in the host's datacenter."""
    with agent(access, host) as there:
        found = there.operator.raft_config()["Servers"]
    return tuple(
        sorted(
            (Peer(s["Node"], s["Address"].rpartition(":")[0], s["Leader"], s["Voter"]) for s in found),
            key=lambda peer: peer.name,
        )
    )


def members(access: Access, host: Host, wan: bool = False) -> tuple[Member, ...]:
    """``consul members``, or with ``wan`` the servers of all datacenters (``consul members -wan``)."""
    with agent(access, host) as there:
        found = there.agent.members(wan=wan)
    known = tuple(sorted((_member(entry) for entry in found), key=lambda member: member.name))
    for version in {member.version for member in known}:
        events.emit(events.SERVICE, name="consul", version=version)
    return known


def datacenters(access: Access, host: Host) -> tuple[str, ...]:
    """Every datacenter the host's agent knows of."""
    with agent(access, host) as there:
        return tuple(sorted(there.catalog.datacenters()))


def catalog(
    access: Access, host: Host, service: str, dc: str | None = None, *, stale: bool = False
) -> tuple[Instance, ...]:
    """Where a service runs, whatever its checks say.

    Args:
        access: the way to the host.
        host: whose agent is asked.
        service: the service's name.
        dc: another datacenter, which is asked across the WAN.
        stale: be content with what any server knows, which needs no leader.
    """

    def look() -> list[dict[str, Any]]:
        with agent(access, host) as there:
            return there.catalog.service(service, dc=dc, consistency="stale" if stale else None)[1]

    found = across(look, host, dc)
    return tuple(
        Instance(
            entry["Node"],
            entry["ServiceAddress"] or entry["Address"],
            entry["Datacenter"],
            entry["ServiceName"],
            entry["ServicePort"],
            tuple(entry["ServiceTags"]),
        )
        for entry in sorted(found, key=lambda entry: str(entry["Node"]))
    )


def health(access: Access, host: Host, service: str, dc: str | None = None) -> tuple[Instance, ...]:
    """As ``catalog``, with what the checks say: ``passing``, ``warning`` or ``critical``."""

    def look() -> list[dict[str, Any]]:
        with agent(access, host) as there:
            return there.health.service(service, dc=dc)[1]

    return _instances(across(look, host, dc))


def instances(access: Access, host: Host) -> tuple[Instance, ...]:
    """As ``health``, of every service in the host's datacenter."""
    with agent(access, host) as there:
        names = sorted(there.catalog.services()[1])
        return tuple(one for name in names for one in _instances(there.health.service(name)[1]))


def ready(access: Access, host: Host) -> bool:
    """Whether the agent serves: a leader is known AND the catalogue has content (an open port means neither).

    A server serves once it votes, too. One that joins later than the first listens for ten seconds before (Consul's
    autopilot, ``server_stabilization_time``).
    """
    with agent(access, host) as there:
        if not there.status.leader():
            return False
        index, _ = there.catalog.nodes()
    voters = {peer.name for peer in peers(access, host) if peer.voter} if host.role == "consul" else {host.name}
    return int(index) >= 2 and host.name in voters


def discovered(access: Access, host: Host) -> tuple[Discovery, ...]:
    """What auto-join got from the cloud's API, from the agent's own log."""
    return parse_discovered(access.run(host, f"grep -F 'Discovered servers' {LOG} || true").stdout)


def resolve(access: Access, host: Host, name: str) -> tuple[str, ...]:
    """IPv4 addresses of a name as the host resolves it: its resolver is dnsmasq, which asks the agent."""
    result = access.run(host, f"getent ahostsv4 {name}", check=False)
    return tuple(sorted({line.split()[0] for line in result.stdout.splitlines() if line.strip()}))


# ---- waiting ---------------------------------------------------------------------------------------------------


def until_ready(access: Access, hosts: Iterable[Host], timeout: float | None = None) -> None:
    """Return once every host's agent is ``ready``.

    Args:
        access: the way to the hosts.
        hosts: which agents.
        timeout: seconds; ``params.timeout`` by default.

    Raises:
        WaitTimeout: naming the first agent that is not.
    """

    def one(host: Host) -> None:
        wait.until(
            lambda: ready(access, host),
            bool,
            what=f"a leader, a catalogue{' and a vote' if host.role == 'consul' else ''} at {host.name}",
            timeout=access.params.timeout if timeout is None else timeout,
            remedy=f"read {LOG} on {host.name}: did auto-join find its servers?",
            tolerate=(AccessError,),
        )

    each(one, hosts)


def until_alive(
    access: Access, host: Host, names: Iterable[str], *, wan: bool = False, timeout: float | None = None
) -> tuple[Member, ...]:
    """Return the pool's members once it has all these names, alive.

    Args:
        access: the way to the host.
        host: whose view of the pool.
        names: members wanted; ``NAME.DATACENTER`` in the WAN pool.
        wan: the WAN pool instead of the datacenter's own.
        timeout: seconds; ``params.timeout`` by default.

    Raises:
        WaitTimeout: with the members last seen.
    """
    wanted = frozenset(names)
    pool = "WAN pool" if wan else "datacenter"
    return wait.until(
        lambda: members(access, host, wan),
        lambda seen: wanted <= {member.name for member in seen if member.status == "alive"},
        what=f"{len(wanted)} members in the {pool} of {host.name}",
        timeout=access.params.timeout if timeout is None else timeout,
        describe=lambda seen: ", ".join(f"{member.name} {member.status}" for member in seen) or "nobody",
        remedy="are Serf's ports (8301 LAN, 8302 WAN, TCP and UDP) open between them?",
        tolerate=(AccessError,),
    )


# ---- changing --------------------------------------------------------------------------------------------------


def join_wan(access: Access, servers: Iterable[Host], others: Iterable[Host]) -> tuple[WanJoin, ...]:
    """Bring servers into one WAN pool with those of another datacenter, now and after every restart.

    A reload does not take ``retry_join_wan`` (it is read at start), so the file is for restarts and the API's
    join for now. Each server is given EVERY other: with a single address Consul leaves the rest to its
    periodic flooding, which may take minutes.

    Args:
        access: the way to the hosts.
        servers: where to write the configuration.
        others: the other datacenter's servers.
    """
    addresses = sorted(host.private_ip for host in others)
    text = json.dumps({"retry_join_wan": addresses}, indent=2) + "\n"

    def one(host: Host) -> WanJoin:
        changed = access.put(host, text, WAN_FILE)
        with agent(access, host) as there:
            alive = {m.address for m in map(_member, there.agent.members(wan=True)) if m.status == "alive"}
            missing = tuple(address for address in addresses if address not in alive)
            for address in missing:
                there.agent.join(address, wan=True)
        return WanJoin(host.name, changed, missing)

    return each(one, servers)


def web_service(name: str = "demo", port: int = 80) -> dict[str, Any]:
    """The article's service definition, with a check: Traefik notices instances by their checks only."""
    return {
        "service": {
            "name": name,
            "port": port,
            "tags": ["traefik.tags=exposed"],
            "check": {"http": f"http://127.0.0.1:{port}/", "interval": "1s", "timeout": "3s"},
        }
    }


def register(access: Access, hosts: Iterable[Host], definition: dict[str, Any] | None = None) -> tuple[bool, ...]:
    """Write the service definition on each host and let its agent reload; what is right already is left alone.

    The token that may register it goes into the file, which only the agent can read.

    Args:
        access: the way to the hosts.
        hosts: where the service runs.
        definition: as in a configuration file; ``web_service()`` by default.

    Returns:
        For each host whether anything was changed.
    """
    wanted = web_service() if definition is None else definition

    def one(host: Host) -> bool:
        held = access.credentials
        own = {"token": held.tokens[host.datacenter]["web"].secret} if held else {}
        text = json.dumps({"service": {**wanted["service"], **own}}, indent=2) + "\n"
        if access.put(host, text, WEB_FILE, mode="0640", owner="root:consul", then=RELOAD):
            return True
        with agent(access, host) as there:
            known = wanted["service"]["name"] in there.agent.services()
        if not known:
            access.run(host, RELOAD)
        return not known

    return each(one, hosts)


def leave(access: Access, host: Host) -> None:
    """Let a host's agent leave its datacenter and end: its services are in the catalogue no more, a server is no peer.

    Raises:
        AccessError: the agent does not answer, or refuses.
    """
    with agent(access, host) as there:
        shown = {"X-Consul-Token": there.token} if there.token else {}
        there.http.put(api.base.CB.bool(), "/v1/agent/leave", headers=shown)


# ---- pure ------------------------------------------------------------------------------------------------------


def parse_discovered(log: str) -> tuple[Discovery, ...]:
    """Every "Discovered servers" line of an agent's log, oldest first.

    Several addresses stand in quotes, a single one does not.
    """
    pattern = r'Discovered servers: .*?cluster=(\w+) .*?servers=(?:"([^"]*)"|(\S*))'
    return tuple(Discovery(pool, tuple((many or one).split())) for pool, many, one in re.findall(pattern, log))


def worst(statuses: Iterable[str]) -> str:
    """The worst state among checks; ``passing`` when there are none, as Consul counts it."""
    order = ("passing", "warning", "critical")
    return max(statuses, key=lambda status: order.index(status) if status in order else len(order), default="passing")


def _member(entry: dict[str, Any]) -> Member:
    tags = entry["Tags"]
    return Member(
        entry["Name"],
        entry["Addr"],
        STATUS[entry["Status"]] if entry["Status"] < len(STATUS) else str(entry["Status"]),
        "server" if tags.get("role") == "consul" else "client",
        tags.get("dc", ""),
        tags.get("build", "").partition(":")[0],
    )


def _instances(found: Iterable[dict[str, Any]]) -> tuple[Instance, ...]:
    return tuple(
        Instance(
            entry["Node"]["Node"],
            entry["Service"]["Address"] or entry["Node"]["Address"],
            entry["Node"]["Datacenter"],
            entry["Service"]["Service"],
            entry["Service"]["Port"],
            tuple(entry["Service"]["Tags"]),
            worst(check["Status"] for check in entry["Checks"]),
        )
        for entry in sorted(found, key=lambda entry: str(entry["Node"]["Node"]))
    )
