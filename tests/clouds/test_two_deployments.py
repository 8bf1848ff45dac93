"""Two deployments in the same accounts, one's name the beginning of the other's."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.clouds import Clouds, connect
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.provision import apply, destroy_all
from runbook_lib.topology import Topology, topology

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
STEPS = ("00_provision", "01_bootstrap")
# The AWS API's lists of things that the runbook makes, and where their items are.
LISTS = (
    ("describe_vpcs", "Vpcs"),
    ("describe_subnets", "Subnets"),
    ("describe_internet_gateways", "InternetGateways"),
    ("describe_vpn_gateways", "VpnGateways"),
    ("describe_customer_gateways", "CustomerGateways"),
    ("describe_vpn_connections", "VpnConnections"),
    ("describe_nat_gateways", "NatGateways"),
    ("describe_addresses", "Addresses"),
    ("describe_route_tables", "RouteTables"),
    ("describe_security_groups", "SecurityGroups"),
    ("describe_key_pairs", "KeyPairs"),
    ("describe_instances", "Reservations"),
    ("describe_volumes", "Volumes"),
)


def raw(clouds: Clouds, deployment: str) -> list[str]:
    """Everything in both clouds that mentions a deployment as the owner, as the APIs give it."""
    aws: Any = clouds.aws
    gcp: Any = clouds.gcp
    items = [str(item) for call, field in LISTS for item in getattr(aws._account.ec2, call)()[field]]
    items += [str(item) for item in aws._account.iam.list_roles()["Roles"]]
    items += [str(item) for item in aws._account.iam.list_instance_profiles()["InstanceProfiles"]]
    place = {"region": gcp.params.gcp_region}
    for client, where in (
        ("NetworksClient", {}),
        ("SubnetworksClient", place),
        ("FirewallsClient", {}),
        ("RoutesClient", {}),
        ("RoutersClient", place),
        ("VpnGatewaysClient", place),
        ("ExternalVpnGatewaysClient", {}),
        ("VpnTunnelsClient", place),
    ):
        items += [str(item) for item in gcp.api.call(client, gcp.api.client(client).list, dict(where))]
    zones = gcp.api.call("instances", gcp.api.client("InstancesClient").aggregated_list, {})
    items += [str(item) for _, zone in zones for item in zone.instances]
    owner = (f"'Value': '{deployment}'", f'"deployment={deployment}"', f"'{deployment}-ec2-describe-instances'")
    gone = ("'State': 'deleted'", "'Name': 'terminated'")  # AWS remembers them for a while
    here = (item for item in items if not any(word in item for word in gone))
    return sorted(item for item in here if any(mark in item for mark in owner))


@pytest.mark.parametrize(("one", "other"), [("demo", "demo-server"), ("demo-gcp", "demo")])
def test_what_one_does_is_nothing_to_the_other(aws_lab: Any, gcp_lab: Any, one: str, other: str) -> None:
    def opened(deployment: str, number: int) -> tuple[Clouds, Topology]:
        params = Params(
            deployment=deployment,
            consul_servers=1,
            aws_zones=("us-west-2a",),
            aws_network=f"172.30.{number}.0/24",
            gcp_public_subnet=f"172.27.{number}.0/26",
            gcp_private_subnet=f"172.27.{number}.128/26",
            aws_endpoint=aws_lab.url,
            aws_credentials=aws_lab.credentials,
            gcp_endpoint=gcp_lab.url,
            gcp_credentials=gcp_lab.credentials,
            timeout=60,
        )
        return connect(params), topology(params, public_key=KEY)

    staying, stays = opened(one, 3)
    going, goes = opened(other, 5)
    for clouds, wanted in ((staying, stays), (going, goes)):
        for step in STEPS:
            apply(plan(wanted, clouds.inventory(), step), clouds)
    before = raw(staying, one)
    assert len(before) > 40
    assert staying.inventory().keys() == {r.key for step in STEPS for r in stays.step(step)}
    assert going.inventory().keys() == {r.key for step in STEPS for r in goes.step(step)}

    destroy_all(goes, going)
    assert raw(going, other) == [], "and nothing is left of it"
    assert raw(staying, one) == before
    assert [plan(stays, staying.inventory(), step).work for step in STEPS] == [(), ()]
