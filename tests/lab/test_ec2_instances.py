"""What EC2's instances see and what becomes of their networks: metadata service, role credentials, fabric."""

from __future__ import annotations

import configparser
import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from werkzeug.serving import WSGIRequestHandler, make_server

pytest.importorskip("moto")

from runbook_lib.lab.ec2 import Ec2, imds
from runbook_lib.lab.ec2.fabric import PROPAGATED, STATIC, rule
from runbook_lib.lab.model import Cloud, Interface, Network, Route, Rule, TunnelStatus

REGION = "us-west-2"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r demo"
SESSION = boto3.Session(region_name=REGION)
TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


class Hooks:
    def changed(self) -> None:
        pass

    def console(self, machine: str) -> str:
        return ""


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


class World:
    """An emulator with one VPC of a public and a private subnet, as the article has them."""

    def __init__(self) -> None:
        self.cloud = Ec2(Hooks(), REGION, settle=0.0)
        self.server = make_server("127.0.0.1", 0, self.cloud.api, threaded=True, request_handler=Quiet)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        file = configparser.ConfigParser()
        file.read_string(self.cloud.operator_credentials())
        self.keys = dict(file["default"])
        self.ec2, self.iam = self.client("ec2"), self.client("iam")
        self.vpc = self.ec2.create_vpc(CidrBlock="172.30.3.0/24")["Vpc"]["VpcId"]
        self.public, self.private = (
            self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=f"{REGION}a")["Subnet"]["SubnetId"]
            for cidr in ("172.30.3.0/27", "172.30.3.128/27")
        )
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def client(self, name: str, **keys: Any) -> Any:
        url = f"http://127.0.0.1:{self.server.port}"
        return SESSION.client(name, endpoint_url=url, **(keys or self.keys))  # type: ignore[call-overload]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def run(self, subnet: str, *groups: str, public: bool = False, **more: Any) -> str:
        nic: dict[str, Any] = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}
        if groups:
            nic["Groups"] = list(groups)
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        answer = self.ec2.run_instances(
            ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1, NetworkInterfaces=[nic], **more
        )
        return str(answer["Instances"][0]["InstanceId"])

    def group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def table(self, *subnets: str, **default: str) -> str:
        """A route table for subnets, with a default route."""
        table = str(self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"])
        for subnet in subnets:
            self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        if default:
            self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **default)
        return table

    def network(self, **tunnels: TunnelStatus) -> Network:
        return self.cloud.networks(tunnels)[0]

    def interface(self, machine: str) -> Interface:
        return next(i for i in self.network().interfaces if i.machine == machine)

    def metadata(self, machine: str) -> httpx.Client:
        """A client of the metadata service inside one instance."""

        def app(environ: Any, start_response: Any) -> Any:
            return self.cloud.metadata(machine, environ, start_response)

        return httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://169.254.169.254")

    def profile(self, *actions: str) -> dict[str, str]:
        """An instance profile whose role allows some actions."""
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.iam.create_role(
            RoleName="finder", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        if actions:
            allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
            self.iam.put_role_policy(RoleName="finder", PolicyName="allow", PolicyDocument=document)
        self.iam.create_instance_profile(InstanceProfileName="finder")
        self.iam.add_role_to_instance_profile(InstanceProfileName="finder", RoleName="finder")
        return {"Name": "finder"}


@pytest.fixture
def world() -> Iterator[World]:
    running = World()
    yield running
    running.close()


# ---- the metadata service --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "headers", "status"), [
    ("PUT", TTL, 200),
    ("PUT", {}, 400),
    ("PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "0"}, 400),
    ("PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "21601"}, 400),
    ("PUT", TTL | {"X-Forwarded-For": "192.0.2.1"}, 403),
    ("GET", {}, 405),
])  # fmt: skip
def test_session_tokens(world: World, method: str, headers: dict[str, str], status: int) -> None:
    client = world.metadata(world.run(world.public))
    assert client.request(method, "/latest/api/token", headers=headers).status_code == status


def test_version_1_only_where_allowed(world: World) -> None:
    free = world.metadata(world.run(world.public))
    strict = world.metadata(world.run(world.public, MetadataOptions={"HttpTokens": "required"}))
    closed = world.metadata(world.run(world.public, MetadataOptions={"HttpEndpoint": "disabled"}))
    token = strict.put("/latest/api/token", headers=TTL).text
    path, good, bad = "/latest/meta-data/instance-id", *({"X-aws-ec2-metadata-token": t} for t in (token, "x"))
    assert [c.get(path).status_code for c in (free, strict, closed)] == [200, 401, 403]
    assert [strict.get(path, headers=h).status_code for h in (good, bad)] == [200, 401]
    assert free.get(path, headers=good).status_code == 401  # another instance's token


def test_the_tree(world: World) -> None:
    world.ec2.import_key_pair(KeyName="demo", PublicKeyMaterial=PUBLIC_KEY.encode())
    machine = world.run(world.public, public=True, KeyName="demo", UserData="#!/bin/sh\necho déjà\n")
    shown = world.ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    client = world.metadata(machine)
    mac = shown["NetworkInterfaces"][0]["MacAddress"]
    for path, expected in {
        "instance-id": machine,
        "instance-type": "t3.small",
        "ami-id": shown["ImageId"],
        "local-ipv4": "172.30.3.4",
        "public-ipv4": shown["PublicIpAddress"],
        "hostname": f"ip-172-30-3-4.{REGION}.compute.internal",
        "placement/region": REGION,
        "placement/availability-zone": f"{REGION}a",
        "public-keys/": "0=demo",
        "public-keys/0/openssh-key": PUBLIC_KEY,
        "security-groups": "default",
        "services/domain": "amazonaws.com",
        "mac": mac,
        f"network/interfaces/macs/{mac}/vpc-id": world.vpc,
        f"network/interfaces/macs/{mac}/subnet-ipv4-cidr-block": "172.30.3.0/27",
        "network/interfaces/macs/": f"{mac}/",
    }.items():
        answer = client.get(f"/latest/meta-data/{path}")
        assert (answer.status_code, answer.text) == (200, expected), path
    assert {"instance-id", "placement/", "network/"} <= set(client.get("/latest/meta-data/").text.split("\n"))
    assert client.get("/latest/").text == "dynamic\nmeta-data\nuser-data"
    assert client.get("/latest/user-data").text == "#!/bin/sh\necho déjà\n"
    document = client.get("/latest/dynamic/instance-identity/document").json()
    assert (document["region"], document["privateIp"], document["instanceId"]) == (REGION, "172.30.3.4", machine)
    assert document["accountId"] == "123456789012"


@pytest.mark.parametrize("path", [
    "/latest/user-data",
    "/latest/meta-data/public-ipv4",
    "/latest/meta-data/public-keys/",
    "/latest/meta-data/iam/info",
    "/latest/meta-data/iam/security-credentials/",
    "/latest/meta-data/nothing",
    "/latest/meta-data/instance-id/more",
    "/nothing",
])  # fmt: skip
def test_what_a_plain_instance_does_not_have(world: World, path: str) -> None:
    assert world.metadata(world.run(world.private)).get(path).status_code == 404


def test_an_unknown_machine_sees_nothing(world: World) -> None:
    assert world.metadata("i-00000000000000000").get("/latest/meta-data/instance-id").status_code == 404


@pytest.mark.parametrize(("path", "answer"), [
    ("/", (200, "1.0\nlatest")),
    ("/latest", (200, "a\nb/\nc=d")),
    ("/2021-07-15/a", (200, "text")),
    ("/latest/a/", (200, "text")),
    ("/latest/b/x", (200, "lazy")),
    ("/latest/c/y", (200, "z")),
    ("/2021/a", (404, "")),
    ("/latest/a/b", (404, "")),
])  # fmt: skip
def test_paths(path: str, answer: tuple[int, str]) -> None:
    tree = {"a": "text", "b": {"x": lambda: "lazy"}, "c": ("c=d", {"y": "z"})}
    assert imds.look_up(tree, path) == answer


# ---- role credentials -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", [(), ("ec2:DescribeInstances",)])
def test_role_credentials_do_what_the_role_may(world: World, actions: tuple[str, ...]) -> None:
    machine = world.run(world.private, IamInstanceProfile=world.profile(*actions))
    client = world.metadata(machine)
    assert client.get("/latest/meta-data/iam/security-credentials/").text == "finder"
    assert client.get("/latest/meta-data/iam/info").json()["InstanceProfileArn"].endswith("instance-profile/finder")
    given = client.get("/latest/meta-data/iam/security-credentials/finder").json()
    assert client.get("/latest/meta-data/iam/security-credentials/finder").json()["Token"] == given["Token"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["Token"],
    }
    role = world.client("ec2", **keys)
    arn = f"arn:aws:sts::123456789012:assumed-role/finder/{machine}"
    assert world.client("sts", **keys).get_caller_identity()["Arn"] == arn
    if actions:
        assert len(role.describe_instances()["Reservations"]) == 1
    refused = role.describe_vpcs if actions else role.describe_instances
    action = "DescribeVpcs" if actions else "DescribeInstances"
    with pytest.raises(ClientError) as caught:
        refused()
    assert caught.value.response["Error"] == {
        "Code": "UnauthorizedOperation",
        "Message": f"You are not authorized to perform this operation. User: {arn} is not authorized to perform: "
        f"ec2:{action} because no identity-based policy allows the ec2:{action} action",
    }
    forged = world.client("ec2", **(keys | {"aws_session_token": "x"}))
    with pytest.raises(ClientError, match="AuthFailure"):
        forged.describe_instances()


def test_a_policy_taken_away_is_felt(world: World) -> None:
    machine = world.run(world.private, IamInstanceProfile=world.profile("ec2:*"))
    given = world.metadata(machine).get("/latest/meta-data/iam/security-credentials/finder").json()
    role = world.client(
        "ec2",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["Token"],
    )
    assert role.describe_instances()["Reservations"]
    world.iam.delete_role_policy(RoleName="finder", PolicyName="allow")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        role.describe_instances()


# ---- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "low", "high", "expected"), [
    ("tcp", 22, 22, ("tcp", ((22, 22),))),
    ("17", 8301, 8302, ("udp", ((8301, 8302),))),
    ("tcp", 0, 65535, ("tcp", ())),
    ("icmp", -1, -1, ("icmp", ())),
    ("icmp", 8, -1, ("icmp", ((8, -1),))),
    ("icmp", 3, 4, ("icmp", ((3, 4),))),
    ("50", None, None, ("50", ())),
    ("-1", None, None, ("all", ())),
])  # fmt: skip
def test_a_rule(protocol: str, low: int | None, high: int | None, expected: tuple[str, Any]) -> None:
    made = rule("in", protocol, low, high, ("0.0.0.0/0",))
    assert (made.protocol, made.ports, made.allow, made.peers) == (*expected, True, ("0.0.0.0/0",))


