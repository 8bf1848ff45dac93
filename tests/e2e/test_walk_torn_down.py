"""05_teardown: all that carried the deployment's name is gone from both clouds, and nothing else. The last file."""

from __future__ import annotations

import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Run


@pytest.fixture(scope="module")
def foreign(operator: Operator) -> str:
    """A network of somebody else's, whose name begins like the deployment's."""
    tags = [{"Key": "Name", "Value": "proof-of-somebody-else"}, {"Key": "Deployment", "Value": "proof-of"}]
    made = operator.boto("ec2").create_vpc(
        CidrBlock="10.9.0.0/24", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}]
    )
    vpc: str = made["Vpc"]["VpcId"]
    return vpc


@pytest.fixture(scope="module")
def torn_down(operator: Operator, walk: Run, foreign: str) -> Run:
    """The teardown, as a user does it."""
    assert operator.resources()
    return operator.run("05")


def test_it_succeeds_and_is_on_record(torn_down: Run) -> None:
    assert torn_down.done.returncode == 0, torn_down.said
    book = torn_down.notebook("05_teardown")
    assert torn_down.record["outcome"] == "succeeded"
    assert book.errors == []
    assert [len(rows) for rows in book.tables] == [2]
    assert book.disagreeing == []
    assert int(book.applied["destroyed"]) > 50


def test_neither_clouds_clients_find_anything(torn_down: Run, operator: Operator) -> None:
    assert operator.resources() == set()
    assert operator.nodes("proof-") == []


def test_what_is_somebody_elses_stays(torn_down: Run, operator: Operator, foreign: str) -> None:
    [vpc] = operator.aws("ec2", "describe-vpcs", "--vpc-ids", foreign)["Vpcs"]
    assert vpc["State"] == "available"


def test_a_second_teardown_is_harmless(torn_down: Run, operator: Operator) -> None:
    run = operator.run("05")
    assert run.done.returncode == 0, run.said
    book = run.notebook("05_teardown")
    assert [text for text in book.outputs() if text.startswith("05_teardown: nothing to do")]
    assert book.disagreeing == []
