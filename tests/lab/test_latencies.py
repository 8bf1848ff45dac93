"""The emulated clouds take as long as they are told, each action by itself; what they are not told takes no longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runbook_lib import wait
from runbook_lib.clouds import Clouds, connect
from runbook_lib.errors import WaitTimeout
from runbook_lib.lab.calls import Answer, Call
from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.gce import Gce
from runbook_lib.lab.latencies import TABLE, RoundTrip, scaled
from runbook_lib.params import Params
from runbook_lib.resources import Found, Resource
from runbook_lib.topology import topology
from tests.clouds.conftest import World, served
from tests.crashes.operators import KEY

FOR_EVER, SOON = 3600.0, 0.2
REGION = "us-west-2"


class Slow:
    """Both clouds with durations, a world that runs at once what is asked for, and an operator."""

    def __init__(self, folder: Path, durations: dict[str, float], stack: ExitStack) -> None:
        worlds = World(), World()
        ec2 = Ec2(worlds[0], REGION, settle=0.0, durations=durations)
        gce = Gce(worlds[1], "runbook-lab", operation_seconds=0.0, durations=durations)
        gce.ready()
        (folder / "aws").write_text(ec2.operator_credentials())
        aws = stack.enter_context(served(ec2, worlds[0]))
        gcp = stack.enter_context(served(gce, worlds[1]))
        (folder / "gcp").write_text(json.dumps(gce.operator_credentials(f"{gcp}/token")))
        params = Params(
            aws_endpoint=aws,
            aws_credentials=str(folder / "aws"),
            gcp_endpoint=gcp,
            gcp_credentials=str(folder / "gcp"),
            keys=str(folder / "keys"),
            timeout=1,
        )
        self.clouds: Clouds = connect(params)
        self.wanted = topology(params, public_key=KEY).by_key
        account: Any = self.clouds.aws
        self.ec2 = account._account.ec2
        self.vpc = self.ec2.create_vpc(CidrBlock="172.30.3.0/24")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="172.30.3.0/27")["Subnet"]["SubnetId"]

    def nat(self) -> str:
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        answer = self.ec2.create_nat_gateway(SubnetId=self.subnet, AllocationId=address)
        return str(answer["NatGateway"]["NatGatewayId"])

    def nat_state(self, gateway: str) -> str:
        return str(self.ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"])

    def attached(self) -> str:
        gateway = self.ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
        self.ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=self.vpc)
        return str(gateway)

    def attachment(self, gateway: str) -> str:
        (found,) = self.ec2.describe_vpn_gateways(VpnGatewayIds=[gateway])["VpnGateways"]
        return str(found["VpcAttachments"][0]["State"])

    def instance(self) -> str:
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        wish = {"ImageId": image, "InstanceType": "t3.small", "SubnetId": self.subnet, "MinCount": 1, "MaxCount": 1}
        return str(self.ec2.run_instances(**wish)["Instances"][0]["InstanceId"])

    def instance_state(self, instance: str) -> str:
        (reservation,) = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return str(reservation["Instances"][0]["State"]["Name"])

    def make(self, key: str, **links: str) -> Found:
        resource: Resource = self.wanted[key]
        return self.clouds.gcp.create(resource, {**resource.spec, **links})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def becomes(look: Any, state: str) -> None:
    wait.until(look, lambda seen: bool(seen == state), what=state, timeout=30, interval=0.02)


def test_what_takes_for_ever_stays_on_its_way_and_the_rest_arrives(tmp_path: Path, stack: ExitStack) -> None:
    names = ("ec2:CreateNatGateway", "ec2:AttachVpnGateway", "ec2:RunInstances", "compute.networks.insert")
    slow = Slow(tmp_path, dict.fromkeys(names, FOR_EVER), stack)
    nat, gateway, instance = slow.nat(), slow.attached(), slow.instance()
    assert (slow.nat_state(nat), slow.attachment(gateway)) == ("pending", "attaching")
    table = slow.ec2.create_route_table(VpcId=slow.vpc)["RouteTable"]["RouteTableId"]
    with pytest.raises(ClientError, match=r"Gateway\.NotAttached"):
        slow.ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    with pytest.raises(WaitTimeout) as raised:
        slow.make("gcp:network:demo-network")
    assert "insert of gcp network demo-network" in raised.value.resource
    # The world has said long since that it runs.
    assert slow.instance_state(instance) == "pending"
    slow.ec2.delete_nat_gateway(NatGatewayId=nat)
    assert slow.nat_state(nat) == "deleted"


def test_all_arrives_in_its_time_and_goes_in_its_time(tmp_path: Path, stack: ExitStack) -> None:
    slow = Slow(tmp_path, dict.fromkeys(TABLE, SOON), stack)
    nat, gateway, instance = slow.nat(), slow.attached(), slow.instance()
    becomes(lambda: slow.nat_state(nat), "available")
    becomes(lambda: slow.attachment(gateway), "attached")
    becomes(lambda: slow.instance_state(instance), "running")
    slow.ec2.terminate_instances(InstanceIds=[instance])
    slow.ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=slow.vpc)
    becomes(lambda: slow.instance_state(instance), "terminated")
    becomes(lambda: slow.attachment(gateway), "detached")
    network = slow.make("gcp:network:demo-network").attributes["self_link"]
    assert slow.make("gcp:subnetwork:demo-public", network=network).attributes["name"] == "demo-public"


def test_the_table_is_scaled_and_says_where_it_is_from() -> None:
    assert scaled(0.5)["ec2:CreateNatGateway"] == TABLE["ec2:CreateNatGateway"].seconds / 2
    assert all(latency.seconds > 0 and latency.source for latency in TABLE.values())


def test_a_round_trip_hands_the_call_on() -> None:
    answer = Answer("200 OK", (), b"")
    assert RoundTrip(0.01)(Call("aws", "ec2:DescribeVpcs", writes=False), lambda: answer) is answer
