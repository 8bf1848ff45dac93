"""Whether somebody looks on, as real kernels are told."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from runbook_lib import onlooker
from tests.sessions import Session

LOOK = "from runbook_lib import onlooker\nonlooker.present()"


def test_a_frontend_with_somebody_before_it_is_told_from_one_without() -> None:
    with Session() as session:
        assert session.run(LOOK, watched=True)[0].data["text/plain"] == "True"
        assert session.run(LOOK)[0].data["text/plain"] == "False"


def test_what_papermill_and_nbconvert_execute_with_has_nobody_looking_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/a/notebook.ipynb")  # as in what a cell of JupyterLab starts
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LOOK)])
    NotebookClient(notebook, timeout=60).execute()
    assert notebook.cells[0].outputs[0].data["text/plain"] == "False"


def test_a_command_line_is_no_kernel() -> None:
    assert onlooker.shell() is None and not onlooker.present()
