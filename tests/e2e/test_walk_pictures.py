"""The pictures of the walked deployment, and that they change with it: what is drawn is what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import runbook_lib as rb
from runbook_lib import consul, wait
from runbook_lib.clouds.gcp.api import Api
from runbook_lib.consul_agent import agent
from runbook_lib.errors import AccessError
from runbook_lib.params import Params
from runbook_lib.pictures.picture import Picture
from runbook_lib.resources import Host
from runbook_lib.site import Site, open_site
from tests.e2e.operators import DEPLOYMENT, PROJECT, Operator
from tests.e2e.records import Run
from tests.pictures.seen import nothing_is_cut, words


@pytest.fixture(scope="module")
def site(operator: Operator, walk: Run) -> Iterator[Site]:
    opened = open_site(Params.load(operator.params))
    yield opened
    opened.close()


def test_the_architecture_and_the_network_show_every_host_with_its_addresses(site: Site) -> None:
    for picture in (rb.architecture(site, new="04_test"), rb.network(site)):
        shown = " ".join(words(picture)).split()
        nothing_is_cut(picture)
        for host in site.hosts():
            assert {address for address in (host.private_ip, host.public_ip) if address} <= {*shown}
            assert f"{host.name} {host.private_ip}" in picture.alt


def test_all_is_well_in_all_of_them(site: Site) -> None:
    architecture, pools = wait.until(  # on a busy machine one may be too slow to answer once
        lambda: (rb.architecture(site), rb.pools(site)),
        lambda both: [_marked(picture) for picture in both] == [0, 0],
        what="nothing to be marked in either picture",
        timeout=site.params.timeout,
        describe=lambda both: [picture.headline for picture in both],
    )
    assert "none of them marked as failing" in architecture.headline
    assert "VPN: 4 of 4 tunnels up. WAN pool: joined" in architecture.alt
    assert words(architecture).count("✓ demo: passing") == words(architecture).count("demo → 2 servers") == 4
    assert pools.headline == "Consul's pools now: 14 of 14 members alive."
    assert words(pools).count("★") == 4, "two leaders, each in two pools"


def test_a_server_whose_agent_stops_is_marked_until_it_is_started_again(site: Site) -> None:
    followers = [host for host in site.hosts("consul", "gcp") if not _leads(site, host)]
    server = followers[0]
    site.access.run(server, "systemctl stop consul")
    try:
        # On a busy machine another may be too slow to answer once.
        wait.until(
            lambda: (rb.architecture(site), rb.pools(site)),
            lambda both: all(_marked(picture) == 1 and server.name in picture.headline for picture in both),
            what=f"{server.name} alone to be marked in both pictures",
            timeout=site.params.timeout,
        )
        failed = wait.until(
            lambda: rb.pools(site),
            lambda picture: "✗ failed" in words(picture) or "✗ left" in words(picture),
            what=f"{server.name} to be missed by the others",
            timeout=site.params.timeout,
        )
        assert f"✗ {server.name} {server.private_ip}" in failed.words
    finally:
        site.access.run(server, "systemctl start consul")
        consul.until_ready(site.access, site.hosts("consul", "gcp"))
    wait.until(
        lambda: (rb.architecture(site), rb.pools(site)),
        lambda both: [_marked(picture) for picture in both] == [0, 0],
        what=f"{server.name} to be whole in every picture",
        timeout=site.params.timeout,
        describe=lambda both: [picture.headline for picture in both],
        tolerate=(AccessError,),
    )


def test_a_rule_opened_by_hand_appears_and_goes_with_it(site: Site) -> None:
    ec2 = rb.sdk.aws(site.params)
    group = site.found()[f"aws:security_group:{DEPLOYMENT}-web"].id
    rule = {"IpProtocol": "tcp", "FromPort": 9100, "ToPort": 9100, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    opening = "web: 9100 tcp from 198.51.100.0/24"
    assert opening not in rb.network(site).alt
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    try:
        picture = rb.network(site)
        assert opening in picture.alt
        assert "9100 tcp" in words(picture)
    finally:
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert opening not in rb.network(site).alt


def test_a_rule_that_is_not_the_runbooks_appears_and_goes_with_it(site: Site) -> None:
    api = Api(site.params)  # which waits for an operation where the parameters say that the API is
    firewalls = api.client("FirewallsClient")
    network = site.found()[f"gcp:network:{DEPLOYMENT}-network"].attributes["self_link"]
    rule = {
        "name": "opened-by-hand",
        "network": network,
        "allowed": [{"I_p_protocol": "tcp", "ports": ["8500"]}],
        "source_ranges": ["0.0.0.0/0"],
        "target_tags": ["consul-servers"],
    }
    opening = "consul-servers: 8500 tcp from anywhere (rule opened-by-hand)"
    api.change("a rule by hand", firewalls.insert, {"project": PROJECT, "firewall_resource": rule})
    try:
        assert opening in rb.network(site).alt
    finally:
        api.change("a rule by hand", firewalls.delete, {"project": PROJECT, "firewall": "opened-by-hand"})
    assert "opened-by-hand" not in rb.network(site).alt


def test_the_timeline_is_the_walks(operator: Operator, walk: Run, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_OUTPUT", str(operator.folder / "outputs"))
    picture = rb.timeline(site)
    nothing_is_cut(picture)
    for step in ("00_provision", "01_bootstrap", "02_federate", "03_traefik", "04_test"):
        assert step in words(picture)
        assert f"{step}: succeeded" in picture.alt


def _leads(site: Site, host: Host) -> bool:
    with agent(site.access, host) as there:
        return str(there.status.leader()).startswith(f"{host.private_ip}:")


def _marked(picture: Picture) -> int:
    """How many hosts a picture marks, one of several names in the WAN pool being the same."""
    told = picture.headline.partition("not ")[2].partition(": ")[2].rstrip(".")
    return len({name.partition(".")[0].strip() for name in told.split(",") if name.strip()})