def test_groups_become_rules(world: World) -> None:
    servers, clients = world.group("servers"), world.group("clients")
    world.ec2.authorize_security_group_ingress(GroupId=servers, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 8300, "ToPort": 8302, "UserIdGroupPairs": [{"GroupId": clients}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": servers}]},
    ])  # fmt: skip
    server = world.run(world.private, servers)
    out = Rule("out", True, "all", (), ("0.0.0.0/0",))
    ssh = Rule("in", True, "tcp", ((22, 22),), ("0.0.0.0/0",))
    itself = Rule("in", True, "all", (), ("172.30.3.132/32",))
    assert set(world.interface(server).rules) == {out, ssh, itself, Rule("in", True, "tcp", ((8300, 8302),), ())}
    client = world.run(world.private, clients)
    assert set(world.interface(server).rules) == {
        out, ssh, itself, Rule("in", True, "tcp", ((8300, 8302),), ("172.30.3.133/32",)),
    }  # fmt: skip
    assert world.interface(client).rules == (out,)
    world.ec2.modify_instance_attribute(InstanceId=client, Groups=[clients, servers])
    assert set(world.interface(client).rules) > {ssh}
    assert itself not in world.interface(client).rules  # now there are two members
    world.ec2.terminate_instances(InstanceIds=[client])
    assert Rule("in", True, "tcp", ((8300, 8302),), ()) in world.interface(server).rules


