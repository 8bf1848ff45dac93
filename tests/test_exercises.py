"""Exercises as they are listed: every one is in its notebook, with a hint, and has its solutions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from runbook_lib import exercises
from runbook_lib.checks import Check, equal
from runbook_lib.errors import AccessError, ParameterError, PrerequisiteError
from runbook_lib.exercises import looking
from runbook_lib.params import Params
from runbook_lib.resources import OPTIONAL, STEPS
from runbook_lib.site import Site
from tests.conftest import ROOT
from tests.exercises.solution import Solution
from tests.standing import site_of, standing

EVERY = (*STEPS, *OPTIONAL)
steps = pytest.mark.parametrize("step", EVERY)
NOBODY = site_of(standing())


def solutions(step: str) -> list[Solution]:
    module = exercises._MODULES[step[:2]]
    return list(import_module(f"tests.exercises.{module}").SOLUTIONS)


@steps
def test_every_exercise_has_a_solution_and_two_wrong_ones(step: str) -> None:
    assert [one.exercise for one in solutions(step)] == list(exercises.exercises(step))
    for one in solutions(step):
        assert len({one.right, *one.wrong}) == 3


@steps
def test_the_notebook_ends_with_its_exercises_and_their_hints(step: str) -> None:
    cells = nbformat.read(ROOT / "notebooks" / f"{step}.ipynb", as_version=4).cells
    begin = next(i for i, c in enumerate(cells) if c.cell_type == "markdown" and c.source.startswith("## Exercises"))
    asked = [re.findall(r'^rb\.exercises\.check\(site, "([^"]+)"\)$', c.source) for c in cells if c.cell_type == "code"]
    assert [name for names in asked for name in names] == list(exercises.exercises(step))
    assert 3 <= len(exercises.exercises(step)) <= 5
    for text, code in zip(cells[begin + 1 :: 2], cells[begin + 2 :: 2], strict=True):
        assert text.cell_type == "markdown" and text.source.startswith("### ")
        assert "<details><summary>Hint</summary>" in text.source and "</details>" in text.source
        assert code.cell_type == "code" and code.source.startswith("rb.exercises.check(")


@steps
def test_names_say_the_step_and_goals_are_sentences(step: str) -> None:
    for name, one in exercises.exercises(step).items():
        assert re.fullmatch(rf"{step[:2]}(-[a-z0-9]+)+", name)
        assert one.goal and not one.goal.endswith(".")


def looked(*checks: Check | Exception) -> exercises.Exercise:
    def look(site: Site) -> Iterator[Check]:
        for one in checks:
            if isinstance(one, Exception):
                raise one
            yield one

    return exercises.Exercise("00-something", "something is so", look)


@pytest.mark.parametrize(
    ("checks", "done", "words"),
    [
        ([equal("a", 1, 1)], True, "Done: something is so"),
        ([equal("a", 1, 1), equal("b", 1, 2)], False, "Not yet: something is so"),
        ([equal("a", 1, 1), AccessError("the host is away", remedy="start it")], False, "start it"),
        ([], False, "Not yet"),
    ],
)
def test_a_state_tells_what_was_seen(
    checks: list[Check | Exception], done: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("runbook_lib.exercises.provision"), "EXERCISES", (looked(*checks),))
    state = exercises.check(NOBODY, "00-something")
    assert state.done is done
    assert words in repr(state) and words in state._repr_html_()


def test_a_mistake_in_the_program_is_no_unfinished_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("runbook_lib.exercises.provision"), "EXERCISES", (looked(KeyError("oops")),))
    with pytest.raises(KeyError, match="oops"):
        exercises.check(NOBODY, "00-something")


@pytest.mark.parametrize("name", ["00-nothing", "99-nothing", ""])
def test_an_unknown_name_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(ParameterError, match="no such exercise") as raised:
        exercises.check(NOBODY, name)
    assert raised.value.seen == name


def test_too_few_hosts_and_the_other_level_are_told_with_a_remedy(tmp_path: Path) -> None:
    params = Params(traefiks=1, security="article", keys=str(tmp_path))
    site = site_of(standing(params), params)
    assert len(looking.standing(site, "traefik", "gcp")) == 1
    with pytest.raises(PrerequisiteError, match="03_traefik") as raised:
        looking.standing(site, "traefik", "gcp", least=2)
    assert (raised.value.expected, raised.value.seen) == ("2 or more", "server-gcp-traefik-1")
    with pytest.raises(PrerequisiteError, match="the article does not have"):
        looking.require_hardened(site)
    site.close()
