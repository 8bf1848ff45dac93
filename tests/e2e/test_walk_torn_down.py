"""05_teardown: all that carried the deployment's name is gone from both clouds, and nothing else. The last file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runbook_lib.params import Params
from runbook_lib.site import Site, open_site
from tests.e2e.operators import Operator
from tests.e2e.records import Run
from tests.exercises.solution import Solution, prove
from tests.exercises.teardown import SOLUTIONS


@pytest.fixture(scope="module")
def foreign(operator: Operator) -> str:
    """A network of somebody else's, whose name begins like the deployment's."""
    tags = [{"Key": "Name", "Value": "proof-of-somebody-else"}, {"Key": "Deployment", "Value": "proofread"}]
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


@pytest.fixture(scope="module")
def site(operator: Operator, torn_down: Run) -> Iterator[Site]:
    opened = open_site(Params.load(operator.params))
    yield opened
    opened.close()


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


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda one: one.exercise)
def test_a_checker_agrees_with_the_solution_and_with_nothing_else(
    solution: Solution, site: Site, operator: Operator
) -> None:
    prove(solution, site)
    assert operator.resources() == set(), "nothing is left of the exercise"
