"""The EC2, IAM and STS emulator through real sockets, asked by boto3 and the aws command."""

from __future__ import annotations

import base64
import configparser
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.serving import WSGIRequestHandler, make_server

pytest.importorskip("moto")

from runbook_lib.lab.ec2 import Ec2
from runbook_lib.lab.model import PUBLIC, TunnelStatus

REGION = "us-west-2"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r demo"
SESSION = boto3.Session(region_name=REGION)


class Hooks:
    def __init__(self) -> None:
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1

    def console(self, machine: str) -> str:
        return f"console of {machine}\n"


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


class Aws:
    """A running emulator and clients for it."""

    def __init__(self, **options: Any) -> None:
        self.hooks = Hooks()
        self.cloud = Ec2(self.hooks, REGION, **options)
        self.server = make_server("127.0.0.1", 0, self.cloud.api, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self.server.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        file = configparser.ConfigParser()
        file.read_string(self.cloud.operator_credentials())
        self.keys = dict(file["default"])
        self.ec2 = self.client("ec2")

    def client(self, name: str, **keys: Any) -> Any:
        config = Config(retries={"total_max_attempts": 1})
        return SESSION.client(name, endpoint_url=self.url, config=config, **(keys or self.keys))  # type: ignore[call-overload]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    # ---- short ways to things that most tests need ----

    def vpc(self, cidr: str = "172.30.3.0/24") -> str:
        return str(self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])

    def subnet(self, vpc: str, cidr: str = "172.30.3.0/27") -> str:
        answer = self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}a")
        return str(answer["Subnet"]["SubnetId"])

    def image(self) -> str:
        return str(self.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"])

    def run(self, subnet: str = "", count: int = 1, **more: Any) -> list[dict[str, Any]]:
        wish = {"ImageId": self.image(), "InstanceType": "t3.small", "MinCount": count, "MaxCount": count}
        if subnet:
            wish["SubnetId"] = subnet
        return list(self.ec2.run_instances(**(wish | more))["Instances"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        return dict(answer["Reservations"][0]["Instances"][0])

    def powered(self) -> list[str]:
        return [machine.id for machine in self.cloud.machines() if machine.powered]

    def state(self, instance_id: str) -> str:
        return str(self.instance(instance_id)["State"]["Name"])


@pytest.fixture
def aws() -> Iterator[Aws]:
    running = Aws(settle=0.0)
    yield running
    running.close()


@pytest.fixture
def slow() -> Iterator[Aws]:
    """Nothing ever settles."""
    running = Aws(settle=3600.0)
    yield running
    running.close()


def code(call: Callable[..., Any], **wish: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**wish)
    return str(caught.value.response["Error"]["Code"])


def tags(kind: str, **wanted: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in wanted.items()]}]


# ---- the account ---------------------------------------------------------------------------------------------


def test_a_fresh_account_is_empty(aws: Aws) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert aws.ec2.describe_vpcs()["Vpcs"] == []
    assert aws.ec2.describe_subnets()["Subnets"] == []
    assert aws.ec2.describe_security_groups()["SecurityGroups"] == []
    assert aws.ec2.describe_snapshots()["Snapshots"] == []
    images = aws.ec2.describe_images()["Images"]
    names = ["debian-12-amd64-20260101-1", "debian-12-bare-amd64-20260101-1"]
    assert [(i["Name"], i["OwnerId"]) for i in images] == [(name, "136693071363") for name in names]
    zones = aws.ec2.describe_availability_zones()["AvailabilityZones"]
    assert [z["ZoneName"] for z in zones] == [f"{REGION}{letter}" for letter in "abcd"]
    assert REGION in [r["RegionName"] for r in aws.ec2.describe_regions()["Regions"]]
    assert aws.hooks.changes == 0


def test_public_parameters_tell_images(aws: Aws) -> None:
    ssm = aws.client("ssm")
    for release in ("12", "bookworm"):
        name = f"/aws/service/debian/release/{release}/latest/amd64"
        parameter = ssm.get_parameter(Name=name)["Parameter"]
        assert (parameter["Name"], parameter["Value"], parameter["DataType"]) == (name, aws.image(), "aws:ec2:image")
    assert code(ssm.get_parameter, Name="/aws/service/debian/release/1/latest/amd64") == "ParameterNotFound"
    assert code(ssm.describe_parameters) == "UnknownOperationException"
    stranger = {"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA", "aws_secret_access_key": "wrong"}
    assert code(aws.client("ssm", **stranger).get_parameter, Name="/x") == "UnrecognizedClientException"
    assert aws.hooks.changes == 0


@pytest.mark.parametrize(("pattern", "owner", "count"), [
    ("debian-12-amd64-*", "136693071363", 1),
    ("debian-12-bare-amd64-*", "136693071363", 1),
    ("debian-12-amd64-*", "self", 0),
    ("debian-11-*", "136693071363", 0),
])  # fmt: skip
def test_images_by_owner_and_name(aws: Aws, pattern: str, owner: str, count: int) -> None:
    found = aws.ec2.describe_images(Owners=[owner], Filters=[{"Name": "name", "Values": [pattern]}])["Images"]
    assert len(found) == count
    named = {"ImageIds": [aws.image()], "Filters": [{"Name": "name", "Values": ["debian-12-amd64-*"]}]}
    assert len(aws.ec2.describe_images(Owners=[owner], **named)["Images"]) == (owner != "self")


def test_home_region_offers_the_zones_it_was_given() -> None:
    running = Aws(zones=(f"{REGION}b",))
    try:
        assert [z["ZoneName"] for z in running.ec2.describe_availability_zones()["AvailabilityZones"]] == [f"{REGION}b"]
        vpc = running.vpc()
        wish = {"VpcId": vpc, "CidrBlock": "172.30.3.0/27", "AvailabilityZone": f"{REGION}a"}
        assert code(running.ec2.create_subnet, **wish) == "InvalidParameterValue"
    finally:
        running.close()


def test_the_aws_command(aws: Aws, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(aws.cloud.operator_credentials(), encoding="utf-8")
    instance = aws.run(aws.subnet(aws.vpc()), TagSpecifications=tags("instance", Name="demo-bastion"))[0]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("aws")), "--endpoint-url", aws.url, "ec2", "describe-instances",
         "--filters", "Name=tag:Name,Values=demo-*", "--query", "Reservations[].Instances[].InstanceId"],
        env={"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_DEFAULT_REGION": REGION, "PATH": "/usr/bin:/bin",
             "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [instance["InstanceId"]]


# ---- who may ----------------------------------------------------------------------------------------------------


def test_unknown_keys_and_wrong_secrets_are_refused(aws: Aws) -> None:
    unknown = {"aws_access_key_id": "AKIA0000000000000000", "aws_secret_access_key": "x"}
    forged = aws.keys | {"aws_secret_access_key": "x"}
    for keys in (unknown, forged):
        assert code(aws.client("ec2", **keys).describe_vpcs) == "AuthFailure"
    assert code(aws.client("sts", **unknown).get_caller_identity) == "InvalidClientTokenId"
    assert code(aws.client("iam", **forged).list_users) == "SignatureDoesNotMatch"


def test_unsigned_requests_are_refused(aws: Aws) -> None:
    from botocore import UNSIGNED

    client = SESSION.client("ec2", endpoint_url=aws.url, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError) as caught:
        client.describe_vpcs()
    assert caught.value.response["Error"]["Code"] == "AuthFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401


@pytest.mark.parametrize("attached", [False, True])
def test_a_users_policies_decide(aws: Aws, attached: bool) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:DescribeInst*", "Resource": "*"}}
    )
    if attached:
        arn = iam.create_policy(PolicyName="read", PolicyDocument=policy)["Policy"]["Arn"]
        iam.attach_user_policy(UserName="reader", PolicyArn=arn)
    else:
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    reader = aws.client("ec2", **keys)
    assert reader.describe_instances()["Reservations"] == []
    with pytest.raises(ClientError) as caught:
        reader.create_vpc(CidrBlock="10.0.0.0/16")
    assert caught.value.response["Error"]["Code"] == "UnauthorizedOperation"
    message = caught.value.response["Error"]["Message"]
    assert message.startswith("You are not authorized to perform this operation.")
    assert "user/reader is not authorized to perform: ec2:CreateVpc" in message
    assert code(aws.client("iam", **keys).list_users) == "AccessDenied"
    assert code(aws.client("ssm", **keys).get_parameter, Name="/x") == "AccessDeniedException"
    assert aws.client("sts", **keys).get_caller_identity()["Arn"].endswith(":user/reader")


