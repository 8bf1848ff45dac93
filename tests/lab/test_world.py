"""What the APIs hold is what runs: instances, addresses, routes and firewalls, asked from inside."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from google.cloud import compute_v1
from google.cloud.compute_v1.services.instances.transports.rest import InstancesRestTransport
from google.oauth2 import service_account

from runbook_lib.lab import host
from runbook_lib.lab.errors import LabError

pytestmark = pytest.mark.lab

PROJECT = "runbook-lab"
ZONE = "europe-west1-b"
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


@pytest.fixture(scope="module")
def ec2(lab: host.Lab) -> Any:
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


def test_a_security_group_opens_and_closes_a_port(
    lab: host.Lab, ec2: Any, launch: Any, subnet: dict[str, str]
) -> None:
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
    refused = inside(lab, instance["InstanceId"], f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id")
    assert refused.stdout == "401"
    token = f"$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token)"
    answer = inside(
        lab, instance["InstanceId"], f'curl -s -H "X-aws-ec2-metadata-token: {token}" {base}/meta-data/instance-id'
    )
    assert answer.stdout == instance["InstanceId"]


# ---- GCP -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gce(lab: host.Lab) -> Callable[[type[Any], type[Any]], Any]:
    credentials = service_account.Credentials.from_service_account_file(
        str(Path(lab.home) / "gcp-credentials.json"), scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    address = lab.gcp_endpoint.removeprefix("http://")

    def client(kind: type[Any], transport: type[Any]) -> Any:
        return kind(transport=transport(host=address, credentials=credentials, url_scheme="http"))

    return client


def test_a_gce_instance_boots_its_startup_script(lab: host.Lab, gce: Any) -> None:
    from google.cloud.compute_v1.services.networks.transports.rest import NetworksRestTransport
    from google.cloud.compute_v1.services.subnetworks.transports.rest import SubnetworksRestTransport

    networks = gce(compute_v1.NetworksClient, NetworksRestTransport)
    subnetworks = gce(compute_v1.SubnetworksClient, SubnetworksRestTransport)
    instances = gce(compute_v1.InstancesClient, InstancesRestTransport)
    networks.insert(
        project=PROJECT, network_resource=compute_v1.Network(name="net", auto_create_subnetworks=False)
    ).result(30)
    subnetworks.insert(
        project=PROJECT,
        region="europe-west1",
        subnetwork_resource=compute_v1.Subnetwork(
            name="sub", network="global/networks/net", ip_cidr_range="10.2.0.0/26"
        ),
    ).result(30)
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
        network_interfaces=[compute_v1.NetworkInterface(subnetwork="regions/europe-west1/subnetworks/sub")],
        metadata=compute_v1.Metadata(items=[compute_v1.Items(key="startup-script", value=HELLO)]),
    )
    instances.insert(project=PROJECT, zone=ZONE, instance_resource=body).result(30)
    found = instances.get(project=PROJECT, zone=ZONE, instance="boots")
    assert found.status == "RUNNING"
    eventually(
        lambda: "booted-on-boots as root"
        in instances.get_serial_port_output(project=PROJECT, zone=ZONE, instance="boots").contents,
        "the script's output on the serial port",
    )
    name = inside(
        lab,
        "boots",
        "curl -s -H 'Metadata-Flavor: Google' http://metadata.google.internal/computeMetadata/v1/instance/hostname",
    )
    assert name.stdout == f"boots.c.{PROJECT}.internal"
    assert inside(lab, "boots", "curl -s -m 3 http://169.254.169.254/computeMetadata/v1/ -w '%{http_code}' -o /dev/null").stdout == "403"
    instances.delete(project=PROJECT, zone=ZONE, instance="boots").result(30)
    assert "boots" not in [node["name"] for node in lab.nodes()]
    subnetworks.delete(project=PROJECT, region="europe-west1", subnetwork="sub").result(30)
    networks.delete(project=PROJECT, network="net").result(30)
