"""What the level of security promises, looked at on the hosts: as checks to ``require``.

Both levels have their expectations, so that the article's set-up shows what it leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import consul_agent, delivery, traefik
from .checks import Check, equal
from .credentials import Credentials
from .params import Params
from .resources import Host
from .site import Site
from .verify import of_each

# Who may listen where a host's own programs ask its agent.
_LISTENING = "ss -Hltn 'sport = :8500' | awk '{print $4}'"
_ANONYMOUS = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8500/v1/agent/self"


def agents(site: Site, hosts: Iterable[Host]) -> Iterator[Check]:
    """Consul's agents: what is encrypted, who must show what, and what a stranger on the host is told."""

    def one(host: Host) -> list[Check]:
        params, run = site.params, site.access.run
        with consul_agent.agent(site.access, host) as there:
            own = there.agent.self()
        config, pools = own["DebugConfig"], ["serf_lan", *(["serf_wan"] if host.role == "consul" else [])]
        tls = [config[name] for name in ("VerifyIncomingRPC", "VerifyOutgoing", "VerifyServerHostname")]
        checks = [
            equal(f"{host.name}: gossip encrypted", *_both(params, {"true"}, {"false"}, _encrypted(own, pools))),
            equal(f"{host.name}: TLS: incoming, outgoing, server's name", *_both(params, [True] * 3, [False] * 3, tls)),
            equal(f"{host.name}: without a token", *_both(params, "403", "200", run(host, _ANONYMOUS).stdout)),
            equal(
                f"{host.name}: its API listens at",
                *_both(params, {"127.0.0.1:8500"}, {"*:8500"}, set(run(host, _LISTENING).stdout.split())),
            ),
        ]
        held = site.access.credentials
        return [*checks, *(_owners(site, held, host) if held else ())]

    return of_each(one, hosts)


def dashboards(site: Site) -> Iterator[Check]:
    """Traefik's dashboards by way of the bastion: with and without the password."""

    def one(host: Host) -> list[Check]:
        stranger = traefik.dashboard_status(site.access, host, password=False)
        known = traefik.dashboard_status(site.access, host)
        return [
            equal(f"{host.name}: dashboard without a password", *_both(site.params, 401, 200, stranger)),
            equal(f"{host.name}: dashboard with it", 200, known),
        ]

    return of_each(one, site.hosts("traefik"))


def _both(params: Params, hardened: object, article: object, seen: object) -> tuple[object, object]:
    """What is expected at this level, and what is seen."""
    return (hardened if params.security == "hardened" else article), seen


def _encrypted(own: dict[str, dict[str, dict[str, str]]], pools: Iterable[str]) -> set[str]:
    return {own["Stats"][pool]["encrypted"] for pool in pools}


def _owners(site: Site, held: Credentials, host: Host) -> Iterator[Check]:
    """Files with secrets: whose they are, and who may read them."""
    wanted = {file.path: f"{file.owner} {int(file.mode, 8):o}" for file in delivery.files(held, host)}
    wanted[delivery.AGENT] = "root:consul 640"
    said = site.access.run(host, f"stat -c '%n %U:%G %a' {' '.join(wanted)}").stdout
    seen = dict(line.split(" ", 1) for line in said.splitlines())
    yield equal(f"{host.name}: who may read its secrets", wanted, seen)
