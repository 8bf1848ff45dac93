"""Parameters among a notebook's names, on the first run of the cell that reads them and on later ones."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.errors import ParameterError
from runbook_lib.notebook_names import meant
from runbook_lib.params import Params

GIVEN = 'deployment: str = "demo"\nweb_servers: int = 2\n'
READ = "import runbook_lib as rb\n\nparams = rb.Params.of(globals())"


def names(*cells: str) -> dict[str, Any]:
    """What a kernel's globals hold once these cells have run, the last of them being the one that reads."""
    held: dict[str, Any] = {}
    for cell in cells:
        if cell != READ:
            exec(cell, held)
    held.pop("__builtins__")
    return {**held, "In": ["", *cells]}


def test_a_misspelling_is_refused_the_first_time_wherever_it_stands() -> None:
    for cells in ((GIVEN + "web_server = 3", READ), (GIVEN, "web_server = 3", READ)):
        with pytest.raises(ParameterError, match="web_server"):
            Params.of(names(*cells))


def test_variables_of_later_cells_are_no_parameters() -> None:
    later = "gcp, aws = 1, 2\nwebs = [1]\nport = 9100"
    assert Params.of(names(GIVEN, READ, later, READ)).web_servers == 2


def test_a_mended_misspelling_is_mended() -> None:
    assert Params.of(names(GIVEN + "web_server = 3", READ, GIVEN + "web_servers = 3", READ)).web_servers == 3


def test_a_new_misspelling_is_refused_when_the_cell_is_run_again() -> None:
    with pytest.raises(ParameterError, match="web_server"):
        Params.of(names(GIVEN, READ, "port = 1", GIVEN + "web_server = 3", READ))


def test_injected_parameters_stand_beside_the_notebooks_own() -> None:
    injected = 'deployment = "blue"'
    assert Params.of(names(GIVEN, injected, READ, READ)).deployment == "blue"
    with pytest.raises(ParameterError, match="domian"):
        Params.of(names(GIVEN, injected + '\ndomian = "a.example"', READ, READ))


def test_without_a_history_every_name_counts() -> None:
    assert meant({"a": 1}, ["b"]) == {"a": 1}
    assert meant({"a": 1, "In": ["", "%time", READ]}, ["b"]) == {"a": 1, "In": ["", "%time", READ]}


def test_a_cell_that_is_no_python_sets_nothing() -> None:
    assert meant({"a": 1, "b": 2, "In": ["", "%%bash\na=1", READ, "b, (c, *d) = 1", READ]}, ["b"]) == {"b": 2}