# ---- routes -----------------------------------------------------------------------------------------------------


def test_public_and_private_subnets(world: World) -> None:
    world.table(world.public, GatewayId=world.gateway)
    address = world.ec2.allocate_address(Domain="vpc")
    nat = world.ec2.create_nat_gateway(SubnetId=world.public, AllocationId=address["AllocationId"])["NatGateway"]
    world.table(world.private, NatGatewayId=nat["NatGatewayId"])
    outside, inside = world.run(world.public, public=True), world.run(world.private)
    assert world.interface(outside).routes == (Route("0.0.0.0/0", "internet", "", STATIC),)
    assert world.interface(outside).public not in (None, address["PublicIp"])
    assert world.interface(inside).routes == (Route("0.0.0.0/0", "nat", address["PublicIp"], STATIC),)
    assert world.interface(inside).public is None
    world.ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
    assert world.interface(inside).routes == (Route("0.0.0.0/0", "none", "", STATIC),)
    assert world.network().subnets == ("172.30.3.0/27", "172.30.3.128/27")


def test_a_nat_gateway_in_a_private_subnet_leads_nowhere(world: World) -> None:
    address = world.ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = world.ec2.create_nat_gateway(SubnetId=world.public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    world.table(world.private, NatGatewayId=nat)
    assert world.interface(world.run(world.private)).routes[0].via == "none"


def test_an_instance_as_next_hop(world: World) -> None:
    bastion = world.run(world.public)
    world.ec2.modify_instance_attribute(InstanceId=bastion, SourceDestCheck={"Value": False})
    world.cloud.report_machine(bastion, "running")
    world.table(world.private, InstanceId=bastion)
    inside = world.run(world.private)
    assert world.interface(inside).routes == (Route("0.0.0.0/0", "instance", "172.30.3.4", STATIC),)
    assert (world.interface(bastion).forwards, world.interface(inside).forwards) == (True, False)


def test_subnets_without_a_table_use_the_main_one(world: World) -> None:
    main = world.ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    inside = world.run(world.private)
    assert world.interface(inside).routes == ()
    world.ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=world.gateway)
    assert world.interface(inside).routes == (Route("0.0.0.0/0", "internet", "", STATIC),)


