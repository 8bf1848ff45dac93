"""Rules about the tree as a whole, read from its text."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT

LIBRARY = ROOT / "runbook_lib"
LAB = LIBRARY / "lab"
MODULES = sorted(LIBRARY.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

FOLDERS = {"notebooks", "runbook_lib", "params", "outputs", "tests", ".ci"}
FILES = {
    "README.md",
    "LICENSE",
    "CONTRIBUTING.md",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "environment.yml",
    ".editorconfig",
    ".gitignore",
    ".pre-commit-config.yaml",
}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(module: Path, source: str) -> Iterator[str]:
    """Dotted names that a module of this repository imports, relative ones resolved; `from a import b` gives a.b."""
    package = module.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os.path, sys", ["os.path", "sys"]),
        ("from runbook_lib.lab import tools", ["runbook_lib.lab.tools"]),
        ("from . import model", ["runbook_lib.lab.model"]),
        ("from .. import wait", ["runbook_lib.wait"]),
        ("from ..errors import CloudError", ["runbook_lib.errors.CloudError"]),
        ("def f():\n    from runbook_lib import wait", ["runbook_lib.wait"]),
    ],
)
def test_imports_are_read(source: str, expected: list[str]) -> None:
    assert list(imports(LAB / "world.py", source)) == expected


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_lab_and_library_do_not_import_each_other(module: Path) -> None:
    names = list(imports(module, module.read_text(encoding="utf-8")))
    if LAB in module.parents:
        wrong = [name for name in names if inside(name, "runbook_lib") and not inside(name, "runbook_lib.lab")]
    elif module == LIBRARY / "cli.py":
        wrong = []  # the command line starts the lab
    else:
        wrong = [name for name in names if inside(name, "runbook_lib.lab")]
    assert not wrong


@pytest.mark.parametrize("module", [m for m in MODULES if LAB not in m.parents], ids=relative)
def test_nothing_asks_whether_it_is_the_lab(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While)]
    names = [node for test in tests for node in ast.walk(test) if isinstance(node, ast.Name | ast.Attribute)]
    asked = {node.id if isinstance(node, ast.Name) else node.attr for node in names}
    assert not asked & {"lab", "is_lab", "in_lab", "is_emulated", "LAB"}


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_modules_are_small_enough_to_read(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_top_level() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    top = {name.split("/")[0] for name in tracked if name}
    assert top <= FOLDERS | FILES


def test_notebooks_are_stripped_and_take_parameters() -> None:
    for notebook in NOTEBOOKS:
        content = nbformat.read(notebook, as_version=4)
        nbformat.validate(content)
        run = [cell for cell in content.cells if cell.get("outputs") or cell.get("execution_count") is not None]
        assert not run, f"{notebook.name} has output: nbstripout {notebook.name}"
        tagged = [cell.cell_type for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
        assert tagged == ["code"], f"{notebook.name} needs one cell tagged parameters"


def test_notebook_cells_are_short() -> None:
    for notebook in NOTEBOOKS:
        cells = nbformat.read(notebook, as_version=4).cells
        code = [c.source for c in cells if c.cell_type == "code" and "parameters" not in c.metadata.get("tags", [])]
        assert not [source for source in code if len(source.strip().splitlines()) > 5], notebook.name
        assert not [source for source in code if re.search(r"^\s*(def|class|async) ", source, re.MULTILINE)], (
            notebook.name
        )