def test_what_is_not_there_is_said(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    assert code(aws.ec2.create_verified_access_instance) == "UnsupportedOperation"
    assert "not emulated" in caplog.text
    assert code(aws.client("ssm").describe_parameters) != ""


# ---- instances ------------------------------------------------------------------------------------------------


def test_an_instance_follows_its_machine(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    instance = aws.run(subnet)[0]["InstanceId"]
    assert aws.state(instance) == "pending"
    aws.cloud.report_machine(instance, "booting")
    assert aws.state(instance) == "pending"
    aws.cloud.report_machine(instance, "running")
    assert aws.state(instance) == "running"

    change = aws.ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    assert aws.powered() == []
    aws.cloud.report_machine(instance, "stopped")
    assert aws.state(instance) == "stopped"
    assert aws.instance(instance)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    aws.ec2.start_instances(InstanceIds=[instance])
    assert aws.state(instance) == "pending"
    assert aws.powered() == [instance]
    aws.cloud.report_machine(instance, "running")

    aws.ec2.terminate_instances(InstanceIds=[instance])
    assert aws.state(instance) == "shutting-down"
    assert aws.cloud.machines() == ()
    assert code(aws.ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    aws.cloud.report_machine(instance, "gone")
    gone = aws.instance(instance)
    assert gone["State"]["Name"] == "terminated"
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert gone.keys().isdisjoint({"PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"})
    assert gone["NetworkInterfaces"] == []
    assert aws.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert aws.ec2.describe_volumes()["Volumes"] == []
    aws.ec2.delete_subnet(SubnetId=subnet)


def test_a_reboot_stops_the_machine_and_starts_it_again(aws: Aws) -> None:
    instance = aws.run(aws.subnet(aws.vpc()))[0]["InstanceId"]
    aws.cloud.report_machine(instance, "running")
    aws.ec2.reboot_instances(InstanceIds=[instance])
    assert aws.powered() == []
    before = aws.hooks.changes
    aws.cloud.report_machine(instance, "stopped")
    assert aws.hooks.changes == before + 1
    assert aws.state(instance) == "running"
    assert aws.powered() == [instance]


@pytest.mark.parametrize(("report", "state"), [("stopped", "stopped"), ("gone", "terminated")])
def test_a_machine_that_ends_by_itself(aws: Aws, report: Any, state: str) -> None:
    instance = aws.run(aws.subnet(aws.vpc()))[0]["InstanceId"]
    aws.cloud.report_machine(instance, "running")
    aws.cloud.report_machine(instance, report)
    assert aws.state(instance) == state
    assert aws.instance(instance)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_what_no_machine_came_of_is_terminated_at_once(aws: Aws) -> None:
    instance = aws.run(aws.subnet(aws.vpc()))[0]["InstanceId"]
    aws.ec2.terminate_instances(InstanceIds=[instance])
    assert aws.state(instance) == "terminated"


def test_terminated_instances_are_forgotten_in_the_end() -> None:
    running = Aws(settle=0.0, keep=0.0)
    try:
        instance = running.run(running.subnet(running.vpc()))[0]["InstanceId"]
        running.ec2.terminate_instances(InstanceIds=[instance])
        assert running.ec2.describe_instances()["Reservations"] == []
        assert code(running.ec2.describe_instances, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"
    finally:
        running.close()


def test_states_that_forbid(aws: Aws) -> None:
    instance = aws.run(aws.subnet(aws.vpc()))[0]["InstanceId"]
    assert code(aws.ec2.stop_instances, InstanceIds=[instance]) == "IncorrectInstanceState"
    aws.ec2.terminate_instances(InstanceIds=[instance])
    for call in (aws.ec2.start_instances, aws.ec2.stop_instances, aws.ec2.reboot_instances):
        assert code(call, InstanceIds=[instance]) == "IncorrectInstanceState"
    assert code(aws.ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceID.NotFound"


def test_min_and_max_count(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc(), "172.30.3.0/28")  # 16 - 5 reserved = 11
    assert len(aws.run(subnet, MinCount=1, MaxCount=2)) == 2
    assert code(aws.run, subnet=subnet, MinCount=10, MaxCount=12) == "InsufficientFreeAddressesInSubnet"
    assert len(aws.run(subnet, MinCount=1, MaxCount=12)) == 9
    assert code(aws.run, subnet=subnet, MinCount=3, MaxCount=2) == "InvalidParameterValue"


def test_addresses_are_the_first_free_ones(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    first, second = aws.run(subnet, 2)
    assert [first["PrivateIpAddress"], second["PrivateIpAddress"]] == ["172.30.3.4", "172.30.3.5"]
    assert first["PrivateDnsName"] == f"ip-172-30-3-4.{REGION}.compute.internal"
    assert "PublicIpAddress" not in first
    aws.ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    assert aws.run(subnet)[0]["PrivateIpAddress"] == "172.30.3.4"


@pytest.mark.parametrize(("address", "expected"), [
    ("172.30.3.4", "InvalidIPAddress.InUse"),
    ("172.30.3.0", "InvalidParameterValue"),
    ("172.30.3.3", "InvalidParameterValue"),
    ("172.30.3.31", "InvalidParameterValue"),
    ("172.30.3.40", "InvalidParameterValue"),
    ("nonsense", "InvalidParameterValue"),
])  # fmt: skip
def test_addresses_that_cannot_be_had(aws: Aws, address: str, expected: str) -> None:
    subnet = aws.subnet(aws.vpc())
    aws.run(subnet)
    assert code(aws.run, subnet=subnet, PrivateIpAddress=address) == expected
    assert len(aws.ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1
    assert aws.run(subnet, PrivateIpAddress="172.30.3.20")[0]["PrivateIpAddress"] == "172.30.3.20"


def test_an_interface_by_itself_takes_a_free_address_and_holds_its_subnet(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    made = aws.ec2.create_network_interface(SubnetId=subnet, Description="somebody's")["NetworkInterface"]
    assert made["PrivateIpAddress"] == "172.30.3.4"
    assert code(aws.ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    aws.ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    aws.ec2.delete_subnet(SubnetId=subnet)


def test_public_addresses_only_when_asked_and_given_back(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    nic = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True}
    asked = aws.run(NetworkInterfaces=[nic])[0]["InstanceId"]
    aws.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    mapped = aws.run(subnet)[0]["InstanceId"]
    first, second = (aws.instance(i)["PublicIpAddress"] for i in (asked, mapped))
    prefix = PUBLIC["aws"].rsplit(".", 1)[0]
    assert first != second
    assert {first.rsplit(".", 1)[0], second.rsplit(".", 1)[0]} == {prefix}
    aws.ec2.terminate_instances(InstanceIds=[asked])
    assert aws.ec2.allocate_address(Domain="vpc")["PublicIp"] == first


@pytest.mark.parametrize(("wish", "expected"), [
    ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
    ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
    ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
    ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
    ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
    ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
    ({"Placement": {"AvailabilityZone": f"{REGION}b"}}, "InvalidParameterValue"),
    ({"UserData": "x" * 16385}, "InvalidParameterValue"),
])  # fmt: skip
def test_launches_that_are_refused(aws: Aws, wish: dict[str, Any], expected: str) -> None:
    assert code(aws.run, subnet=aws.subnet(aws.vpc()), **wish) == expected
    assert aws.ec2.describe_instances()["Reservations"] == []


def test_without_a_default_vpc_a_subnet_is_needed(aws: Aws) -> None:
    assert code(aws.run) == "MissingInput"
    assert code(aws.ec2.create_security_group, GroupName="g", Description="g") == "VPCIdNotSpecified"


def test_a_group_of_another_network_is_refused(aws: Aws) -> None:
    subnet, other = aws.subnet(aws.vpc()), aws.vpc("10.0.0.0/16")
    group = aws.ec2.create_security_group(GroupName="g", Description="g", VpcId=other)["GroupId"]
    assert code(aws.run, subnet=subnet, SecurityGroupIds=[group]) == "InvalidParameter"


def test_client_tokens(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    once, again = (aws.run(subnet, ClientToken="one")[0]["InstanceId"] for _ in range(2))
    assert once == again
    assert len(aws.cloud.machines()) == 1
    other = code(aws.run, subnet=subnet, ClientToken="one", InstanceType="t3.micro")
    assert other == "IdempotentParameterMismatch"


def test_a_refused_request_does_not_use_its_token_up(aws: Aws) -> None:
    subnet = aws.subnet(aws.vpc())
    wish: dict[str, Any] = {"ClientToken": "one", "KeyName": "late"}
    assert code(aws.run, subnet=subnet, **wish) == "InvalidKeyPair.NotFound"
    aws.ec2.import_key_pair(KeyName="late", PublicKeyMaterial=PUBLIC_KEY.encode())
    assert aws.run(subnet, **wish)[0]["KeyName"] == "late"


def test_key_pairs_are_told_apart_by_their_ids(aws: Aws) -> None:
    tagged = [{"ResourceType": "key-pair", "Tags": [{"Key": "Holder", "Value": "me"}]}]
    material = PUBLIC_KEY.encode()
    first = aws.ec2.import_key_pair(KeyName="one", PublicKeyMaterial=material, TagSpecifications=tagged)["KeyPairId"]
    other = aws.ec2.import_key_pair(KeyName="other", PublicKeyMaterial=material)["KeyPairId"]
    assert code(aws.ec2.import_key_pair, KeyName="one", PublicKeyMaterial=material) == "InvalidKeyPair.Duplicate"
    aws.ec2.create_tags(Resources=[first], Tags=[{"Key": "Since", "Value": "noon"}])
    (seen,) = aws.ec2.describe_key_pairs(KeyPairIds=[first])["KeyPairs"]
    assert {tag["Key"]: tag["Value"] for tag in seen["Tags"]} == {"Holder": "me", "Since": "noon"}

    aws.ec2.delete_key_pair(KeyPairId=first)
    second = aws.ec2.import_key_pair(KeyName="one", PublicKeyMaterial=material)["KeyPairId"]
    assert second != first
    aws.ec2.delete_key_pair(KeyPairId=first)  # not the one that has the name now
    assert {pair["KeyPairId"] for pair in aws.ec2.describe_key_pairs()["KeyPairs"]} == {second, other}
    assert code(aws.ec2.describe_key_pairs, KeyPairIds=[first]) == "InvalidKeyPair.NotFound"
    gone = code(aws.ec2.create_tags, Resources=[first], Tags=[{"Key": "Since", "Value": "one"}])
    assert gone == "InvalidKeyPair.NotFound"


def test_user_data_key_console_and_attributes(aws: Aws) -> None:
    aws.ec2.import_key_pair(KeyName="demo", PublicKeyMaterial=PUBLIC_KEY.encode())
    script = "#!/bin/sh\necho déjà\n"
    instance = aws.run(aws.subnet(aws.vpc()), UserData=script, KeyName="demo")[0]["InstanceId"]
    assert aws.cloud.machines()[0].script == script
    shown = aws.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(shown).decode() == script
    assert aws.ec2.get_console_output(InstanceId=instance)["Output"] == f"console of {instance}\n"
    aws.ec2.delete_key_pair(KeyName="demo")
    assert aws.cloud.authorized_keys(instance) == PUBLIC_KEY + "\n"
    aws.ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": False})
    assert aws.instance(instance)["SourceDestCheck"] is False
    assert aws.instance(instance)["NetworkInterfaces"][0]["SourceDestCheck"] is False
    refused = code(aws.ec2.modify_instance_attribute, InstanceId=instance, InstanceType={"Value": "t3.micro"})
    assert refused == "IncorrectInstanceState"


def test_metadata_options_are_kept(aws: Aws) -> None:
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"}
    instance = aws.run(aws.subnet(aws.vpc()), MetadataOptions=options)[0]["InstanceId"]
    aws.ec2.modify_instance_metadata_options(InstanceId=instance, HttpPutResponseHopLimit=3)
    kept = aws.instance(instance)["MetadataOptions"]
    assert (kept["HttpTokens"], kept["HttpPutResponseHopLimit"]) == ("required", 3)


@pytest.mark.parametrize(("name", "values", "count"), [
    ("tag:Role", ["consul"], 2),
    ("tag:Name", ["demo-server-*"], 2),
    ("tag:Role", ["web"], 0),
    ("instance-state-name", ["pending"], 2),
    ("instance-state-name", ["running", "stopped"], 0),
    ("private-ip-address", ["172.30.3.5"], 1),
    ("private-dns-name", ["ip-172-30-3-4.*"], 1),
    ("group-name", ["default"], 2),
])  # fmt: skip
def test_instance_filters(aws: Aws, name: str, values: list[str], count: int) -> None:
    aws.run(aws.subnet(aws.vpc()), 2, TagSpecifications=tags("instance", Name="demo-server-1", Role="consul"))
    found = aws.ec2.describe_instances(Filters=[{"Name": name, "Values": values}])["Reservations"]
    assert sum(len(r["Instances"]) for r in found) == count


def test_unknown_filters_are_refused(aws: Aws) -> None:
    aws.run(aws.subnet(aws.vpc()))
    wrong = [{"Name": "no-such-filter", "Values": ["x"]}]
    assert code(aws.ec2.describe_instances, Filters=wrong) == "InvalidParameterValue"


@pytest.mark.parametrize(("operation", "key"), [
    ("describe_instances", "Reservations"),
    ("describe_subnets", "Subnets"),
    ("describe_security_groups", "SecurityGroups"),
])  # fmt: skip
def test_pages(aws: Aws, operation: str, key: str) -> None:
    for third in range(7):
        subnet = aws.subnet(aws.vpc(f"10.0.{third}.0/24"), f"10.0.{third}.0/24")
        aws.run(subnet)
    pages = list(aws.ec2.get_paginator(operation).paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page[key]) for page in pages] == [5, 2]
    assert code(getattr(aws.ec2, operation), NextToken="x", MaxResults=5) == "InvalidNextToken"


# ---- networks ---------------------------------------------------------------------------------------------------


def test_nothing_in_use_is_deleted(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    subnet = aws.subnet(vpc)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    nic = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True, "Groups": [group]}
    instance = aws.run(NetworkInterfaces=[nic])[0]["InstanceId"]
    for call, wish in (
        (ec2.delete_vpc, {"VpcId": vpc}),
        (ec2.delete_subnet, {"SubnetId": subnet}),
        (ec2.delete_security_group, {"GroupId": group}),
        (ec2.delete_internet_gateway, {"InternetGatewayId": gateway}),
        (ec2.detach_internet_gateway, {"InternetGatewayId": gateway, "VpcId": vpc}),
        (ec2.delete_route_table, {"RouteTableId": table}),
    ):
        assert code(call, **wish) == "DependencyViolation", call
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.delete_security_group(GroupId=group)
    assert code(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    ec2.delete_subnet(SubnetId=subnet)
    assert code(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    ec2.delete_route_table(RouteTableId=table)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_network_acls()["NetworkAcls"] == []
    assert ec2.describe_route_tables()["RouteTables"] == []
    assert ec2.describe_security_groups()["SecurityGroups"] == []


def test_security_group_rules(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    group = ec2.create_security_group(GroupName="servers", Description="g", VpcId=vpc)["GroupId"]
    other = ec2.create_security_group(GroupName="clients", Description="g", VpcId=vpc)["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    serf = {"IpProtocol": "udp", "FromPort": 8301, "ToPort": 8301, "UserIdGroupPairs": [{"GroupId": other}]}
    itself = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ping = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "172.30.3.0/24"}]}
    answer = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, serf, itself, ping])
    assert len(answer["SecurityGroupRules"]) == 4

    again = code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[{**ssh, "ToPort": 23}, ssh])
    assert again == "InvalidPermission.Duplicate"
    shown = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert sorted((r["IsEgress"], r["IpProtocol"], r["FromPort"]) for r in shown) == [
        (False, "-1", -1), (False, "icmp", -1), (False, "tcp", 22), (False, "udp", 8301), (True, "-1", -1),
    ]  # fmt: skip
    assert {r["ReferencedGroupInfo"]["GroupId"] for r in shown if "ReferencedGroupInfo" in r} == {group, other}
    assert code(ec2.delete_security_group, GroupId=other) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[serf])
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=group)


@pytest.mark.parametrize(("rule", "expected"), [
    ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
    ({"IpProtocol": "tcp", "FromPort": 9, "ToPort": 8, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
    ({"IpProtocol": "xyz", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
    ({"IpProtocol": "-1"}, "MissingParameter"),
    ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-00000000000000000"}]}, "InvalidGroup.NotFound"),
])  # fmt: skip
def test_security_group_rules_that_are_refused(aws: Aws, rule: dict[str, Any], expected: str) -> None:
    group = aws.ec2.create_security_group(GroupName="g", Description="g", VpcId=aws.vpc())["GroupId"]
    assert code(aws.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule]) == expected


def test_default_groups_stay(aws: Aws) -> None:
    aws.vpc()
    group = aws.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    assert code(aws.ec2.delete_security_group, GroupId=group) == "CannotDelete"


def test_a_nat_gateway_comes_and_goes(aws: Aws) -> None:
    ec2, subnet = aws.ec2, aws.subnet(aws.vpc())
    address = ec2.allocate_address(Domain="vpc")
    gateway = ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=address["AllocationId"], TagSpecifications=tags("natgateway", Deployment="demo")
    )["NatGateway"]["NatGatewayId"]
    by_tag = [{"Name": "tag:Deployment", "Values": ["demo"]}]
    shown = ec2.describe_nat_gateways(Filter=by_tag)["NatGateways"][0]
    assert (shown["NatGatewayId"], shown["State"]) == (gateway, "available")
    assert shown["NatGatewayAddresses"][0]["PublicIp"] == address["PublicIp"]
    assert shown["NatGatewayAddresses"][0]["PrivateIp"] == "172.30.3.4"
    assert ec2.describe_nat_gateways(Filter=[{"Name": "tag:Deployment", "Values": ["x"]}])["NatGateways"] == []
    assert code(ec2.release_address, AllocationId=address["AllocationId"]) == "InvalidIPAddress.InUse"
    assert code(ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    twice = code(ec2.create_nat_gateway, SubnetId=subnet, AllocationId=address["AllocationId"])
    assert twice == "Resource.AlreadyAssociated"
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"] == "deleted"
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
    ec2.release_address(AllocationId=address["AllocationId"])
    ec2.delete_subnet(SubnetId=subnet)
    assert code(ec2.describe_nat_gateways, NatGatewayIds=["nat-00000000000000000"]) == "NatGatewayNotFound"


def test_slow_things_take_their_time(slow: Aws) -> None:
    ec2, vpc = slow.ec2, slow.vpc()
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=slow.subnet(vpc), AllocationId=address)["NatGateway"]["NatGatewayId"]
    vpn = connect(slow, vpc)["VpnConnectionId"]
    assert ec2.describe_nat_gateways()["NatGateways"][0]["State"] == "pending"
    assert ec2.describe_vpn_connections()["VpnConnections"][0]["State"] == "pending"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.delete_vpn_connection(VpnConnectionId=vpn)
    assert ec2.describe_nat_gateways()["NatGateways"][0]["State"] == "deleting"
    assert ec2.describe_vpn_connections()["VpnConnections"][0]["State"] == "deleting"


def test_the_world_hears_of_what_settles(aws: Aws) -> None:
    address = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    subnet = aws.subnet(aws.vpc())
    before = aws.hooks.changes
    aws.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
    deadline = time.monotonic() + 10
    while aws.hooks.changes < before + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert aws.hooks.changes == before + 2


def test_an_elastic_address_on_an_instance(aws: Aws) -> None:
    ec2 = aws.ec2
    instance = aws.run(aws.subnet(aws.vpc()))[0]["InstanceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
    aws.cloud.report_machine(instance, "running")
    ec2.stop_instances(InstanceIds=[instance])
    aws.cloud.report_machine(instance, "stopped")
    assert aws.instance(instance)["PublicIpAddress"] == address["PublicIp"]
    ec2.terminate_instances(InstanceIds=[instance])
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]


def test_routes(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]

    def refused(**target: str) -> str:
        return code(ec2.create_route, RouteTableId=table, **({"DestinationCidrBlock": "0.0.0.0/0"} | target))

    assert refused(GatewayId=gateway) == "InvalidParameterValue"  # not attached
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refused() == "MissingParameter"
    assert refused(NatGatewayId="nat-00000000000000000") == "InvalidNatGatewayID.NotFound"
    assert refused(GatewayId=gateway, DestinationCidrBlock="nonsense") == "InvalidParameterValue"
    assert refused(GatewayId=gateway, DestinationCidrBlock="172.30.3.0/26") == "InvalidParameterValue"
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert refused(GatewayId=gateway) == "RouteAlreadyExists"
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    shown = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert [(r["DestinationCidrBlock"], r["GatewayId"], r["State"]) for r in shown] == [
        ("172.30.3.0/24", "local", "active"),
        ("0.0.0.0/0", gateway, "blackhole"),
    ]
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    assert code(ec2.delete_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0") == "InvalidRoute.NotFound"


def test_a_subnet_has_one_route_table(aws: Aws) -> None:
    vpc = aws.vpc()
    subnet = aws.subnet(vpc)
    one, other = (aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    first = aws.ec2.associate_route_table(RouteTableId=one, SubnetId=subnet)["AssociationId"]
    assert aws.ec2.associate_route_table(RouteTableId=one, SubnetId=subnet)["AssociationId"] == first
    conflict = code(aws.ec2.associate_route_table, RouteTableId=other, SubnetId=subnet)
    assert conflict == "Resource.AlreadyAssociated"


# ---- VPN --------------------------------------------------------------------------------------------------------


def connect(aws: Aws, vpc: str, peer: str = "203.0.113.9", **options: Any) -> dict[str, Any]:
    """A VPN connection of a VPC, through its gateway, made if need be."""
    ec2 = aws.ec2
    there = ec2.describe_vpn_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])["VpnGateways"]
    gateway = (
        there[0]["VpnGatewayId"] if there else ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    )
    ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc)
    customer = ec2.create_customer_gateway(Type="ipsec.1", BgpAsn=65273, IpAddress=peer)["CustomerGateway"]
    wish = {"Type": "ipsec.1", "VpnGatewayId": gateway, "CustomerGatewayId": customer["CustomerGatewayId"]}
    return dict(ec2.create_vpn_connection(**wish, Options=options)["VpnConnection"])


def test_two_connections_have_four_tunnels_of_their_own(aws: Aws) -> None:
    vpc = aws.vpc()
    wanted = [
        {"TunnelInsideCidr": "169.254.10.0/30", "PreSharedKey": "chosen.key", "IKEVersions": [{"Value": "ikev2"}]}
    ]
    pair = [connect(aws, vpc, "203.0.113.9", TunnelOptions=wanted), connect(aws, vpc, "203.0.113.10")]
    ends = [end for connection in pair for end in connection["Options"]["TunnelOptions"]]
    for name in ("OutsideIpAddress", "TunnelInsideCidr", "PreSharedKey"):
        assert len({end[name] for end in ends}) == 4, name
    assert (ends[0]["TunnelInsideCidr"], ends[0]["PreSharedKey"]) == ("169.254.10.0/30", "chosen.key")
    assert ends[0]["IkeVersions"] == [{"Value": "ikev2"}]
    assert all(end["PreSharedKey"] in pair[i // 2]["CustomerGatewayConfiguration"] for i, end in enumerate(ends))
    assert {c["State"] for c in aws.ec2.describe_vpn_connections()["VpnConnections"]} == {"available"}

    tunnels = aws.cloud.tunnels()
    assert len(tunnels) == 4
    assert tunnels[0].id == f"{pair[0]['VpnConnectionId']}:{ends[0]['OutsideIpAddress']}"
    assert (tunnels[0].inside_local, tunnels[0].inside_peer) == ("169.254.10.1", "169.254.10.2")
    assert (tunnels[0].local_asn, tunnels[0].peer_asn, tunnels[0].ike) == (64512, 65273, 2)
    assert (tunnels[0].peer, tunnels[2].peer) == ("203.0.113.9", "203.0.113.10")
    assert tunnels[0].advertised == ("172.30.3.0/24",)
    assert tunnels[0].shared_key not in repr(tunnels[0])


def test_bad_tunnel_options_make_no_connection(aws: Aws) -> None:
    vpc = aws.vpc()
    with pytest.raises(ClientError) as caught:
        connect(aws, vpc, TunnelOptions=[{"TunnelInsideCidr": "169.254.0.0/30"}])
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert aws.ec2.describe_vpn_connections()["VpnConnections"] == []


def test_telemetry_and_propagation_follow_the_tunnels(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    connection = connect(aws, vpc)
    gateway = connection["VpnGatewayId"]
    ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    up, down = aws.cloud.tunnels()
    aws.cloud.report_tunnels({
        up.id: TunnelStatus(True, "established", ("172.27.3.0/26", "172.27.3.128/26")),
        down.id: TunnelStatus(False, "the keys differ", trouble="wrong key"),
    })  # fmt: skip
    seen = ec2.describe_vpn_connections()["VpnConnections"][0]["VgwTelemetry"]
    assert [(t["Status"], t["StatusMessage"], t["AcceptedRouteCount"]) for t in seen] == [
        ("UP", "2 BGP ROUTES", 2),
        ("DOWN", "IPSEC IS DOWN: the keys differ", 0),
    ]
    shown = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]
    assert shown["PropagatingVgws"] == [{"GatewayId": gateway}]
    learned = [r["DestinationCidrBlock"] for r in shown["Routes"] if r["Origin"] == "EnableVgwRoutePropagation"]
    assert learned == ["172.27.3.0/26", "172.27.3.128/26"]
    ec2.disable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    assert len(ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]) == 1


def test_static_routes(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    connection = connect(aws, vpc, StaticRoutesOnly=True)["VpnConnectionId"]
    wish = {"VpnConnectionId": connection, "DestinationCidrBlock": "172.27.3.0/24"}
    ec2.create_vpn_connection_route(**wish)
    table = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    gateway = ec2.describe_vpn_gateways()["VpnGateways"][0]["VpnGatewayId"]
    ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    assert len(ec2.describe_route_tables()["RouteTables"][0]["Routes"]) == 1
    aws.cloud.report_tunnels({aws.cloud.tunnels()[0].id: TunnelStatus(True, "")})
    routes = ec2.describe_route_tables()["RouteTables"][0]["Routes"]
    assert [r["DestinationCidrBlock"] for r in routes] == ["172.30.3.0/24", "172.27.3.0/24"]
    ec2.delete_vpn_connection_route(**wish)
    assert code(ec2.delete_vpn_connection_route, **wish) == "InvalidRoute.NotFound"


def test_vpn_parts_in_use_are_not_deleted(aws: Aws) -> None:
    ec2, vpc = aws.ec2, aws.vpc()
    connection = connect(aws, vpc)
    gateway, customer = connection["VpnGatewayId"], connection["CustomerGatewayId"]
    assert code(ec2.delete_vpn_gateway, VpnGatewayId=gateway) == "IncorrectState"
    assert code(ec2.delete_customer_gateway, CustomerGatewayId=customer) == "IncorrectState"
    assert code(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    ec2.delete_vpn_connection(VpnConnectionId=connection["VpnConnectionId"])
    assert aws.cloud.tunnels() == ()
    ec2.delete_customer_gateway(CustomerGatewayId=customer)
    ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc)
    ec2.delete_vpn_gateway(VpnGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_vpn_gateways()["VpnGateways"][0]["State"] == "deleted"


def test_a_detached_gateway_has_no_tunnels(aws: Aws) -> None:
    vpc = aws.vpc()
    gateway = connect(aws, vpc)["VpnGatewayId"]
    aws.ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=vpc)
    assert aws.cloud.tunnels() == ()


def test_one_gateway_a_network(aws: Aws) -> None:
    one, other = aws.vpc(), aws.vpc("10.0.0.0/16")
    gateway = connect(aws, one)["VpnGatewayId"]
    assert code(aws.ec2.attach_vpn_gateway, VpnGatewayId=gateway, VpcId=other) == "VpnGatewayAttachmentLimitExceeded"


def test_customer_gateways_by_tag_and_id(aws: Aws) -> None:
    ec2 = aws.ec2
    wish = {"Type": "ipsec.1", "BgpAsn": 65273, "IpAddress": "203.0.113.9"}
    specification = tags("customer-gateway", Deployment="demo")
    first = ec2.create_customer_gateway(**wish, TagSpecifications=specification)["CustomerGateway"]
    assert ec2.create_customer_gateway(**wish)["CustomerGateway"]["CustomerGatewayId"] == first["CustomerGatewayId"]
    for value, count in (("demo", 1), ("other", 0)):
        found = ec2.describe_customer_gateways(Filters=[{"Name": "tag:Deployment", "Values": [value]}])
        assert len(found["CustomerGateways"]) == count
    unknown = code(ec2.describe_customer_gateways, CustomerGatewayIds=["cgw-00000000000000000"])
    assert unknown == "InvalidCustomerGatewayID.NotFound"
