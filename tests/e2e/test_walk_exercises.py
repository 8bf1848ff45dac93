"""Every exercise, by its solution and by two that are wrong, on the walked deployment.

A checker that agrees before anything was done, or with what is not a solution, teaches the wrong thing; so each is
asked after every deed, and once more when all is back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from runbook_lib.checks import require
from runbook_lib.params import Params
from runbook_lib.resilience import until_whole
from runbook_lib.site import Site, open_site
from tests.e2e.operators import Operator
from tests.e2e.records import Run
from tests.exercises.solution import Solution, prove

# The teardown's own come with it, when nothing stands any more.
MODULES = ("provision", "bootstrap", "federate", "traefik", "service", "resilience")
SOLUTIONS = [one for name in MODULES for one in import_module(f"tests.exercises.{name}").SOLUTIONS]


@pytest.fixture(scope="module")
def site(operator: Operator, walk: Run) -> Iterator[Site]:
    opened = open_site(Params.load(operator.params))
    yield opened
    opened.close()


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda one: one.exercise)
def test_a_checker_agrees_with_the_solution_and_with_nothing_else(solution: Solution, site: Site) -> None:
    prove(solution, site)


def test_all_is_as_the_walk_left_it(site: Site) -> None:
    assert [str(plan) for plan in site.plans() if plan.work] == []
    require(until_whole(site))
