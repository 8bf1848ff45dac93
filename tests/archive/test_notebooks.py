from __future__ import annotations

from pathlib import Path

import pytest

from runbook_lib.archive.notebooks import chosen, headings_of, notebook
from runbook_lib.errors import ParameterError, PrerequisiteError


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        ([], ("00_provision", "01_bootstrap", "02_federate", "03_traefik", "04_test")),
        (["03"], ("03_traefik",)),
        (["3"], ("03_traefik",)),
        (["03_traefik"], ("03_traefik",)),
        (["04", "00"], ("00_provision", "04_test")),
        (["5", "05", "05_teardown"], ("05_teardown",)),
        (["06"], ("06_resilience",)),
        (["05", "6", "04"], ("04_test", "06_resilience", "05_teardown")),
    ],
)
def test_steps_are_chosen_by_name_or_number_and_run_in_order(names: list[str], steps: tuple[str, ...]) -> None:
    assert chosen(names) == steps


def test_all_steps_are_without_the_test_where_there_are_no_test_servers() -> None:
    assert chosen([], test=False) == ("00_provision", "01_bootstrap", "02_federate", "03_traefik")
    assert chosen(["04"], test=False) == ("04_test",)


@pytest.mark.parametrize(
    ("first", "last", "steps"),
    [
        ("02", "", ("02_federate", "03_traefik", "04_test")),
        ("", "1", ("00_provision", "01_bootstrap")),
        ("02_federate", "03", ("02_federate", "03_traefik")),
        ("04", "05", ("04_test", "05_teardown")),
        ("05", "", ("05_teardown",)),
        ("06", "", ("06_resilience",)),
    ],
)
def test_a_range_of_steps(first: str, last: str, steps: tuple[str, ...]) -> None:
    assert chosen([], first=first, last=last) == steps


def test_a_range_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ParameterError, match="no step is left") as refused:
        chosen([], first="03", last="01")
    assert "from 03_traefik until 01_bootstrap" in str(refused.value)
    with pytest.raises(ParameterError, match="a range of steps as well"):
        chosen(["03"], last="04")


@pytest.mark.parametrize("name", ["07", "traefik", "", "-1", "3_traefik"])
def test_what_is_no_step_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="no step called"):
        chosen([name])


def test_a_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="00_provision"):
        notebook("00_provision", tmp_path)


def test_each_cell_has_the_heading_that_it_stands_under() -> None:
    cells = [
        {"cell_type": "code", "source": "# not a heading"},
        {"cell_type": "markdown", "source": "# One\ntext"},
        {"cell_type": "code", "source": ""},
        {"cell_type": "markdown", "source": "text\n## Two"},
        {"cell_type": "code", "source": ""},
    ]
    assert headings_of(cells) == ["", "One", "One", "Two", "Two"]
