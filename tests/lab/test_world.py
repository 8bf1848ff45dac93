"""What the APIs hold is what runs: instances, addresses, routes and firewalls, asked from inside."""

from __future__ import annotations

import importlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from google.cloud import compute_v1
from google.oauth2 import service_account

from runbook_lib.lab import host
from runbook_lib.lab.errors import LabError

pytestmark = pytest.mark.lab

PROJECT = "runbook-lab"
GCP_REGION, ZONE = "europe-west1", "europe-west1-b"
IMAGE = "projects/debian-cloud/global/images/family/debian-12"
HELLO = "#!/bin/bash\necho booted-on-$(hostname) as $(id -un)\n"


def inside(lab: host.Lab, node: str, command: str) -> subprocess.CompletedProcess[str]:
    """A shell command inside an instance."""
    words = [*lab.enter(lab.node(node)), "sh", "-c", command]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def eventually(look: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Bounded waiting; what is asserted is that it happens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.1)
    pytest.fail(f"did not happen: {what}")


# ---- AWS -------------------------------------------------------------------------------------------------


def ec2_client(lab: host.Lab) -> Any:
    """AWS's own client, with the operator's credentials."""
    keys = dict(
        line.split(" = ") if " = " in line else line.split("=")
        for line in (Path(lab.home) / "aws-credentials").read_text().splitlines()
        if "=" in line
    )
    return boto3.client(
        "ec2",
        region_name="us-west-2",
        endpoint_url=lab.aws_endpoint,
        aws_access_key_id=keys["aws_access_key_id"].strip(),
        aws_secret_access_key=keys["aws_secret_access_key"].strip(),
    )


@pytest.fixture(scope="module")
def ec2(lab: host.Lab) -> Any:
    return ec2_client(lab)


@pytest.fixture(scope="module")
def subnet(ec2: Any) -> dict[str, str]:
    """A network with a way to the internet."""
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/27", AvailabilityZone="us-west-2a")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    group = ec2.create_security_group(GroupName="test", Description="test", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "subnet": subnet, "group": group, "gateway": gateway, "table": table}


