"""What lost its tags: recognised, put right, never made twice, and torn down; and what is somebody else's is not."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.clouds import Clouds, connect
from runbook_lib.params import Params
from runbook_lib.plan import Plan, kind_of, plan
from runbook_lib.provision import absent, apply, destroy_all
from runbook_lib.resources import Found
from runbook_lib.topology import Topology, topology

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
STEPS = ("00_provision", "01_bootstrap")


class Both:
    """A deployment in both emulated clouds."""

    def __init__(self, params: Params) -> None:
        self.clouds: Clouds = connect(params)
        self.wanted: Topology = topology(params, public_key=KEY)
        self.aws: Any = self.clouds.aws
        self.gcp: Any = self.clouds.gcp

    def plan(self, step: str) -> Plan:
        return plan(self.wanted, self.clouds.inventory(), step)

    def make(self) -> dict[str, Found]:
        for step in STEPS:
            apply(self.plan(step), self.clouds)
        return self.clouds.inventory()

    def work(self) -> dict[str, tuple[str, str]]:
        """What is to be done by all steps, and why."""
        return {action.key: (action.verb, action.reason) for step in STEPS for action in self.plan(step).work}

    def strip(self, found: Found, *names: str) -> None:
        """Take tags away, as somebody would by hand."""
        account, kind = self.aws._account, kind_of(found.key)
        if kind == "aws:iam_role":
            account.iam.untag_role(RoleName=found.id, TagKeys=list(names))
        elif kind == "aws:instance_profile":
            account.iam.untag_instance_profile(InstanceProfileName=found.id, TagKeys=list(names))
        else:
            account.ec2.delete_tags(Resources=[found.id], Tags=[{"Key": name} for name in names])


@pytest.fixture
def both(aws_lab: Any, gcp_lab: Any) -> Both:
    return Both(
        Params(
            deployment="blue",
            consul_servers=1,
            aws_zones=("us-west-2a",),
            aws_endpoint=aws_lab.url,
            aws_credentials=aws_lab.credentials,
            gcp_endpoint=gcp_lab.url,
            gcp_credentials=gcp_lab.credentials,
            timeout=30,
        )
    )


def tagged(found: dict[str, Found]) -> list[Found]:
    """What of AWS has tags of its own."""
    return [thing for key, thing in found.items() if key.startswith("aws:") and ":security_group_rules:" not in key]


def test_each_thing_that_lost_its_tags_is_known_and_put_right(both: Both) -> None:
    before = both.make()
    for thing in tagged(before):
        both.strip(thing, "Name", "Deployment")
        seen = {**before, **both.aws.inventory()}
        assert {key: found.id for key, found in seen.items()} == {key: found.id for key, found in before.items()}
        plans = [plan(both.wanted, seen, step) for step in STEPS]
        assert [(a.key, a.verb, a.reason) for p in plans for a in p.work] == [(thing.key, "change", "lost its tags")]
        for made in plans:
            apply(made, both.clouds)
    assert both.clouds.inventory() == before


def test_whatever_all_lost_nothing_is_made_twice_and_all_is_torn_down(both: Both) -> None:
    before = both.make()
    for thing in tagged(before):
        both.strip(thing, "Name", "ScriptDigest")
    work = both.work()
    assert {verb for verb, _ in work.values()} == {"change"}
    assert "aws:instance:blue-bastion-aws" in work
    both.make()
    assert both.clouds.inventory() == before

    for thing in tagged(before):
        both.strip(thing, "Deployment")
    assert set(destroy_all(both.wanted, both.clouds)) == before.keys()
    assert absent(both.clouds) == ()
    assert [vpc for vpc in both.aws._account.ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []


def test_an_instance_that_lost_all_its_tags_is_the_same_one_again(both: Both) -> None:
    key = "aws:instance:blue-server-aws-consul-1"
    before = both.make()[key]
    both.strip(before, "Name", "Deployment", "ScriptDigest", "Role", "Consul")
    assert both.work() == {
        key: ("change", "tags.Role is unset, not consul; tags.Consul is unset, not server; lost its tags")
    }
    assert both.make()[key] == before


def test_what_says_whose_they_are_is_put_back_in_gcp(both: Both) -> None:
    before = both.make()
    api, kinds = both.gcp.api, {"firewall": "blue-rpc", "router": "blue-vpn"}
    for kind, name in kinds.items():
        place = {} if kind == "firewall" else {"region": both.wanted.params.gcp_region}
        request = {**place, kind: name, f"{kind}_resource": {"description": "mine"}}
        api.change(f"gcp {kind} {name}", api.client(f"{kind.title()}sClient").patch_unary, request)
    bastion = before["gcp:instance:blue-bastion-gcp"]
    where = {"zone": bastion.attributes["zone"], "instance": bastion.attributes["name"]}
    now = api.call("gcp instance", api.client("InstancesClient").get, where)
    bare = {**where, "instances_set_labels_request_resource": {"label_fingerprint": now.label_fingerprint}}
    api.change("gcp instance", api.client("InstancesClient").set_labels_unary, bare)
    assert both.clouds.inventory().keys() == before.keys()
    differs = ("change", "description is mine, not deployment=blue")
    assert both.work() == {
        "gcp:firewall:blue-rpc": differs,
        "gcp:router:blue-vpn": differs,
        bastion.key: ("change", "labels.deployment is unset, not blue; labels.role is unset, not bastion"),
    }
    both.make()
    assert both.work() == {}


def test_what_is_not_ours_is_left_alone(both: Both) -> None:
    before = both.make()
    ec2, iam = both.aws._account.ec2, both.aws._account.iam
    vpc = before["aws:vpc:blue-vpc"].id

    def tags(kind: str, **values: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in values.items()]}]

    others = [
        ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tags("vpc", Name="blue-vpc"))["Vpc"]["VpcId"],
        ec2.create_vpc(CidrBlock=both.wanted.params.aws_network)["Vpc"]["VpcId"],
        ec2.create_security_group(GroupName="by-hand", Description="mine", VpcId=vpc)["GroupId"],
        ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"],
        ec2.allocate_address(Domain="vpc")["AllocationId"],
        ec2.allocate_address(Domain="vpc", TagSpecifications=tags("elastic-ip", Name="blue-nat", Deployment="blue-x"))[
            "AllocationId"
        ],
        ec2.allocate_address(Domain="vpc", TagSpecifications=tags("elastic-ip", Name="blue-nat"))["AllocationId"],
        ec2.import_key_pair(KeyName="blue-operator2", PublicKeyMaterial=KEY.encode())["KeyPairId"],
    ]
    iam.create_role(RoleName="blue-x-ec2-describe-instances", AssumeRolePolicyDocument="{}")
    seen = both.clouds.inventory()
    assert seen.keys() == before.keys()
    assert not {found.id for found in seen.values()} & set(others)
    assert both.work() == {}


def test_a_name_alone_makes_nothing_ours_where_no_deployment_is(both: Both) -> None:
    ec2, iam = both.aws._account.ec2, both.aws._account.iam

    def named(kind: str, name: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]

    ec2.allocate_address(Domain="vpc", TagSpecifications=named("elastic-ip", "blue-nat"))
    ec2.create_internet_gateway(TagSpecifications=named("internet-gateway", "blue-igw"))
    ec2.create_vpn_gateway(Type="ipsec.1", TagSpecifications=named("vpn-gateway", "blue-vgw"))
    ec2.import_key_pair(KeyName="blue-operator", PublicKeyMaterial=KEY.encode())
    iam.create_role(RoleName="blue-ec2-describe-instances", AssumeRolePolicyDocument="{}")
    assert both.clouds.inventory() == {}


def test_a_connection_that_is_on_no_virtual_private_gateway_is_not_ours(both: Both) -> None:
    other = {"VpnConnectionId": "vpn-1", "TransitGatewayId": "tgw-1", "State": "available", "Tags": []}
    assert both.aws._kinds["vpn_connection"].claimed([other], "VpnConnectionId", frozenset({"vpc-1"})) == []
