"""Every step may be run again, by `runbook run` and by papermill as it is published, and then makes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Executed, Run

STEPS = ("00_provision", "01_bootstrap", "02_federate", "03_traefik", "04_test")


@pytest.fixture(scope="module")
def before(operator: Operator, walk: Run) -> set[tuple[str, str]]:
    """What exists before anything is run again."""
    found = operator.resources()
    assert len(found) > 50
    return found


@pytest.fixture(scope="module")
def calls_before(operator: Operator, before: set[tuple[str, str]]) -> Mapping[str, Mapping[str, int]]:
    """The calls that have changed something before anything is run again."""
    return changing_calls(operator)


@pytest.fixture(scope="module")
def again(operator: Operator, calls_before: Mapping[str, Mapping[str, int]]) -> Run:
    """The second walk, its steps named."""
    return operator.run("00", "01", "2", "3", "04_test")


def test_a_second_walk_succeeds(again: Run) -> None:
    assert again.done.returncode == 0, again.said
    assert again.record["outcome"] == "succeeded"


@pytest.mark.parametrize("step", STEPS)
def test_its_plans_have_nothing_to_do(again: Run, step: str) -> None:
    book = again.notebook(step)
    assert book.errors == []
    assert book.disagreeing == []
    assert [text for text in book.outputs() if text.startswith(f"{step}: nothing to do")]
    if step != "02_federate":  # which makes nothing in the clouds, ever
        assert {book.applied[verb] for verb in ("created", "changed", "destroyed")} == {"0"}


def test_nothing_was_created(again: Run, operator: Operator, before: set[tuple[str, str]]) -> None:
    assert operator.resources() == before


def test_it_made_no_call_that_changes_anything(
    again: Run, operator: Operator, calls_before: Mapping[str, Mapping[str, int]]
) -> None:
    assert calls_before["aws"]["ec2:RunInstances"] >= 8
    assert calls_before["gcp"]["compute.instances.insert"] >= 8
    assert changing_calls(operator) == calls_before


@pytest.mark.parametrize("step", ["00_provision", "01_bootstrap", "03_traefik", "04_test"])
def test_papermill_executes_from_inside_the_folder(walk: Run, operator: Operator, root: Path, step: str) -> None:
    target = operator.folder / f"papermill-{step}.ipynb"
    done = operator.papermill(f"{step}.ipynb", target, "-f", operator.params, cwd=root / "notebooks")
    assert done.returncode == 0, done.stderr
    _agrees(Executed(target))


def test_papermill_prints_the_notebook_where_none_is_named(
    walk: Run, operator: Operator, tmp_path: Path, secrets: Sequence[str]
) -> None:
    done = operator.papermill("notebooks/02_federate.ipynb", "-f", operator.params)
    assert done.returncode == 0, done.stderr
    assert nbformat.reads(done.stdout, as_version=4).cells
    printed = tmp_path / "printed.ipynb"
    printed.write_text(done.stdout)
    _agrees(Executed(printed))
    assert not [number for number, secret in enumerate(secrets) if secret in done.stdout]


@pytest.mark.parametrize("step", [*STEPS, "05_teardown"])
def test_papermill_explains_each_parameter(operator: Operator, step: str) -> None:
    done = operator.papermill("--help-notebook", f"notebooks/{step}.ipynb")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "consul_servers: int (default 3) Consul servers a cloud, an odd number" in text
    assert 'domain: str (default "exemple.com") domain under which services are published' in text


def test_papermill_is_told_what_cannot_be(operator: Operator) -> None:
    target = operator.folder / "refused.ipynb"
    words = ("notebooks/00_provision.ipynb", target, "-f", operator.params, "-p", "consul_servers", "2")
    done = operator.papermill(*words)
    assert done.returncode != 0
    assert "the parameter consul_servers cannot be used" in done.stderr


def changing_calls(operator: Operator) -> Mapping[str, Mapping[str, int]]:
    """How many calls have changed something in each cloud, by action, as the lab counts them at the APIs."""
    done = operator.runbook("lab", "calls", "--name", operator.lab.name, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _agrees(book: Executed) -> None:
    assert book.errors == []
    assert book.tables
    assert book.disagreeing == []
