"""Nothing is created or destroyed without a yes to exactly that plan, where the parameter asks for one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Run

pytestmark = pytest.mark.e2e

DEPLOYMENT, STEP, TEARDOWN = "agreed", "00_provision", "05_teardown"


@pytest.fixture(scope="module")
def options(operator: Operator) -> Iterator[list[str]]:
    given = ["-f", str(operator.params), "-p", "deployment", DEPLOYMENT, "-p", "approval", "required"]
    yield given
    operator.runbook("run", TEARDOWN, "--output", operator.folder / "outputs", *given[:-3])


@pytest.fixture
def run(operator: Operator, options: list[str]) -> Callable[[str], Run]:
    return lambda step: operator.run(step, *options, deployment=DEPLOYMENT)


def hash_in(text: str) -> str:
    [found] = set(re.findall(r"\b[0-9a-f]{64}\b", text))
    return str(found)


@pytest.mark.parametrize("step", [STEP, TEARDOWN])
def test_a_plan_is_refused_until_it_is_approved(
    operator: Operator, run: Callable[[str], Run], options: list[str], step: str
) -> None:
    before = operator.resources(DEPLOYMENT)
    refused = run(step)
    assert refused.done.returncode == 1
    wanted = hash_in(refused.said)
    assert "needs an approval" in refused.said
    assert (refused.record["outcome"], refused.record["approvals"]) == ("failed", [])
    assert operator.resources(DEPLOYMENT) == before
    assert hash_in(operator.runbook("plan", step, *options).stdout) == wanted

    approved = operator.runbook("approve", wanted, "--for", "5", *options)
    assert approved.returncode == 0, approved.stderr
    done = run(step)
    assert done.done.returncode == 0, done.said
    [approval] = done.record["approvals"]
    assert (approval["plan"], approval["way"]) == (wanted, "issued")
    assert approval["by"] and approval["at"] < approval["expires"]
    assert (operator.resources(DEPLOYMENT) == set()) is (step == TEARDOWN)


def test_a_plan_with_nothing_to_do_needs_no_yes(run: Callable[[str], Run]) -> None:
    done = run(TEARDOWN)
    assert done.done.returncode == 0, done.said
    assert done.record["approvals"] == []
