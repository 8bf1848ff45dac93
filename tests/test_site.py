"""A deployment opened on both emulated clouds, as a notebook opens it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from runbook_lib import approval, costs
from runbook_lib.errors import ApprovalError, CloudError, ParameterError, PrerequisiteError
from runbook_lib.params import Params
from runbook_lib.pictures.architecture import architecture
from runbook_lib.site import open_site
from tests.clouds.conftest import aws_lab, gcp_lab  # noqa: F401 - fixtures
from tests.sessions import Session


@pytest.fixture
def params(aws_lab: Any, gcp_lab: Any, tmp_path: Path) -> Params:  # noqa: F811
    return Params(
        aws_endpoint=aws_lab.url,
        aws_credentials=aws_lab.credentials,
        gcp_endpoint=gcp_lab.url,
        gcp_credentials=gcp_lab.credentials,
        keys=str(tmp_path / "keys"),
        timeout=30,
    )


def test_a_site_tells_which_images_it_would_boot(params: Params) -> None:
    table = open_site(params).check().images()
    assert [(row[0], row[2]) for row in table.rows] == [
        ("aws", "debian-12-amd64-20260101-1"),
        ("gcp", "debian-12-bookworm-v20260101"),
    ]


def test_a_site_goes_from_nothing_to_servers_and_back(params: Params) -> None:
    site = open_site(params).check()
    assert site.found() == {}
    assert architecture(site).alt.count("nothing yet") == 2

    with pytest.raises(PrerequisiteError, match="00_provision has not run"):
        site.plan("01_bootstrap")
    network = site.apply(site.plan("00_provision"))
    assert (network.created > 0, network.changed, network.destroyed, network.kept) == (True, 0, 0, 0)
    again = site.apply(site.plan("00_provision"))
    assert (again.created, again.kept) == (0, network.created)
    site.apply(site.plan("01_bootstrap"))

    assert [host.name for host in site.hosts("consul", "gcp")] == [f"server-gcp-consul-{n}" for n in (1, 2, 3)]
    assert len(site.hosts()) == 8
    server = site.host("server-aws-consul-2")
    assert (server.cloud, server.zone, server.datacenter) == ("aws", "us-west-2b", "us-west-2")
    assert site.console(server) == f"console of {server.id}\n"
    with pytest.raises(ParameterError, match="no such host") as refused:
        site.host("server-aws-web-9")
    assert refused.value.seen == "server-aws-web-9"
    assert "server-aws-consul-2" in str(refused.value.expected)

    picture = architecture(site)
    shown = ["".join(part.itertext()) for part in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")]
    for host in site.hosts():
        addresses = " ".join(filter(None, (host.private_ip, host.public_ip)))
        assert f"{host.name} {addresses} running" in picture.alt
        assert any(host.private_ip in part for part in shown)
    assert picture.alt.count("8 subnets") + picture.alt.count("6 subnets") + picture.alt.count("2 subnets") == 2

    removed = site.apply(site.plan("05_teardown"))
    assert removed.destroyed == network.created + 6
    assert site.left() == ()
    site.close()


def test_a_missing_state_file_is_refused_before_anything_is_asked(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="network_state"):
        open_site(params.model_copy(update={"network_state": str(tmp_path / "none.tfstate")}))


def test_the_test_step_is_refused_when_no_test_is_wanted(params: Params) -> None:
    site = open_site(params.model_copy(update={"test": False}))
    with pytest.raises(ParameterError, match="test is false"):
        site.plan("04_test")
    assert site.found() == {}


def test_nothing_is_made_or_destroyed_without_the_approval_that_is_required(params: Params) -> None:
    site = open_site(params.model_copy(update={"approval": "required"}))
    plan = site.plan("00_provision")
    with pytest.raises(ApprovalError, match="to create"):
        site.apply(plan)
    assert site.found() == {}
    approval.issue(site.params, approval.plan_hash(plan, site.params.recorded()), 5)
    made = site.apply(site.plan("00_provision"))
    assert made.created > 0
    assert site.apply(site.plan("00_provision")).created == 0, "nothing to do needs no approval"
    with pytest.raises(ApprovalError, match="to destroy"):
        site.apply(site.plan("05_teardown"))
    assert len(site.found()) == made.created

    # What mends an approved plan that was carried out by half needs none, unless it destroys something else.
    teardown = site.plan("05_teardown")
    with pytest.raises(ApprovalError):
        site.apply(teardown, mends=plan.__class__(plan.step, teardown.actions[1:], plan.found, plan.topology))
    assert site.apply(teardown, mends=teardown).destroyed == made.created
    site.close()


def test_a_teardown_goes_as_far_as_it_can_and_says_what_holds_it_and_what_the_rest_costs(params: Params) -> None:
    site = open_site(params.model_copy(update={"timeout": 15}))
    site.apply(site.plan("00_provision"))
    assert len([cost for cost in costs.left(site.found()) if cost.key.startswith("gcp:vpn_tunnel:")]) == 4
    ec2 = site.clouds.aws._account.ec2  # type: ignore[attr-defined]
    subnet = site.found()["aws:subnet:demo-private-a"].id
    image = ec2.describe_images(Owners=[params.aws_image_owner])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, InstanceType="t3.small")
    instance = made["Instances"][0]["InstanceId"]

    with pytest.raises(CloudError, match="something else holds on to") as raised:
        site.apply(site.plan("05_teardown"))
    assert raised.value.resource == "aws:subnet:demo-private-a"
    assert f"instance {instance}" in str(raised.value)
    assert "what is left costs 0.000 USD an hour" in str(raised.value)
    assert set(site.left()) == {"aws:subnet:demo-private-a", "aws:vpc:demo-vpc"}

    ec2.terminate_instances(InstanceIds=[instance])
    site.apply(site.plan("05_teardown"))
    assert site.left() == ()
    site.close()


def test_all_steps_are_planned_at_once_but_no_test_that_is_not_wanted(params: Params) -> None:
    steps = [plan.step for plan in open_site(params).plans()]
    assert steps == ["00_provision", "01_bootstrap", "03_traefik", "04_test"]
    without = open_site(params.model_copy(update={"test": False})).plans()
    assert [plan.step for plan in without] == steps[:-1]


def test_a_cell_that_opens_it_again_closes_what_was_open(params: Params, tmp_path: Path) -> None:
    given = {name: getattr(params, name) for name in params.model_fields_set}
    with Session(RUNBOOK_OUTPUT=str(tmp_path / "outputs")) as session:
        session.run(f"import runbook_lib as rb; given = {given!r}; closed = []")
        for deployment in ("blue", "green", "blue"):
            session.run(f"site = rb.open_site(rb.Params(deployment={deployment!r}, **given))")
            session.run(f"site.closing.append(lambda: closed.append({deployment!r})); {deployment} = site")
        assert session.run("closed")[0].data["text/plain"] == "['blue']"
        session.close()
