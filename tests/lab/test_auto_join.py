"""Consul's cloud auto-join, with and without the rights that it needs: the agent's own log tells what it was refused.

What it says is the clouds' own: without credentials AWS's SDK gives up by itself, without the right EC2 refuses,
without an account Google's metadata server has no token, and without the scope Google's API refuses.
"""

# ruff: noqa: F811 - fixtures are asked for by the names that they are imported under

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from google.cloud import compute_v1

from runbook_lib.lab import host
from tests.lab.test_world import (  # noqa: F401 - ec2, gce, launch and subnet are fixtures
    GCP_REGION,
    IMAGE,
    PROJECT,
    ZONE,
    Gce,
    ec2,
    eventually,
    gce,
    inside,
    launch,
    subnet,
)

pytestmark = pytest.mark.lab

AGENT = """#!/bin/sh
export PATH=/usr/local/bin:/usr/bin:/bin
exec consul agent -data-dir=/var/consul -bind="$(hostname -I | cut -d ' ' -f 1)" -retry-interval=1s \\
"""
SEED = f"{AGENT} -node=seed -server -bootstrap-expect=1\n"
PATIENCE = 60


def joined(lab: host.Lab, node: str) -> bool:
    """Whether an agent sees the seed alive."""
    lines = inside(lab, node, "consul members").stdout.splitlines()
    return any(line.split()[0] == "seed" and line.split()[2] == "alive" for line in lines)


# ---- AWS -------------------------------------------------------------------------------------------------

JOIN_AWS = f"{AGENT} -node=joiner -retry-join='provider=aws tag_key=Consul tag_value=server'\n"
MAY_LIST = {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"}


@pytest.fixture
def iam(lab: host.Lab) -> Iterator[Any]:
    """IAM's client, with a role in a profile of the same name that may do nothing; both are deleted afterwards."""
    session: Any = boto3.Session(region_name="us-west-2")
    lines = (Path(lab.home) / "aws-credentials").read_text().splitlines()
    keys = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines) if value}
    client = session.client("iam", endpoint_url=lab.aws_endpoint, **keys)
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client.create_role(RoleName="joiner", AssumeRolePolicyDocument=policy(trust))
    client.create_instance_profile(InstanceProfileName="joiner")
    client.add_role_to_instance_profile(InstanceProfileName="joiner", RoleName="joiner")
    yield client
    client.remove_role_from_instance_profile(InstanceProfileName="joiner", RoleName="joiner")
    client.delete_instance_profile(InstanceProfileName="joiner")
    with suppress(ClientError):
        client.delete_role_policy(RoleName="joiner", PolicyName="list")
    client.delete_role(RoleName="joiner")


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def gossip(ec2: Any, subnet: dict[str, str]) -> Iterator[None]:
    """Members of the group reach each other."""
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": subnet["group"]}]}
    ec2.authorize_security_group_ingress(GroupId=subnet["group"], IpPermissions=[permission])
    yield
    ec2.revoke_security_group_ingress(GroupId=subnet["group"], IpPermissions=[permission])


def test_on_aws_an_agent_joins_once_its_role_may_list_instances(
    lab: host.Lab, ec2: Any, iam: Any, launch: Any, gossip: None
) -> None:
    seed = launch("seed", SEED, public=True)["InstanceId"]
    ec2.create_tags(Resources=[seed], Tags=[{"Key": "Consul", "Value": "server"}])
    joiner = launch("joiner", JOIN_AWS, public=True)["InstanceId"]

    def says(*words: str) -> Callable[[], bool]:
        return lambda: all(word in ec2.get_console_output(InstanceId=joiner).get("Output", "") for word in words)

    eventually(says("NoCredentialProviders: no valid providers in chain"), "no profile, no credentials", PATIENCE)
    ec2.associate_iam_instance_profile(IamInstanceProfile={"Name": "joiner"}, InstanceId=joiner)
    refusal = (
        "UnauthorizedOperation: You are not authorized to perform this operation.",
        f"assumed-role/joiner/{joiner} is not authorized to perform: ec2:DescribeInstances because no identity-based "
        "policy allows the ec2:DescribeInstances action",
        "status code: 403",
    )
    eventually(says(*refusal), "a role without the right is refused", PATIENCE)
    assert not joined(lab, joiner)
    iam.put_role_policy(RoleName="joiner", PolicyName="list", PolicyDocument=policy(MAY_LIST))
    eventually(lambda: joined(lab, joiner), "with the right it joins", PATIENCE)


