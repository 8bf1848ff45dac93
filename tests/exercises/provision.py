"""Solutions of the exercises of runbook_lib/exercises/provision.py."""

from __future__ import annotations

from collections.abc import Iterable

from runbook_lib import sdk, verify, wait
from runbook_lib.site import Site
from tests.exercises.deeds import google, mended
from tests.exercises.solution import Solution

PORT = 9100


# ---- 00-open-a-port --------------------------------------------------------------------------------------


def open_to_the_other_cloud(site: Site) -> None:
    _open_in_aws(site, [site.params.gcp_public_subnet])
    _open_in_gcp(site, [site.params.aws_network])


def open_to_the_world(site: Site) -> None:
    _open_in_aws(site, ["0.0.0.0/0"])
    _open_in_gcp(site, ["0.0.0.0/0"])


def open_in_aws_alone(site: Site) -> None:
    _open_in_aws(site, [site.params.gcp_public_subnet])


def _open_in_aws(site: Site, ranges: Iterable[str]) -> None:
    group = site.found()[f"aws:security_group:{site.params.deployment}-bastion"].id
    let_in = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "IpRanges": [{"CidrIp": one} for one in ranges]}
    sdk.aws(site.params).authorize_security_group_ingress(GroupId=group, IpPermissions=[let_in])


def _open_in_gcp(site: Site, ranges: Iterable[str]) -> None:
    dep, project = site.params.deployment, site.params.gcp_project
    rule = {
        "name": f"{dep}-exercise",
        "description": f"deployment={dep}",
        "network": f"projects/{project}/global/networks/{dep}-network",
        "allowed": [{"I_p_protocol": "tcp", "ports": [str(PORT)]}],
        "source_ranges": list(ranges),
        "target_tags": ["bastion"],
    }
    google(site, "Firewalls", "insert", firewall_resource=rule)


# ---- 00-drift --------------------------------------------------------------------------------------------


def take_the_role(site: Site) -> None:
    _tag_in_aws(site, "Role", "somebody's")
    _label_in_gcp(site, role="somebodys")


def add_an_owner(site: Site) -> None:
    """Who adds something takes nothing away: it is no business of the plan's."""
    _tag_in_aws(site, "Owner", "somebody")
    _label_in_gcp(site, owner="somebody")


def take_the_role_in_gcp_alone(site: Site) -> None:
    _label_in_gcp(site, role="somebodys")


def put_marks_back(site: Site) -> None:
    mended(site)
    bastion = site.host("bastion-aws")
    sdk.aws(site.params).delete_tags(Resources=[bastion.id], Tags=[{"Key": "Owner"}])
    _label_in_gcp(site, owner=None)


def _tag_in_aws(site: Site, key: str, value: str) -> None:
    sdk.aws(site.params).create_tags(Resources=[site.host("bastion-aws").id], Tags=[{"Key": key, "Value": value}])


def _label_in_gcp(site: Site, **labels: str | None) -> None:
    where = {"zone": site.host("bastion-gcp").zone, "instance": f"{site.params.deployment}-bastion-gcp"}
    now = sdk.gcp(site.params, "Instances").get(project=site.params.gcp_project, **where)
    wanted = {name: value for name, value in {**now.labels, **labels}.items() if value is not None}
    request = {"labels": wanted, "label_fingerprint": now.label_fingerprint}
    google(site, "Instances", "set_labels", **where, instances_set_labels_request_resource=request)


# ---- 00-silent-tunnels -----------------------------------------------------------------------------------


def forget_the_way_back(site: Site) -> None:
    _stop_propagation(site, "public")


def forget_the_way_of_private_hosts(site: Site) -> None:
    _stop_propagation(site, "private")


def stop_bgp(site: Site) -> None:
    """Nothing passes, and nobody wonders why: the tunnels carry no session any more."""
    site.clouds.gcp.destroy(site.found()[f"gcp:router_peering:{site.params.deployment}-vpn"])


def _stop_propagation(site: Site, kind: str) -> None:
    dep, found = site.params.deployment, site.found()
    sdk.aws(site.params).disable_vgw_route_propagation(
        RouteTableId=found[f"aws:route_table:{dep}-{kind}"].id, GatewayId=found[f"aws:vpn_gateway:{dep}-vgw"].id
    )


def bring_the_way_back(site: Site) -> None:
    mended(site)
    wait.until(
        lambda: [*verify.vpn(site), *verify.through_vpn(site)],
        lambda checks: all(check.ok for check in checks),
        what="the VPN to pass packets again",
        timeout=120,
    )


SOLUTIONS: tuple[Solution, ...] = (
    Solution("00-open-a-port", open_to_the_other_cloud, (open_to_the_world, open_in_aws_alone), mended),
    Solution("00-drift", take_the_role, (add_an_owner, take_the_role_in_gcp_alone), put_marks_back),
    Solution("00-silent-tunnels", forget_the_way_back, (forget_the_way_of_private_hosts, stop_bgp), bring_the_way_back),
)
