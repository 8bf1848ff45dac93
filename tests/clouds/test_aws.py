"""AWS: the pure parts by tables, the verbs against the lab's EC2 and IAM over a real socket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.clouds import Patience, aws
from runbook_lib.clouds.aws.access import entries_of, permission_of
from runbook_lib.clouds.aws.vpn import tunnels_of
from runbook_lib.errors import CloudError, LockError, ParameterError, PrerequisiteError
from runbook_lib.lab.counts import Counts
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.resources import Found, Resource, resolve
from runbook_lib.topology import Topology, topology
from tests.conftest import Recorder

DEBIAN = "/aws/service/debian/release/12/latest/amd64"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
# What AWS's resources refer to in GCP.
GCP_END = Found("gcp:vpn_gateway:blue-vpn", "1", {"address_0": "203.0.113.5", "address_1": "203.0.113.6"})


class Lab:
    """A cloud of its own, with what was built in it."""

    def __init__(self, params: Params, counts: Counts) -> None:
        self.params = params
        self.counts = counts
        self.cloud = aws.connect(params, Patience(creation=5, lists=1))
        self.wanted: Topology = topology(
            params, public_key=KEY, script=lambda _params, _cloud, role, name: f"#!/bin/sh\n# {role} {name}\n"
        )
        self.found: dict[str, Found] = {GCP_END.key: GCP_END}

    def build(self, *keys: str) -> None:
        """Make resources and what they need, or all of them."""
        wanted = [r for r in plan(self.wanted, {}, "00_provision").actions if r.key.startswith("aws:")]
        resources = [a.resource for a in wanted if a.resource] + [
            r for r in self.wanted.resources if r.cloud == "aws" and r.step != "00_provision"
        ]
        for resource in resources:
            if resource.key in (self._with_needs(keys) if keys else {resource.key}):
                made = self.cloud.create(resource, resolve(resource.spec, self.found))
                self.found[resource.key] = self.cloud.wait(made)

    def _with_needs(self, keys: tuple[str, ...]) -> set[str]:
        needed, todo = set(), list(keys)
        while todo:
            key = todo.pop()
            if key in self.wanted.by_key and key not in needed:
                needed.add(key)
                todo += self.wanted.by_key[key].needs()
        return needed

    def update(self, key: str) -> None:
        """Bring one resource in line with what is wanted, as the plan says."""
        found = self.cloud.inventory() | {GCP_END.key: GCP_END}
        resource = self.wanted.by_key[key]
        spec = resolve(resource.spec, found)
        (action,) = (a for a in plan(self.wanted, found, resource.step).work if a.key == key)
        assert action.verb == "change"
        self.cloud.update(resource, found[key], spec, action.changes)

    def drift(self) -> dict[str, str]:
        """What the plan would do to what exists in AWS."""
        found = self.cloud.inventory() | {GCP_END.key: GCP_END}
        return {
            action.key: action.verb
            for action in plan(self.wanted, found, "00_provision").work
            if action.key in found and action.key != GCP_END.key
        }

    def ec2(self) -> Any:
        return self.cloud._account.ec2


@pytest.fixture
def lab(aws_lab: Any) -> Lab:
    return Lab(
        Params(deployment="blue", aws_endpoint=aws_lab.url, aws_credentials=aws_lab.credentials, timeout=20),
        aws_lab.counts,
    )


def named(lab: Lab, kind: str, name: str) -> Resource:
    return lab.wanted.by_key[f"aws:{kind}:blue-{name}"]


# ---- all of it -------------------------------------------------------------------------------------------------


def test_all_that_is_wanted_is_made_found_as_wanted_and_unmade(lab: Lab) -> None:
    lab.cloud.check()
    lab.build()
    found = lab.cloud.inventory()
    assert found.keys() == {r.key for r in lab.wanted.resources if r.cloud == "aws"}
    assert lab.drift() == {}

    count = lab.counts.total()
    for action in plan(lab.wanted, found, "05_teardown").actions:
        assert action.found
        lab.cloud.destroy(action.found)
    assert lab.cloud.inventory() == {}
    assert lab.counts.total() > count
    # Whoever comes twice finds nothing to do, and no error.
    for action in plan(lab.wanted, found, "05_teardown").actions:
        assert action.found
        lab.cloud.destroy(action.found)


def test_an_instance_is_as_the_article_has_it(lab: Lab) -> None:
    lab.build("aws:instance:blue-server-aws-consul-1")
    (found,) = lab.cloud.instances().values()
    assert found.attributes["state"] == "running"
    assert found.attributes["role"] == "consul"
    assert found.attributes["public_ip"] is None
    assert lab.cloud.console_output(found.id) == f"console of {found.id}\n"
    seen = lab.ec2().describe_instances(InstanceIds=[found.id])["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in seen["Tags"]}
    assert tags["Consul"] == "server"
    assert tags["Name"] == "blue-server-aws-consul-1"
    assert seen["MetadataOptions"]["HttpTokens"] == "required"
    assert seen["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert seen["IamInstanceProfile"]["Arn"].endswith("/blue-ec2-describe-instances")


def test_asking_twice_for_an_instance_makes_one_and_after_its_end_another(lab: Lab) -> None:
    lab.build("aws:instance:blue-bastion-aws")
    resource = named(lab, "instance", "bastion-aws")
    spec = resolve(resource.spec, lab.found)
    again = lab.cloud.create(resource, spec)
    assert again.id == lab.found[resource.key].id
    lab.cloud.destroy(again)
    anew = lab.cloud.wait(lab.cloud.create(resource, spec))
    assert anew.id != again.id
    assert [found.id for found in lab.cloud.instances().values()] == [anew.id]


def test_the_vpn_gives_gcp_its_addresses_and_keys_and_shows_no_key(lab: Lab, recorder: Recorder) -> None:
    lab.build("aws:vpn_connection:blue-gcp-a", "aws:vpn_connection:blue-gcp-b")
    ends = [lab.cloud.inventory()[f"aws:vpn_connection:blue-gcp-{letter}"] for letter in "ab"]
    addresses = {end.attributes[f"address_{n}"] for end in ends for n in (1, 2)}
    keys = {str.__str__(end.attributes[f"key_{n}"]) for end in ends for n in (1, 2)}
    assert len(addresses) == 4
    assert len(keys) == 4
    assert all(len(key) >= 8 and key not in repr(ends) for key in keys)
    told = [event for event in recorder.take() if event["kind"] == "secret"]
    assert {event["value"] for event in told if event["name"].startswith("vpn-key.")} == keys


def test_the_recorder_is_told_of_the_credentials_secret_half(lab: Lab, recorder: Recorder) -> None:
    aws.connect(lab.params)
    (told,) = recorder.take()
    assert told["name"] == "aws_secret_access_key"
    assert told["value"] in Path(lab.params.aws_credentials).read_text()


# ---- what was changed by hand ----------------------------------------------------------------------------------


def test_rules_opened_and_closed_by_hand_are_put_right(lab: Lab) -> None:
    key = "aws:security_group_rules:blue-web"
    lab.build(key, "aws:security_group_rules:blue-bastion")
    group = lab.found[key].id
    opened = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    lab.ec2().authorize_security_group_ingress(GroupId=group, IpPermissions=[opened])
    assert lab.drift() == {key: "change"}
    lab.update(key)
    assert lab.drift() == {}
    bastion = lab.found["aws:security_group_rules:blue-bastion"].id
    lab.ec2().revoke_security_group_ingress(GroupId=bastion, IpPermissions=[opened])
    lab.update("aws:security_group_rules:blue-bastion")
    assert lab.drift() == {}


def test_a_route_table_changed_by_hand_is_put_right(lab: Lab) -> None:
    key = "aws:route_table:blue-public"
    lab.build(key)
    table, ec2 = lab.found[key].id, lab.ec2()
    gateway = lab.found["aws:vpn_gateway:blue-vgw"].id
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", GatewayId=gateway)
    ec2.disable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    links = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"]
    ec2.disassociate_route_table(AssociationId=links[0]["RouteTableAssociationId"])
    assert lab.drift() == {key: "change"}
    lab.update(key)
    assert lab.drift() == {}


def test_a_half_made_gateway_is_completed(lab: Lab) -> None:
    key = "aws:internet_gateway:blue-igw"
    lab.build(key)
    vpc = lab.found["aws:vpc:blue-vpc"].id
    lab.ec2().detach_internet_gateway(InternetGatewayId=lab.found[key].id, VpcId=vpc)
    lab.ec2().modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    assert lab.drift() == {key: "change", "aws:vpc:blue-vpc": "change"}
    lab.update(key)
    lab.update("aws:vpc:blue-vpc")
    assert lab.drift() == {}


def test_a_role_without_its_policy_and_an_empty_profile_are_completed(lab: Lab) -> None:
    name = "blue-ec2-describe-instances"
    lab.build(f"aws:instance_profile:{name}")
    iam = lab.cloud._account.iam
    iam.delete_role_policy(RoleName=name, PolicyName="runbook")
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    assert lab.drift() == {f"aws:iam_role:{name}": "change", f"aws:instance_profile:{name}": "change"}
    lab.update(f"aws:iam_role:{name}")
    lab.update(f"aws:instance_profile:{name}")
    assert lab.drift() == {}
    document = iam.get_role_policy(RoleName=name, PolicyName="runbook")["PolicyDocument"]
    assert [(s["Effect"], s["Action"]) for s in document["Statement"]] == [("Allow", ["ec2:DescribeInstances"])]


def test_a_stopped_instance_is_started_and_its_tags_come_back(lab: Lab) -> None:
    key = "aws:instance:blue-bastion-aws"
    lab.build(key)
    instance = lab.found[key].id
    lab.ec2().stop_instances(InstanceIds=[instance])
    lab.ec2().create_tags(Resources=[instance], Tags=[{"Key": "Role", "Value": "guest"}, {"Key": "x", "Value": "y"}])
    assert lab.cloud.instances()[key].attributes["running"] is False
    lab.update(key)
    seen = lab.cloud.instances()[key]
    assert (seen.id, seen.attributes["state"], seen.attributes["role"]) == (instance, "running", "bastion")
    assert "x" not in seen.spec["tags"]


def test_another_script_or_key_means_another_instance(lab: Lab) -> None:
    key = "aws:instance:blue-bastion-aws"
    lab.build(key)
    resource = lab.wanted.by_key[key]
    changed = replace(resource, spec={**resource.spec, "script_digest": "0" * 16})
    others = tuple(changed if r.key == key else r for r in lab.wanted.resources)
    lab.wanted = replace(lab.wanted, resources=others)
    assert lab.drift() == {key: "replace"}


# ---- whose is it -----------------------------------------------------------------------------------------------


def test_another_deployment_of_a_longer_name_is_not_seen(lab: Lab) -> None:
    other = Lab(lab.params.model_copy(update={"deployment": "blue-2"}), lab.counts)
    role = "aws:instance_profile:blue-2-ec2-describe-instances"
    other.build("aws:subnet:blue-2-public-a", "aws:security_group:blue-2-web", role)
    assert lab.cloud.inventory() == {}
    assert other.cloud.inventory().keys() == other.found.keys() - {GCP_END.key}


def test_somebody_elses_role_of_our_name_is_left_alone(lab: Lab) -> None:
    role = "blue-ec2-describe-instances"
    lab.cloud._account.iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    assert lab.cloud.inventory() == {}
    resource = named(lab, "iam_role", "ec2-describe-instances")
    with pytest.raises(CloudError, match="EntityAlreadyExists") as raised:
        lab.cloud.create(resource, resource.spec)
    assert raised.value.resource == resource.key
    assert "not this deployment's" in raised.value.remedy


def test_a_network_that_somebody_else_uses_is_kept_and_the_user_is_named(lab: Lab) -> None:
    lab.build("aws:subnet:blue-public-a", "aws:internet_gateway:blue-igw")
    subnet = lab.found["aws:subnet:blue-public-a"]
    image = lab.ec2().describe_images(Owners=[lab.params.aws_image_owner])["Images"][0]["ImageId"]
    made = lab.ec2().run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet.id, InstanceType="t3.small")
    instance = made["Instances"][0]["InstanceId"]
    for key, named in ((subnet.key, f"instance {instance}"), ("aws:vpc:blue-vpc", f"subnet {subnet.id}")):
        with pytest.raises(CloudError, match="something else holds on to") as raised:
            lab.cloud.destroy(lab.found[key])
        assert raised.value.resource == key
        assert named in str(raised.value.seen)
        assert "remove what is named" in raised.value.remedy
    assert lab.cloud.inventory().keys() == {"aws:vpc:blue-vpc", subnet.key, "aws:internet_gateway:blue-igw"}


# ---- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"aws_zones": ("us-west-2a", "us-west-2z")}, "aws_zones"),
        ({"aws_instance_type": "t9.huge"}, "aws_instance_type"),
        ({"aws_image": "debian-99-*"}, "aws_image"),
        ({"aws_image_owner": "000000000000"}, "aws_image"),
        ({"aws_image": f"ssm:{DEBIAN}", "aws_image_owner": "000000000000"}, "aws_image"),
        ({"aws_image": "ssm:/aws/service/debian/release/99/latest/amd64"}, "aws_image"),
    ],
)
def test_a_parameter_that_aws_does_not_know_is_named(lab: Lab, changes: dict[str, Any], field: str) -> None:
    cloud = aws.connect(lab.params.model_copy(update=changes))
    with pytest.raises(ParameterError) as raised:
        cloud.check()
    assert raised.value.resource == field
    assert raised.value.remedy
    assert lab.counts.total() == 0


@pytest.mark.parametrize("wanted", ["debian-12-amd64-*", f"ssm:{DEBIAN}"])
def test_an_image_is_found_by_a_pattern_of_names_or_by_a_public_parameter(lab: Lab, wanted: str) -> None:
    image = aws.connect(lab.params.model_copy(update={"aws_image": wanted})).image()
    assert (image.wanted, image.name) == (wanted, "debian-12-amd64-20260101-1")
    assert lab.ec2().describe_images(ImageIds=[image.id])["Images"][0]["Name"] == image.name
    assert lab.counts.total() == 0


def test_the_image_is_looked_up_once_and_a_newer_one_replaces_nothing(lab: Lab) -> None:
    lab.build("aws:instance:blue-bastion-aws")
    first = lab.cloud.image()
    again = aws.connect(lab.params.model_copy(update={"aws_image": "debian-12-bare-amd64-*"}))
    assert again.image().id != first.id
    wanted = topology(
        again._account.params,
        public_key=KEY,
        script=lambda _params, _cloud, role, name: f"#!/bin/sh\n# {role} {name}\n",
    )
    bastion = "aws:instance:blue-bastion-aws"
    found = {**lab.found, **again.inventory()}
    assert [a.verb for a in plan(wanted, found, "00_provision").actions if a.key == bastion] == ["keep"]


def test_nothing_at_all_is_made_or_changed_past_a_guard(lab: Lab) -> None:
    lab.build()
    built = lab.cloud.inventory() | {GCP_END.key: GCP_END}
    count = lab.counts.total()

    def stop() -> None:
        raise LockError("not yours any more")

    lab.cloud.guard(stop)
    resources = [resource for resource in lab.wanted.resources if resource.cloud == "aws"]
    for resource in resources:
        with pytest.raises(LockError):
            lab.cloud.create(resource, resolve(resource.spec, built))
        with pytest.raises(LockError):
            lab.cloud.destroy(built[resource.key])
    assert lab.counts.total() == count
    assert {resource.kind for resource in resources} == lab.cloud._kinds.keys()


def test_refused_credentials_are_said(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "wrong"
    file.write_text("[default]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = wrong\n")
    cloud = aws.connect(lab.params.model_copy(update={"aws_credentials": str(file)}))
    with pytest.raises(PrerequisiteError) as raised:
        cloud.check()
    assert raised.value.resource == "aws_credentials"
    with pytest.raises(CloudError, match="AuthFailure"):
        cloud.instances()


def test_an_endpoint_where_nothing_answers_is_said(lab: Lab) -> None:
    cloud = aws.connect(lab.params.model_copy(update={"aws_endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(PrerequisiteError) as raised:
        cloud.check()
    assert raised.value.resource == "aws_endpoint"


@pytest.mark.parametrize("content", [None, "", "[other]\naws_access_key_id = x\naws_secret_access_key = y\n"])
def test_a_credentials_file_that_cannot_be_used_is_said(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "credentials"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ParameterError) as raised:
        aws.connect(Params(aws_credentials=str(file)))
    assert raised.value.resource == "aws_credentials"
    assert str(file) in str(raised.value.seen)


def test_a_refusal_names_the_resource_and_says_what_aws_said(lab: Lab) -> None:
    lab.build("aws:vpc:blue-vpc")
    resource = named(lab, "subnet", "public-a")
    with pytest.raises(CloudError) as raised:
        lab.cloud.create(resource, {**resolve(resource.spec, lab.found), "cidr": "10.0.0.0/24"})
    assert raised.value.resource == resource.key
    assert "InvalidSubnet.Range" in str(raised.value.seen)
    assert raised.value.remedy


# ---- pure parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "permission"),
    [
        (
            {"protocol": "tcp", "low": 8300, "high": 8302, "source": "10.0.0.0/8"},
            {"IpProtocol": "tcp", "FromPort": 8300, "ToPort": 8302, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
        (
            {"protocol": "udp", "low": 8301, "high": 8301, "source": "sg-1"},
            {"IpProtocol": "udp", "FromPort": 8301, "ToPort": 8301, "UserIdGroupPairs": [{"GroupId": "sg-1"}]},
        ),
        (
            {"protocol": "icmp", "low": -1, "high": -1, "source": "10.0.0.0/8"},
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
        (
            {"protocol": "icmp", "low": 8, "high": -1, "source": "10.0.0.0/8"},
            {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
        (
            {"protocol": "all", "low": 0, "high": 0, "source": "::/0"},
            {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ),
        (
            {"protocol": "tcp", "low": 1, "high": 2, "source": "pl-1"},
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "PrefixListIds": [{"PrefixListId": "pl-1"}]},
        ),
    ],
)
def test_an_entry_is_the_same_there_and_back(entry: dict[str, Any], permission: dict[str, Any]) -> None:
    assert permission_of(entry) == permission
    assert list(entries_of(permission)) == [entry]


def test_tunnels_are_read_in_the_order_of_their_inside_addresses() -> None:
    tunnel = (
        "<ipsec_tunnel><vpn_gateway><tunnel_outside_address><ip_address>{0}</ip_address></tunnel_outside_address>"
        "<tunnel_inside_address><ip_address>{1}</ip_address><network_mask>255.255.255.252</network_mask>"
        "</tunnel_inside_address></vpn_gateway><ike><pre_shared_key>{2}</pre_shared_key></ike></ipsec_tunnel>"
    )
    second = tunnel.format("198.51.100.2", "169.254.21.5", "two")
    first = tunnel.format("198.51.100.1", "169.254.21.1", "one")
    seen = tunnels_of(f"<vpn_connection>{second}{first}</vpn_connection>")
    assert [(inside, outside, str.__str__(key)) for inside, outside, key in seen] == [
        ("169.254.21.0/30", "198.51.100.1", "one"),
        ("169.254.21.4/30", "198.51.100.2", "two"),
    ]
    assert tunnels_of("") == []