# ---- GCP -------------------------------------------------------------------------------------------------

JOIN_GCP = f"{AGENT} -node=joiner -retry-join='provider=gce tag_value=consul-servers'\n"
SCOPE = "https://www.googleapis.com/auth/"


@pytest.fixture
def start(gce: Gce) -> Iterator[Callable[..., None]]:
    """Start instances in a network in which all reach each other; everything is deleted afterwards."""
    networks, subnetworks, firewalls = map(gce.client, ("Networks", "Subnetworks", "Firewalls"))
    instances, started = gce.client("Instances"), list[str]()
    net = compute_v1.Network(name="pool", auto_create_subnetworks=False)
    gce.done(networks.insert_unary(project=PROJECT, network_resource=net))
    sub = compute_v1.Subnetwork(name="pool", network="global/networks/pool", ip_cidr_range="10.3.0.0/26")
    gce.done(subnetworks.insert_unary(project=PROJECT, region=GCP_REGION, subnetwork_resource=sub))
    rule = compute_v1.Firewall(
        name="pool",
        network="global/networks/pool",
        source_ranges=["10.3.0.0/26"],
        allowed=[compute_v1.Allowed(I_p_protocol="all")],
    )
    gce.done(firewalls.insert_unary(project=PROJECT, firewall_resource=rule))

    def run(name: str, script: str, *scopes: str, tags: tuple[str, ...] = ()) -> None:
        size = compute_v1.AttachedDiskInitializeParams(source_image=IMAGE)
        body = compute_v1.Instance(
            name=name,
            machine_type=f"zones/{ZONE}/machineTypes/e2-small",
            disks=[compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=size)],
            network_interfaces=[
                compute_v1.NetworkInterface(
                    subnetwork=f"regions/{GCP_REGION}/subnetworks/pool",
                    access_configs=[compute_v1.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT")],
                )
            ],
            tags=compute_v1.Tags(items=list(tags)),
            metadata=compute_v1.Metadata(items=[compute_v1.Items(key="startup-script", value=script)]),
        )
        if scopes:
            full = [f"{SCOPE}{scope}" for scope in scopes]
            body.service_accounts = [compute_v1.ServiceAccount(email="default", scopes=full)]
        gce.done(instances.insert_unary(project=PROJECT, zone=ZONE, instance_resource=body))
        started.append(name)

    yield run
    for operation in [instances.delete_unary(project=PROJECT, zone=ZONE, instance=name) for name in started]:
        gce.done(operation)
    gce.done(firewalls.delete_unary(project=PROJECT, firewall="pool"))
    gce.done(subnetworks.delete_unary(project=PROJECT, region=GCP_REGION, subnetwork="pool"))
    gce.done(networks.delete_unary(project=PROJECT, network="pool"))


def test_on_gcp_an_agent_joins_only_with_the_scope_that_reads_instances(
    lab: host.Lab, gce: Gce, start: Callable[..., None]
) -> None:
    start("pool-seed", SEED, tags=("consul-servers",))
    start("reads-nothing", JOIN_GCP)
    start("reads-storage", JOIN_GCP, "devstorage.read_only", "logging.write")
    start("reads-compute", JOIN_GCP, "compute.readonly")

    def says(node: str, *words: str) -> Callable[[], bool]:
        read = gce.client("Instances").get_serial_port_output
        return lambda: all(word in read(project=PROJECT, zone=ZONE, instance=node).contents for word in words)

    eventually(lambda: joined(lab, "reads-compute"), "with the scope it joins", PATIENCE)
    narrow = ("Error 403: Request had insufficient authentication scopes.", "insufficientPermissions")
    eventually(says("reads-storage", *narrow), "other scopes are refused", PATIENCE)
    none = ('metadata: GCE metadata "instance/service-accounts/default/token', "not defined")
    eventually(says("reads-nothing", *none), "without an account there is no token", PATIENCE)
    assert not joined(lab, "reads-storage")
    assert not joined(lab, "reads-nothing")
