from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from runbook_lib.archive.notebooks import chosen, mark_cut_off, notebook
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


@pytest.mark.parametrize("name", ["07", "traefik", "", "-1", "3_traefik"])
def test_what_is_no_step_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="no step called"):
        chosen([name])


def test_a_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="00_provision"):
        notebook("00_provision", tmp_path)


def test_a_cut_off_notebook_tells_where_it_was_and_what_never_ran(tmp_path: Path) -> None:
    # As papermill leaves a notebook whose kernel died in the second of three cells.
    file = tmp_path / "cut.ipynb"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(str(n)) for n in range(3)])
    for cell, start in zip(book.cells, ("2026-01-01T00:00:00", "2026-01-01T00:00:01", None), strict=True):
        cell.metadata["papermill"] = {"status": "completed", "exception": None, "start_time": start}
    book.metadata["papermill"] = {"exception": None}
    nbformat.write(book, file)

    mark_cut_off(file, "the kernel died")

    marked = nbformat.read(file, as_version=4)
    assert [cell.metadata.papermill.status for cell in marked.cells] == ["completed", "failed", "pending"]
    assert marked.metadata.papermill.exception is True
    assert marked.metadata.papermill.ending == "the kernel died"


def test_marking_a_notebook_that_was_never_written_does_nothing(tmp_path: Path) -> None:
    mark_cut_off(tmp_path / "none.ipynb", "interrupted")
    assert list(tmp_path.iterdir()) == []
