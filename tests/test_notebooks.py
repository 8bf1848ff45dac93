"""The notebooks as files: parameters, frame, and that every name they use is there. Running them is for tests/e2e."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

import runbook_lib
from runbook_lib.params import Params, help_lines
from runbook_lib.resources import OPTIONAL, STEPS
from tests.conftest import ROOT

FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def cells(file: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == kind]


def code(file: Path) -> list[str]:
    """Sources of the code cells after the parameters."""
    return [cell.source for cell in cells(file, "code") if "parameters" not in cell.metadata.get("tags", [])]


def markdown(file: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(file, "markdown"))


def names_used(source: str) -> Iterator[list[str]]:
    """Dotted names that start with ``rb``: the library, as ``rb.consul.members`` is ["consul", "members"]."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and (dotted := ast.unparse(node)).startswith("rb."):
            yield dotted.split("(")[0].split(".")[1:]


def test_there_is_one_notebook_a_step_and_the_optional_ones() -> None:
    assert tuple(file.stem for file in FILES) == (*STEPS, *OPTIONAL)


@notebooks
def test_the_parameters_cell_is_the_parameters(file: Path) -> None:
    wanted = "\n".join(f"{name}: {kind} = {default}  # {text}" for name, kind, default, text in help_lines())
    tagged = [cell.source for cell in cells(file, "code") if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [wanted], f"the cell tagged `parameters` in {file.name} should be, word for word:\n{wanted}"


@notebooks
def test_papermill_understands_and_explains_every_parameter(file: Path) -> None:
    known = papermill.inspect_notebook(str(file))
    assert list(known) == list(Params.model_fields)
    for name, kind, default, text in help_lines():
        assert known[name] == {"name": name, "inferred_type_name": kind, "default": default, "help": text}


@notebooks
def test_parameters_are_checked_before_any_variable_is_set(file: Path) -> None:
    assert code(file)[0] == "import runbook_lib as rb\n\nparams = rb.Params.of(globals())"


@notebooks
def test_every_name_of_the_library_exists(file: Path) -> None:
    for source in code(file):
        for first, *rest in names_used(source):
            assert first in runbook_lib.__all__
            value = getattr(runbook_lib, first)
            for name in rest:
                assert hasattr(value, name), f"rb.{first}.{'.'.join(rest)}"
                value = getattr(value, name)


@notebooks
def test_checks_name_their_step_and_are_there(file: Path) -> None:
    required = [source for source in code(file) if "rb.require(" in source]
    assert required
    for source in required:
        assert f'step="{file.stem}"' in source


@notebooks
def test_cells_hold_no_plumbing(file: Path) -> None:
    plumbing = (ast.For, ast.While, ast.If, ast.Try, ast.With, ast.FunctionDef, ast.ClassDef, ast.Lambda)
    for source in code(file):
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, plumbing)], source


@notebooks
def test_headings_are_in_order_and_text_is_no_accidental_code(file: Path) -> None:
    text = re.sub(r"^```.*?^```", "", markdown(file), flags=re.MULTILINE | re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels[0] == 1
    assert set(levels[1:]) <= {2, 3}
    assert not re.findall(r"^ {4,}\S.*", text, re.MULTILINE), "four blanks make a line code"


@notebooks
def test_the_frame_says_what_is_done_and_needed(file: Path) -> None:
    first = cells(file, "markdown")[0].source
    assert first.startswith(f"# {file.stem[:2]} ")
    for part in ("**What you will do.**", "**What you need.**", "**What you will learn.**"):
        assert part in first
    if file.stem != "05_teardown":
        assert "## What differs from the article" in markdown(file)


@notebooks
def test_the_file_is_python_3_with_distinct_cells(file: Path) -> None:
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    assert book.metadata["kernelspec"]["name"] == "python3"
    assert book.metadata["language_info"]["name"] == "python"
    ids = [cell.id for cell in book.cells]
    assert len(ids) == len(set(ids))


@notebooks
def test_no_path_leads_out_of_the_notebook(file: Path) -> None:
    """Notebooks run from the clone's root and from their own folder alike."""
    for source in code(file):
        assert not re.search(r"\.\./|open\(|chdir|%cd|Path\(", source), source


def test_public_names_are_all_there() -> None:
    for name in runbook_lib.__all__:
        assert getattr(runbook_lib, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        import_module("runbook_lib").no_such_name  # noqa: B018
