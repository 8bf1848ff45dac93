"""Solutions of the exercises of runbook_lib/exercises/federate.py."""

from __future__ import annotations

import json
from functools import partial

from runbook_lib import consul, sdk, wait
from runbook_lib.resources import CLOUDS, CloudName
from runbook_lib.site import Site
from tests.exercises.deeds import ask, google, management, mended, server
from tests.exercises.solution import Solution

CLOCK = "clock"


# ---- 02-failover -----------------------------------------------------------------------------------------


def fall_back_to_aws(site: Site) -> None:
    _run_clock(site, "aws")
    _query(site, fallback=[site.params.aws_region])


def query_without_fallback(site: Site) -> None:
    _run_clock(site, "aws")
    _query(site, fallback=[])


def run_it_in_gcp(site: Site) -> None:
    _run_clock(site, "gcp")
    _query(site, fallback=[site.params.aws_region])


def stop_the_clocks(site: Site) -> None:
    gcp = server(site, "gcp")
    for query in json.loads(ask(site, gcp, "GET", "/v1/query")):
        if query["Name"] == CLOCK:
            ask(site, gcp, "DELETE", f"/v1/query/{query['ID']}")
    for cloud in CLOUDS:
        management(site, server(site, cloud), f"consul services deregister -id={CLOCK} || true")


def _run_clock(site: Site, cloud: CloudName) -> None:
    host = server(site, cloud)
    management(site, host, f"consul services register -name={CLOCK} -port=123")
    wait.until(lambda: consul.health(site.access, host, CLOCK), bool, what="the clock", timeout=60)


def _query(site: Site, fallback: list[str]) -> None:
    query = {"Name": CLOCK, "Service": {"Service": CLOCK, "Failover": {"Datacenters": fallback}}}
    ask(site, server(site, "gcp"), "POST", "/v1/query", json.dumps(query))


# ---- 02-bastion-names ------------------------------------------------------------------------------------


def name_each_at_home(site: Site) -> None:
    for cloud in CLOUDS:
        _name(site, cloud, cloud, site.host(f"bastion-{cloud}").private_ip)


def name_both_in_gcp(site: Site) -> None:
    for cloud in CLOUDS:
        _name(site, cloud, "gcp", site.host(f"bastion-{cloud}").private_ip)


def name_them_by_public_addresses(site: Site) -> None:
    for cloud in CLOUDS:
        _name(site, cloud, cloud, str(site.host(f"bastion-{cloud}").public_ip))


def forget_the_bastions(site: Site) -> None:
    for where in CLOUDS:
        for cloud in CLOUDS:
            node = json.dumps({"Node": f"bastion-{cloud}"})
            ask(site, server(site, where), "PUT", "/v1/catalog/deregister", node)


def _name(site: Site, cloud: CloudName, where: CloudName, address: str) -> None:
    node = json.dumps({"Node": f"bastion-{cloud}", "Address": address})
    ask(site, server(site, where), "PUT", "/v1/catalog/register", node)


# ---- 02-one-way ------------------------------------------------------------------------------------------


def close_gcp_to_new_questions(site: Site) -> None:
    close_gcp(site)
    _restarted(site, "aws")


def close_gcp(site: Site) -> None:
    """Without a restart: the connections that are open stay so."""
    google(site, "Firewalls", "delete", firewall=f"{site.params.deployment}-rpc-wan")


def close_both_clouds(site: Site) -> None:
    close_gcp(site)
    group = site.found()[f"aws:security_group:{site.params.deployment}-consul-servers"].id
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 8300,
        "ToPort": 8300,
        "IpRanges": [{"CidrIp": site.params.gcp_private_subnet}],
    }
    sdk.aws(site.params).revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    for cloud in CLOUDS:
        _restarted(site, cloud)


def open_again(site: Site) -> None:
    mended(site)
    hosts = {cloud: server(site, cloud) for cloud in CLOUDS}
    for here, there in ((hosts["aws"], hosts["gcp"]), (hosts["gcp"], hosts["aws"])):
        name = f"{there.name}.node.{there.datacenter}.consul"
        wait.until(
            partial(consul.resolve, site.access, here, name), bool, what=f"{here.name} to hear of {name}", timeout=120
        )


def _restarted(site: Site, cloud: CloudName) -> None:
    host = server(site, cloud)
    site.access.run(host, "systemctl restart consul")
    consul.until_ready(site.access, [host], 120)
    names = [f"{one.name}.{one.datacenter}" for one in site.hosts("consul")]
    consul.until_alive(site.access, host, names, wan=True, timeout=120)


SOLUTIONS: tuple[Solution, ...] = (
    Solution("02-failover", fall_back_to_aws, (query_without_fallback, run_it_in_gcp), stop_the_clocks),
    Solution(
        "02-bastion-names",
        name_each_at_home,
        (name_both_in_gcp, name_them_by_public_addresses),
        forget_the_bastions,
    ),
    Solution("02-one-way", close_gcp_to_new_questions, (close_gcp, close_both_clouds), open_again),
)
