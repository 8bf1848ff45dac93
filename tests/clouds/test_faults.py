"""Each kind of fault by itself: what passes is ridden out and makes nothing twice; the rest ends in words that help."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import CloudError
from runbook_lib.lab.api_faults.schedule import CALLS, FOR_GOOD, Fault, Strike
from runbook_lib.plan import plan
from runbook_lib.resources import Found, resolve
from runbook_lib.topology import topology
from tests.crashes.content import Content, differences
from tests.crashes.operators import KEY, STEPS
from tests.fault_trials import Emulated, baseline, both_clouds, provision


@pytest.fixture(scope="module")
def expected() -> Content:
    """What both accounts hold after a provision without faults."""
    return baseline()


@pytest.mark.parametrize("fault", ["throttled", "broken", "unknown", "stale", "cut-before", "cut-after"])
def test_what_passes_is_ridden_out_and_makes_nothing_twice(fault: Fault, expected: Content, tmp_path: Path) -> None:
    strikes = tuple(Strike(cloud, fault, action) for cloud, calls in CALLS.items() for action in calls[fault])
    with both_clouds(tmp_path, strikes) as emulated:
        wanted, clouds = topology(emulated.params, public_key=KEY), emulated.clouds()
        provision(wanted, clouds)
        # Whether something is looked at by its id depends on how soon it is ready.
        sure = {strike for strike in strikes if fault != "unknown" or "Describe" not in strike.action}
        assert sure <= set(emulated.injector.struck)
        emulated.injector.stop()
        assert differences(expected, emulated.content(clouds)) == []
        found = clouds.inventory()
        assert found.keys() == wanted.by_key.keys()
        assert [action for step in STEPS for action in plan(wanted, found, step).work] == []


# ---- what does not pass ----------------------------------------------------------------------------------------


class Anything(dict[str, Found]):
    """Whatever a resource refers to is there: a call that is refused gets no further anyway."""

    def __missing__(self, key: str) -> Found:
        return Found(key, "x-1", defaultdict(lambda: "x-1"))


@pytest.fixture
def emulated(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Emulated]:
    with both_clouds(tmp_path, request.param) as clouds:
        yield clouds


def strike(cloud: Any, fault: Fault, action: str, times: int = FOR_GOOD) -> tuple[Strike, ...]:
    return (Strike(cloud, fault, action, times=times),)


AWS_INSTANCE, GCP_INSTANCE = "aws:instance:blue-bastion-aws", "gcp:instance:blue-bastion-gcp"


@pytest.mark.parametrize(
    ("emulated", "key", "seen", "remedy"),
    [
        (
            strike("aws", "throttled", "ec2:CreateVpc"),
            "aws:vpc:blue-vpc",
            "RequestLimitExceeded: Request limit exceeded.",
            "wait a minute",
        ),
        (strike("aws", "broken", "ec2:CreateVpc"), "aws:vpc:blue-vpc", "InternalError", "wait a minute"),
        (strike("aws", "cut-before", "ec2:CreateVpc"), "aws:vpc:blue-vpc", "Connection was closed", "network"),
        (
            strike("aws", "quota", "ec2:CreateVpc"),
            "aws:vpc:blue-vpc",
            "VpcLimitExceeded: The maximum number of VPCs has been reached.",
            'the quota "VPCs per Region"',
        ),
        (
            strike("aws", "quota", "ec2:AllocateAddress"),
            "aws:elastic_ip:blue-nat",
            "AddressLimitExceeded",
            'the quota "EC2-VPC Elastic IPs"',
        ),
        (strike("aws", "quota", "ec2:RunInstances"), AWS_INSTANCE, "VcpuLimitExceeded", "Running On-Demand"),
        (
            strike("aws", "quota", "iam:CreateRole"),
            "aws:iam_role:blue-ec2-describe-instances",
            "RolesPerAccount",
            "IAM",
        ),
        (
            strike("aws", "capacity", "ec2:RunInstances"),
            AWS_INSTANCE,
            "InsufficientInstanceCapacity: We currently do not have sufficient",
            "choose other aws_zones",
        ),
        (
            strike("aws", "image", "ec2:RunInstances"),
            AWS_INSTANCE,
            "InvalidAMIID.NotFound: The image id",
            "correct aws_image",
        ),
        (strike("aws", "expired", "ec2:CreateVpc"), "aws:vpc:blue-vpc", "RequestExpired", "renew the credentials"),
        (
            strike("aws", "expired", "iam:CreateRole"),
            "aws:iam_role:blue-ec2-describe-instances",
            "ExpiredToken",
            "renew the credentials",
        ),
        (
            strike("aws", "unknown", "ec2:CreateSubnet"),
            "aws:subnet:blue-public-a",
            "InvalidVpcID.NotFound: The vpc ID 'x-1' does not exist",
            "run the step again",
        ),
        (
            strike("gcp", "throttled", "compute.networks.insert"),
            "gcp:network:blue-network",
            "HTTP 429 rateLimitExceeded",
            "wait a minute",
        ),
        (strike("gcp", "broken", "compute.networks.insert"), "gcp:network:blue-network", "HTTP 503", "wait a minute"),
        (
            strike("gcp", "quota", "compute.networks.insert"),
            "gcp:network:blue-network",
            "HTTP 403 quotaExceeded",
            "the quota NETWORKS",
        ),
        (strike("gcp", "quota", "compute.instances.insert"), GCP_INSTANCE, "QUOTA_EXCEEDED", "the quota CPUS"),
        (
            strike("gcp", "capacity", "compute.instances.insert"),
            GCP_INSTANCE,
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "use other zones (gcp_zones)",
        ),
        (strike("gcp", "failed", "compute.routers.insert"), "gcp:router:blue-vpn", "INTERNAL_ERROR", "carries on"),
        (
            strike("gcp", "image", "compute.instances.insert"),
            GCP_INSTANCE,
            "HTTP 404 notFound",
            "correct gcp_image",
        ),
        (
            strike("gcp", "expired", "compute.networks.insert"),
            "gcp:network:blue-network",
            "HTTP 401",
            "renew the credentials that gcp_credentials names",
        ),
        (
            strike("gcp", "cut-before", "compute.networks.insert"),
            "gcp:network:blue-network",
            "ConnectionError",
            "gcp_endpoint",
        ),
    ],
    indirect=["emulated"],
)
def test_what_does_not_pass_names_the_resource_the_clouds_words_and_a_remedy(
    emulated: Emulated, key: str, seen: str, remedy: str
) -> None:
    wanted, clouds = topology(emulated.params, public_key=KEY), emulated.clouds()
    resource = wanted.by_key[key]
    with pytest.raises(CloudError) as raised:
        clouds[resource.cloud].create(resource, resolve(resource.spec, Anything()))
    assert raised.value.resource.replace(" ", ":") == key
    assert seen in f"{raised.value.seen} {raised.value.message}"
    assert remedy in raised.value.remedy
    emulated.injector.stop()
    assert emulated.clouds().inventory() == {}


@pytest.mark.parametrize("emulated", [strike("aws", "failed", "ec2:DescribeNatGateways", times=1)], indirect=True)
def test_a_nat_gateway_that_fails_is_told_with_its_reason(emulated: Emulated) -> None:
    wanted, clouds = topology(emulated.params, public_key=KEY), emulated.clouds()
    with pytest.raises(CloudError, match="the NAT gateway could not be made") as raised:
        provision(wanted, clouds)
    assert raised.value.resource == "aws:nat_gateway:blue-nat"
    assert "failed: InternalError Network interface attachment failed" in str(raised.value.seen)
    # The failed one stays listed for a while, and another is made, with the same address.
    provision(wanted, emulated.clouds())
    assert emulated.clouds().inventory().keys() == wanted.by_key.keys()


@pytest.mark.parametrize("emulated", [strike("gcp", "expired", "compute.networks.insert", times=1)], indirect=True)
def test_a_token_that_ran_out_is_renewed_by_itself(emulated: Emulated) -> None:
    wanted, clouds = topology(emulated.params, public_key=KEY), emulated.clouds()
    network = wanted.by_key["gcp:network:blue-network"]
    clouds.gcp.create(network, network.spec)
    assert clouds.gcp.inventory().keys() == {network.key}
    assert emulated.injector.struck
