"""Solutions of the exercises of runbook_lib/exercises/teardown.py, to be done when the deployment is gone."""

from __future__ import annotations

import pytest

from runbook_lib import sdk
from runbook_lib.errors import CloudError
from runbook_lib.site import Site, open_site
from tests.exercises.deeds import google, mended
from tests.exercises.solution import Solution

TEARDOWN, HOLDER = "05_teardown", "an exercise"


# ---- 05-left-behind --------------------------------------------------------------------------------------


def leave_an_address_and_a_network(site: Site) -> None:
    dep = site.params.deployment
    _address(site, Name=f"{dep}-left", Deployment=dep)
    _network(site, f"{dep}-left", f"deployment={dep}")


def leave_names_alone(site: Site) -> None:
    """A name is no mark."""
    dep = site.params.deployment
    _address(site, Name=f"{dep}-left")
    _network(site, f"{dep}-left", "left by somebody")


def leave_in_aws_alone(site: Site) -> None:
    dep = site.params.deployment
    _address(site, Name=f"{dep}-left", Deployment=dep)


def take_away(site: Site) -> None:
    """What carries the mark goes by the plan; what does not, by hand."""
    mended(site, TEARDOWN)
    dep, ec2 = site.params.deployment, sdk.aws(site.params)
    named = [{"Name": "tag:Name", "Values": [f"{dep}-left", f"{dep}-two-vpc"]}]
    for address in ec2.describe_addresses(Filters=named)["Addresses"]:
        ec2.release_address(AllocationId=address["AllocationId"])
    for vpc in ec2.describe_vpcs(Filters=named)["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    for one in sdk.gcp(site.params, "Networks").list(project=site.params.gcp_project):
        if one.name in (f"{dep}-left", f"{dep}-two-network"):
            google(site, "Networks", "delete", network=one.name)


def _address(site: Site, **tags: str) -> None:
    marks = [{"ResourceType": "elastic-ip", "Tags": _tags(tags)}]
    sdk.aws(site.params).allocate_address(Domain="vpc", TagSpecifications=marks)


def _network(site: Site, name: str, description: str) -> None:
    wanted = {"name": name, "description": description, "auto_create_subnetworks": False}
    google(site, "Networks", "insert", network_resource=wanted)


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


# ---- 05-neighbour ----------------------------------------------------------------------------------------


def let_a_neighbour_in(site: Site) -> None:
    dep = site.params.deployment
    _vpc(site, Name=f"{dep}-two-vpc", Deployment=f"{dep}-two")
    _network(site, f"{dep}-two-network", f"deployment={dep}-two")


def mark_them_as_ours(site: Site) -> None:
    """The names are a neighbour's, the marks are not; the plan goes by the marks."""
    dep = site.params.deployment
    _vpc(site, Name=f"{dep}-two-vpc", Deployment=dep)
    _network(site, f"{dep}-two-network", f"deployment={dep}")


def let_a_neighbour_into_aws_alone(site: Site) -> None:
    dep = site.params.deployment
    _vpc(site, Name=f"{dep}-two-vpc", Deployment=f"{dep}-two")


def _vpc(site: Site, cidr: str = "10.8.0.0/24", **tags: str) -> str:
    marks = [{"ResourceType": "vpc", "Tags": _tags(tags)}]
    vpc: str = sdk.aws(site.params).create_vpc(CidrBlock=cidr, TagSpecifications=marks)["Vpc"]["VpcId"]
    return vpc


# ---- 05-held ---------------------------------------------------------------------------------------------


def hold_on(site: Site) -> None:
    """The teardown does what it can: of two subnets, the one that nobody stands in goes."""
    held, _ = _subnets(site, site.params.deployment)
    _interface(site, held)
    # Less patient than a user's, who would see the same after two minutes: what holds on may be going away itself.
    brief = open_site(site.params.model_copy(update={"timeout": 5}))
    try:
        with pytest.raises(CloudError, match="holds on to") as refused:
            brief.apply(brief.plan(TEARDOWN))
        assert "eni-" in str(refused.value.seen)
    finally:
        brief.close()


def leave_empty_subnets(site: Site) -> None:
    """The next teardown would take them away."""
    _subnets(site, site.params.deployment)


def hold_on_to_a_neighbour(site: Site) -> None:
    """It is in nobody's way who tears down this deployment."""
    held, _ = _subnets(site, f"{site.params.deployment}-two")
    _interface(site, held)


def let_go(site: Site) -> None:
    dep, ec2 = site.params.deployment, sdk.aws(site.params)
    for one in ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [HOLDER]}])[
        "NetworkInterfaces"
    ]:
        ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    neighbours = [{"Name": "tag:Deployment", "Values": [f"{dep}-two"]}]
    for subnet in ec2.describe_subnets(Filters=neighbours)["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    take_away(site)


def _subnets(site: Site, deployment: str) -> tuple[str, str]:
    """Two subnets in a VPC of their own, made by hand with a deployment's marks: their ids."""
    vpc = _vpc(site, Name=f"{deployment}-vpc", Deployment=deployment)
    ec2, ids = sdk.aws(site.params), []
    for letter, cidr in (("a", "10.8.0.0/28"), ("b", "10.8.0.16/28")):
        marks = _tags({"Name": f"{deployment}-private-{letter}", "Deployment": deployment})
        made = ec2.create_subnet(
            VpcId=vpc, CidrBlock=cidr, TagSpecifications=[{"ResourceType": "subnet", "Tags": marks}]
        )
        ids.append(made["Subnet"]["SubnetId"])
    return ids[0], ids[1]


def _interface(site: Site, subnet: str) -> None:
    sdk.aws(site.params).create_network_interface(SubnetId=subnet, Description=HOLDER)


SOLUTIONS: tuple[Solution, ...] = (
    Solution("05-left-behind", leave_an_address_and_a_network, (leave_names_alone, leave_in_aws_alone), take_away),
    Solution("05-neighbour", let_a_neighbour_in, (mark_them_as_ours, let_a_neighbour_into_aws_alone), take_away),
    Solution("05-held", hold_on, (leave_empty_subnets, hold_on_to_a_neighbour), let_go),
)