@pytest.fixture
def launch(ec2: Any, subnet: dict[str, str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Start instances; they are terminated afterwards."""
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    started: list[str] = []

    def start(name: str, script: str = HELLO, *, public: bool = False, **more: Any) -> dict[str, Any]:
        identity = ec2.run_instances(
            ImageId=image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            UserData=script,
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "SubnetId": subnet["subnet"],
                    "Groups": [subnet["group"]],
                    "AssociatePublicIpAddress": public,
                }
            ],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
            **more,
        )["Instances"][0]["InstanceId"]
        started.append(identity)
        ec2.get_waiter("instance_running").wait(InstanceIds=[identity], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]

    yield start
    if started:
        ec2.terminate_instances(InstanceIds=started)
        waiter = ec2.get_waiter("instance_terminated")
        waiter.wait(InstanceIds=started, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_an_ec2_instance_boots_its_user_data(lab: host.Lab, ec2: Any, launch: Any) -> None:
    instance = launch("boots")
    identity = instance["InstanceId"]
    short = instance["PrivateDnsName"].split(".")[0]
    output = eventually(
        lambda: f"booted-on-{short} as root" in ec2.get_console_output(InstanceId=identity).get("Output", ""),
        "the script's output on the console",
    )
    assert output
    assert inside(lab, identity, "hostname").stdout.strip() == short
    assert instance["PrivateIpAddress"] in inside(lab, identity, "ip -br address").stdout


def test_a_terminated_instance_is_gone(lab: host.Lab, ec2: Any, launch: Any) -> None:
    identity = launch("ends", "#!/bin/sh\nexec sleep 1000\n")["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[identity], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert identity not in [node["id"] for node in lab.nodes()]
    with pytest.raises(LabError, match="no instance"):
        lab.node(identity)


def test_a_stopped_instance_keeps_its_disk(lab: host.Lab, ec2: Any, launch: Any) -> None:
    identity = launch("stops")["InstanceId"]
    assert inside(lab, identity, "echo kept >/var/kept").returncode == 0
    ec2.stop_instances(InstanceIds=[identity])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[identity], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    ec2.start_instances(InstanceIds=[identity])
    ec2.get_waiter("instance_running").wait(InstanceIds=[identity], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    answer = inside(lab, identity, "cat /var/kept")
    assert answer.stdout == "kept\n", answer.stderr


def test_a_security_group_opens_and_closes_a_port(lab: host.Lab, ec2: Any, launch: Any, subnet: dict[str, str]) -> None:
    server = launch("server", "#!/bin/sh\nwhile :; do nc -l -p 7000 </dev/null; done\n")
    client = launch("client")
    address = server["PrivateIpAddress"]

    def reach() -> bool:
        return inside(lab, client["InstanceId"], f"nc -z -w 1 {address} 7000").returncode == 0

    assert not reach()
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 7000,
        "ToPort": 7000,
        "UserIdGroupPairs": [{"GroupId": subnet["group"]}],
    }
    ec2.authorize_security_group_ingress(GroupId=subnet["group"], IpPermissions=[permission])
    eventually(reach, "the port opens")
    ec2.revoke_security_group_ingress(GroupId=subnet["group"], IpPermissions=[permission])
    eventually(lambda: not reach(), "the port closes")


def test_only_a_public_address_leads_to_the_internet(lab: host.Lab, launch: Any) -> None:
    ask = "curl -sS -m 3 -o /dev/null https://ec2.us-west-2.amazonaws.com/"
    assert inside(lab, launch("public", public=True)["InstanceId"], ask).returncode == 0
    assert inside(lab, launch("private")["InstanceId"], ask).returncode != 0


def test_metadata_tells_instances_apart_and_wants_a_token(lab: host.Lab, launch: Any) -> None:
    instance = launch("asks", MetadataOptions={"HttpTokens": "required"})
    base = "http://169.254.169.254/latest"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id"
    refused = inside(lab, instance["InstanceId"], ask)
    assert refused.stdout == "401"
    token = f"$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token)"
    answer = inside(
        lab, instance["InstanceId"], f'curl -s -H "X-aws-ec2-metadata-token: {token}" {base}/meta-data/instance-id'
    )
    assert answer.stdout == instance["InstanceId"]


# An echo request, and a second's patience for its reply. (Not every machine has a ping.)
PING = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
one.settimeout(1)
one.connect((sys.argv[1], 0))
one.send(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]))
sys.exit(one.recv(100)[20] != 0)
"""
CONTAINER = """
echo 1 >/proc/sys/net/ipv4/ip_forward
unshare --net sleep 1000 >/dev/null 2>&1 & box=$!
until [ "$(readlink /proc/$box/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add outside type veth peer name inside netns $box
ip addr add 10.99.0.1/30 dev outside && ip link set outside up
nsenter --net --target $box sh -c 'ip addr add 10.99.0.2/30 dev inside; ip link set inside up; \
  ip route add default via 10.99.0.1'
nft 'add table ip box; add chain ip box out { type nat hook postrouting priority srcnat; }; \
  add rule ip box out ip saddr 10.99.0.2 masquerade'
echo $box
"""


def test_a_token_reaches_a_container_only_with_a_hop_limit_of_two(lab: host.Lab, ec2: Any, launch: Any) -> None:
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    identity = launch("holds-a-container", MetadataOptions=options)["InstanceId"]
    made = inside(lab, identity, CONTAINER)
    box = f"nsenter --net --target {made.stdout.strip()}"
    ask = (
        "curl -s -m 2 -o /dev/null -w '%{http_code}' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
        " http://169.254.169.254/latest/api/token"
    )
    untokened = "curl -s -m 2 -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id"
    assert inside(lab, identity, ask).stdout == "200"
    assert inside(lab, identity, f"{box} {untokened}").stdout == "401", made.stderr
    assert inside(lab, identity, f"{box} {ask}").stdout == "000"
    ec2.modify_instance_metadata_options(InstanceId=identity, HttpPutResponseHopLimit=2)
    assert inside(lab, identity, f"{box} {ask}").stdout == "200"


def test_a_rule_for_echo_requests_lets_in_no_other_icmp(
    lab: host.Lab, ec2: Any, launch: Any, subnet: dict[str, str]
) -> None:
    server, client = launch("pinged"), launch("pings")
    address, source = server["PrivateIpAddress"], client["InstanceId"]

    def echo() -> bool:
        return inside(lab, source, f"python3 -c '{PING}' {address}").returncode == 0

    rule = {"IpProtocol": "icmp", "FromPort": 13, "ToPort": -1, "IpRanges": [{"CidrIp": "10.1.0.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=subnet["group"], IpPermissions=[rule])
    assert not echo()
    other = {**rule, "FromPort": 8}
    ec2.authorize_security_group_ingress(GroupId=subnet["group"], IpPermissions=[other])
    eventually(echo, "echo requests are let in")
    [listed] = ec2.describe_security_groups(GroupIds=[subnet["group"]])["SecurityGroups"]
    assert {(p["FromPort"], p["ToPort"]) for p in listed["IpPermissions"]} == {(13, -1), (8, -1)}
    ec2.revoke_security_group_ingress(GroupId=subnet["group"], IpPermissions=[rule, other])


def test_without_egress_rules_nothing_leaves(lab: host.Lab, ec2: Any, launch: Any, subnet: dict[str, str]) -> None:
    identity = launch("mute", public=True)["InstanceId"]
    ask = "curl -sS -m 3 -o /dev/null https://ec2.us-west-2.amazonaws.com/"
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    assert inside(lab, identity, ask).returncode == 0
    ec2.revoke_security_group_egress(GroupId=subnet["group"], IpPermissions=[everything])
    eventually(lambda: inside(lab, identity, ask).returncode != 0, "egress closes")
    only = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_egress(GroupId=subnet["group"], IpPermissions=[only])
    eventually(lambda: inside(lab, identity, ask).returncode == 0, "egress opens for one port")
    ec2.revoke_security_group_egress(GroupId=subnet["group"], IpPermissions=[only])
    ec2.authorize_security_group_egress(GroupId=subnet["group"], IpPermissions=[everything])


# ---- GCP -------------------------------------------------------------------------------------------------


class Operator(service_account.Credentials):
    """The lab's service account. Google's class would look it up at Google's IAM in the background."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


@dataclass(frozen=True)
class Gce:
    """Google's own clients, at a lab's address."""

    lab: host.Lab

    def client(self, name: str) -> Any:
        """A client by its class name without the end, for example ``Networks``."""
        kind = getattr(compute_v1, f"{name}Client")
        transports = importlib.import_module(f"{kind.__module__.rpartition('.')[0]}.transports.rest")
        credentials = Operator.from_service_account_file(
            str(Path(self.lab.home) / "gcp-credentials.json"), scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        address = self.lab.gcp_endpoint.removeprefix("http://")
        transport = getattr(transports, f"{name}RestTransport")
        return kind(transport=transport(host=address, credentials=credentials, url_scheme="http"))

    def done(self, operation: Any) -> None:
        """Wait for an operation. (The clients' own futures ask Google's address, whatever endpoint they have.)"""
        scope = "zone" if operation.zone else "region" if operation.region else ""
        where = {scope: getattr(operation, scope).rpartition("/")[2]} if scope else {}
        client = self.client(f"{scope.title() or 'Global'}Operations")
        while operation.status != compute_v1.Operation.Status.DONE:
            operation = client.wait(project=PROJECT, operation=operation.name, **where)
        assert not operation.error.errors, operation.error


@pytest.fixture(scope="module")
def gce(lab: host.Lab) -> Gce:
    return Gce(lab)


@pytest.fixture
def boots(gce: Gce) -> Iterator[str]:
    """An instance in a network of its own; both are deleted afterwards."""
    networks, subnetworks, instances = map(gce.client, ("Networks", "Subnetworks", "Instances"))
    net = compute_v1.Network(name="net", auto_create_subnetworks=False)
    gce.done(networks.insert_unary(project=PROJECT, network_resource=net))
    sub = compute_v1.Subnetwork(name="sub", network="global/networks/net", ip_cidr_range="10.2.0.0/26")
    gce.done(subnetworks.insert_unary(project=PROJECT, region=GCP_REGION, subnetwork_resource=sub))
    body = compute_v1.Instance(
        name="boots",
        machine_type=f"zones/{ZONE}/machineTypes/e2-small",
        disks=[
            compute_v1.AttachedDisk(
                boot=True,
                auto_delete=True,
                initialize_params=compute_v1.AttachedDiskInitializeParams(source_image=IMAGE),
            )
        ],
        network_interfaces=[compute_v1.NetworkInterface(subnetwork=f"regions/{GCP_REGION}/subnetworks/sub")],
        metadata=compute_v1.Metadata(items=[compute_v1.Items(key="startup-script", value=HELLO)]),
    )
    gce.done(instances.insert_unary(project=PROJECT, zone=ZONE, instance_resource=body))
    yield "boots"
    if [one for one in instances.list(project=PROJECT, zone=ZONE) if one.name == "boots"]:
        gce.done(instances.delete_unary(project=PROJECT, zone=ZONE, instance="boots"))
    gce.done(subnetworks.delete_unary(project=PROJECT, region=GCP_REGION, subnetwork="sub"))
    gce.done(networks.delete_unary(project=PROJECT, network="net"))


def test_a_gce_instance_boots_its_startup_script(gce: Gce, boots: str) -> None:
    instances = gce.client("Instances")
    where = {"project": PROJECT, "zone": ZONE, "instance": boots}
    assert instances.get(**where).status == "RUNNING"
    eventually(
        lambda: "booted-on-boots as root" in instances.get_serial_port_output(**where).contents,
        "the script's output on the serial port",
    )


def test_gce_metadata_wants_its_header(lab: host.Lab, boots: str) -> None:
    base = "http://metadata.google.internal/computeMetadata/v1"
    name = inside(lab, boots, f"curl -s -H 'Metadata-Flavor: Google' {base}/instance/hostname")
    assert name.stdout == f"boots.c.{PROJECT}.internal"
    refused = inside(lab, boots, f"curl -s -m 3 -o /dev/null -w '%{{http_code}}' {base}/instance/hostname")
    assert refused.stdout == "403"


def test_a_deleted_gce_instance_is_gone(lab: host.Lab, gce: Gce, boots: str) -> None:
    assert boots in [node["name"] for node in lab.nodes()]
    gce.done(gce.client("Instances").delete_unary(project=PROJECT, zone=ZONE, instance=boots))
    assert boots not in [node["name"] for node in lab.nodes()]
