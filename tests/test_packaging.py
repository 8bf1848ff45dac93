"""pyproject.toml, requirements.lock, environment.yml and the Makefile say the same."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LIBRARY = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
LAB, DEV = (
    [Requirement(line) for line in PROJECT["project"]["optional-dependencies"][extra]] for extra in ("lab", "dev")
)
DIRECT = LIBRARY + LAB + DEV
# What runs in an environment of its own, whose packages do not fit with ours.
ELSEWHERE = {"airflow": {Path("runbook_lib/schedulers/airflow.py")}}

# Names on conda-forge where they differ from PyPI's.
CONDA_NAMES = {"jupyter-client": "jupyter_client", "matplotlib": "matplotlib-base"}
PYPI_NAMES = {conda: pypi for pypi, conda in CONDA_NAMES.items()}


def name(requirement: Requirement) -> str:
    return str(canonicalize_name(requirement.name))


def lower_bound(requirement: Requirement) -> Version:
    (specifier,) = requirement.specifier
    assert specifier.operator == ">=", f"{requirement} is not one lower bound"
    return Version(specifier.version)


@pytest.fixture(scope="module")
def locked() -> dict[str, Version]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [re.fullmatch(r"([a-z0-9.-]+)==([\w.+!]+)", line) for line in lines if not line.startswith("#")]
    assert all(pins), "the lock holds names and versions, and nothing else: no addresses, no paths"
    return {str(canonicalize_name(pin[1])): Version(pin[2]) for pin in pins if pin}


@pytest.fixture(scope="module")
def conda() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8")))


def test_names_are_given_once() -> None:
    names = [name(requirement) for requirement in DIRECT]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_lock_fits(requirement: Requirement, locked: dict[str, Version]) -> None:
    assert name(requirement) in locked, "make lock"
    assert lower_bound(requirement) <= locked[name(requirement)]


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_what_runs_here_is_within_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


@pytest.mark.parametrize("requirement", LIBRARY + LAB, ids=str)
def test_conda_has_every_dependency_with_the_same_bound(requirement: Requirement, conda: dict[str, Any]) -> None:
    plain = [Requirement(line) for line in conda["dependencies"] if isinstance(line, str)]
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    from_pip = [Requirement(line) for line in pip if not line.startswith("-")]
    wanted = CONDA_NAMES.get(name(requirement), name(requirement))
    same = [other for other in plain if other.name == wanted]
    # An extra, such as httpx's [socks], can only be asked of pip.
    if requirement.extras or not same:
        same += (exact := [other for other in from_pip if name(other) == name(requirement)])
        assert [other.extras for other in exact] == [requirement.extras]
        assert [other.marker for other in exact] == [requirement.marker]
    assert {lower_bound(other) for other in same} == {lower_bound(requirement)}


def test_conda_has_nothing_else(conda: dict[str, Any]) -> None:
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    lines = [*(entry for entry in conda["dependencies"] if isinstance(entry, str)), *pip]
    named = {Requirement(line).name for line in lines if not line.startswith("-")} - {"pip", "python"}
    assert {str(canonicalize_name(PYPI_NAMES.get(each, each))) for each in named} == set(map(name, LIBRARY + LAB))
    assert "-e ." in pip
    assert f"python{PROJECT['project']['requires-python']}" in lines
    assert conda["name"] == PROJECT["project"]["name"]


def third_party(folder: Path) -> dict[str, set[Path]]:
    """Top-level modules that are neither Python's own nor ours, with the files that import them."""
    found: dict[str, set[Path]] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            for top in {dotted.split(".")[0] for dotted in names} - {*sys.stdlib_module_names, "runbook_lib", "tests"}:
                found.setdefault(top, set()).add(file.relative_to(ROOT))
    return found


@pytest.mark.parametrize(
    ("folder", "declared"),
    [("runbook_lib", LIBRARY), ("runbook_lib/lab", LIBRARY + LAB), ("tests", DIRECT)],
    ids=["library", "lab", "tests"],
)
def test_imports_are_declared(folder: str, declared: list[Requirement]) -> None:
    files = [file for requirement in declared for file in importlib.metadata.files(requirement.name) or []]
    provided = {Path(file.parts[0]).stem for file in files if file.suffix in {".py", ".so"}}
    undeclared = {top: files for top, files in third_party(ROOT / folder).items() if top not in provided}
    if folder == "runbook_lib":  # the lab is in there and has a case of its own
        undeclared = {
            top: left for top, files in undeclared.items() if (left := {f for f in files if "lab" not in f.parts})
        }
    assert undeclared == (ELSEWHERE if folder == "runbook_lib" else {})


def test_data_files_are_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    packaged = {
        file
        for package, globs in patterns.items()
        for pattern in globs
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = {file for file in (ROOT / "runbook_lib").rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc"}}
    assert data <= packaged


def test_packages_are_found() -> None:
    folders = {file.parent for file in (ROOT / "runbook_lib").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_console_script_starts() -> None:
    for target in PROJECT["project"]["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    helped = re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE)
    assert phony == helped
    assert {"walk", "test", "lab", "jupyter", "down", "lint", "format", "clean", "setup"} <= set(helped)


def test_ci_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test"
