"""Solutions of the exercises of runbook_lib/exercises/bootstrap.py."""

from __future__ import annotations

from runbook_lib import consul, sdk, wait
from runbook_lib.errors import AccessError
from runbook_lib.resources import Host
from runbook_lib.site import Site
from runbook_lib.topology.names import role_name
from tests.exercises.deeds import mended, server
from tests.exercises.solution import Solution

DNSMASQ = "/etc/dnsmasq.conf"
OURS = "server=/consul/127.0.0.1#8600"


# ---- 01-no-discovery -------------------------------------------------------------------------------------


def refuse_and_restart(site: Site) -> None:
    refuse(site)
    _restarted(site, server(site, "aws", 3))
    _wait_for_log(site, server(site, "aws", 3), "DescribeInstancesInput failed")


def refuse(site: Site) -> None:
    """The agents that run have found each other long ago."""
    iam, role = sdk.aws(site.params, "iam"), role_name(site.params.deployment)
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)


def look_for_somebody_else(site: Site) -> None:
    """The agent finds nobody, as it looks for a tag that no instance has; AWS would have named them."""
    host = server(site, "aws", 3)
    site.access.run(host, "sed -i 's/tag_value=server/tag_value=nobody/' /etc/consul/consul.json")
    _restarted(site, host)


def allow_again(site: Site) -> None:
    mended(site)
    host = server(site, "aws", 3)
    site.access.run(host, "sed -i 's/tag_value=nobody/tag_value=server/' /etc/consul/consul.json")
    _restarted(site, host)
    _wait_for_log(site, host, "Discovered servers: cluster=LAN")


def _restarted(site: Site, host: Host) -> None:
    site.access.run(host, "systemctl restart consul")
    consul.until_ready(site.access, [host], 120)


def _wait_for_log(site: Site, host: Host, words: str) -> None:
    """Return once the agent has said so since its start."""
    since = "tac /var/log/consul/consul.log | sed '/^==> Starting/q'"
    wait.until(
        lambda: site.access.run(host, f"{since} | grep -F '{words}'", check=False).stdout,
        bool,
        what=f"{host.name} to say: {words}",
        timeout=120,
    )


# ---- 01-election -----------------------------------------------------------------------------------------


def kill_the_leader(site: Site) -> None:
    """It is frozen before, until another one leads: it might win again. The service manager gives it its next life."""
    leader, others = _leader_and_others(site)
    site.access.run(leader, "kill -STOP $(ps -C consul -o pid=)")
    wait.until(
        lambda: consul.leader(site.access, others[0]).rpartition(":")[0],
        lambda address: address not in ("", leader.private_ip),
        what="another leader",
        timeout=120,
        tolerate=(AccessError,),
    )
    site.access.run(leader, "kill -KILL $(ps -C consul -o pid=)")
    consul.until_ready(site.access, [leader, *others], 120)


def restart_the_leader(site: Site) -> None:
    leader, others = _leader_and_others(site)
    site.access.run(leader, "systemctl restart consul")
    consul.until_ready(site.access, [leader, *others], 120)


def kill_a_follower(site: Site) -> None:
    _, others = _leader_and_others(site)
    site.access.run(others[0], "kill -KILL $(ps -C consul -o pid=)")
    wait.until(
        lambda: site.access.run(others[0], "ps -C consul -o pid=", check=False).stdout,
        bool,
        what="the killed server's next life",
        timeout=60,
    )
    consul.until_ready(site.access, others, 120)


def restart_the_followers(site: Site) -> None:
    """A life that ended in order follows the one that broke off."""
    for host in _leader_and_others(site)[1]:
        _restarted(site, host)


def _leader_and_others(site: Site) -> tuple[Host, list[Host]]:
    servers = site.hosts("consul", "aws")
    consul.until_ready(site.access, servers, 120)
    address = consul.leader(site.access, servers[0]).rpartition(":")[0]
    [leader] = [host for host in servers if host.private_ip == address]
    return leader, [host for host in servers if host != leader]


# ---- 01-names --------------------------------------------------------------------------------------------


def forget_consul(site: Site) -> None:
    site.access.run(server(site, "gcp"), f"sed -i '/^server=.consul/d' {DNSMASQ} && systemctl restart dnsmasq")


def stop_the_forwarder(site: Site) -> None:
    site.access.run(server(site, "gcp"), "systemctl stop dnsmasq")


def stop_the_agent(site: Site) -> None:
    site.access.run(server(site, "gcp"), "systemctl stop consul")


def resolve_again(site: Site) -> None:
    host = server(site, "gcp")
    again = f"grep -qxF '{OURS}' {DNSMASQ} || echo '{OURS}' >>{DNSMASQ}"
    site.access.run(host, f"{again}; systemctl restart dnsmasq; systemctl start consul")
    consul.until_ready(site.access, site.hosts("consul", "gcp"), 120)
    wait.until(
        lambda: consul.resolve(site.access, host, "consul.service.consul"),
        lambda addresses: len(addresses) == site.params.consul_servers,
        what="names of Consul's again",
        timeout=60,
    )


SOLUTIONS: tuple[Solution, ...] = (
    Solution("01-no-discovery", refuse_and_restart, (refuse, look_for_somebody_else), allow_again),
    Solution("01-election", kill_the_leader, (restart_the_leader, kill_a_follower), restart_the_followers),
    Solution("01-names", forget_consul, (stop_the_forwarder, stop_the_agent), resolve_again),
)