def test_propagated_routes_and_the_ones_that_win(world: World) -> None:
    ec2 = world.ec2
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=world.vpc)
    customer = ec2.create_customer_gateway(Type="ipsec.1", BgpAsn=65273, IpAddress="203.0.113.9")["CustomerGateway"]
    ec2.create_vpn_connection(
        Type="ipsec.1", VpnGatewayId=gateway, CustomerGatewayId=customer["CustomerGatewayId"], Options={}
    )
    table = world.table(world.private)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="172.27.3.0/26", GatewayId=gateway)
    world.run(world.private)
    tunnel = world.cloud.tunnels()[0].id
    up = TunnelStatus(True, "", ("172.27.3.0/26", "172.27.3.128/26", "172.30.3.0/24"))
    static = Route("172.27.3.0/26", "vpn", "", STATIC)
    assert world.network(**{tunnel: up}).interfaces[0].routes == (static,)
    ec2.enable_vgw_route_propagation(RouteTableId=table, GatewayId=gateway)
    learned = Route("172.27.3.128/26", "vpn", "", PROPAGATED)
    assert world.network(**{tunnel: up}).interfaces[0].routes == (static, learned)
    assert world.network().interfaces[0].routes == (static,)
    ec2.detach_vpn_gateway(VpnGatewayId=gateway, VpcId=world.vpc)
    assert world.network(**{tunnel: up}).interfaces[0].routes == (Route("172.27.3.0/26", "none", "", STATIC),)


# ---- machines ---------------------------------------------------------------------------------------------------


def test_machines(world: World) -> None:
    names = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "demo-bastion"}]}]
    machine = world.run(world.public, public=True, TagSpecifications=names, UserData="#!/bin/sh\n")
    (found,) = world.cloud.machines()
    assert (found.id, found.name, found.network, found.zone) == (machine, "demo-bastion", world.vpc, f"{REGION}a")
    assert (found.private_ip, found.hostname) == ("172.30.3.4", f"ip-172-30-3-4.{REGION}.compute.internal")
    assert (found.public_ip, found.script) == (world.interface(machine).public, "#!/bin/sh\n")


def test_stopped_machines_keep_their_place_and_ending_ones_do_not(world: World) -> None:
    machine = world.run(world.public)
    world.cloud.report_machine(machine, "running")
    world.ec2.stop_instances(InstanceIds=[machine])
    assert [(m.id, m.powered) for m in world.cloud.machines()] == [(machine, False)]
    assert len(world.network().interfaces) == 1
    world.cloud.report_machine(machine, "stopped")
    world.ec2.start_instances(InstanceIds=[machine])
    world.ec2.terminate_instances(InstanceIds=[machine])
    assert (world.cloud.machines(), len(world.network().interfaces)) == ((), 0)


def test_before_the_account_is_opened_there_is_nothing() -> None:
    cloud: Cloud = Ec2(Hooks(), REGION)
    assert (cloud.networks({}), cloud.machines(), cloud.tunnels()) == ((), (), ())
    assert cloud.authorized_keys("i-1") == ""
    cloud.report_machine("i-1", "running")
