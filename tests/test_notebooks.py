"""The notebooks as files: parameters, frame, and that every name they use is there. Running them is for tests/e2e."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import papermill
import pytest

import runbook_lib
from runbook_lib.params import Params, help_lines
from runbook_lib.resources import OPTIONAL, STEPS
from tests.conftest import ROOT

FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
EXERCISES = "## Exercises"
# Whose documentation links may lead to.
OFFICIAL = {
    "developer.hashicorp.com",
    "doc.traefik.io",
    "docs.aws.amazon.com",
    "cloud.google.com",
    "docs.cloud.google.com",
}
# Cells that show what clouds, hosts, Consul or Traefik say: whoever reads them wants to know whether it is right.
RESULTS = re.compile(
    r"site\.apply\(|rb\.(?:vpn\.|traefik\.|visits\.|matrix\.probe|resilience\.\w+\(site"
    r"|consul\.(?:members|peers|health|catalog|until_alive|until_ready))"
)
# Where nothing is there to compare with yet: the state before, and what all experiments came to, each checked above.
UNCHECKED = {("02_federate", "See why a pool of its own")}
# Where each term is first needed, and so explained: the notebook's two digits.
TERMS = {
    **dict.fromkeys(("region", "zones", "VPC", "subnet", "bastion", "NAT", "route table", "network tags"), "00"),
    **dict.fromkeys(("VPN", "IKE", "pre-shared key", "ESP", "BGP", "AS number", "propagate", "security group"), "00"),
    **dict.fromkeys(("agent", "server", "client", "catalogue", "datacenter", "metadata service"), "01"),
    **dict.fromkeys(("cloud auto-join", "service account", "scope", "instance profile", "TLS", "gossip key"), "01"),
    **dict.fromkeys(("policy", "token", "Raft", "quorum", "gossip", "Serf", "LAN pool"), "01"),
    **dict.fromkeys(("WAN pool", "federated"), "02"),
    **dict.fromkeys(("entry point", "router", "provider"), "03"),
    **dict.fromkeys(("health check", "critical"), "04"),
}
# Words that mean something of their own before they are terms.
PLAIN = {"server", "agent", "scope", "policy", "token", "region", "router", "provider", "client", "catalogue", "gossip"}


def cells(file: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == kind]


def code(file: Path) -> list[str]:
    """Sources of the code cells after the parameters."""
    return [cell.source for cell in cells(file, "code") if "parameters" not in cell.metadata.get("tags", [])]


def markdown(file: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(file, "markdown"))


def lesson(file: Path) -> list[Any]:
    """The cells before the exercises."""
    every = nbformat.read(file, as_version=4).cells
    ends = [number for number, cell in enumerate(every) if cell.source.startswith(EXERCISES)]
    return list(every[: ends[0]] if ends else every)


def sections(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Each ``##`` heading of the lesson, and the code cells below it."""
    title, below = "", list[str]()
    for cell in lesson(file):
        if cell.cell_type == "markdown" and (found := re.match(r"## (.*)", cell.source)):
            yield title, below
            title, below = found[1], []
        elif cell.cell_type == "code":
            below.append(cell.source)
    yield title, below


def links(text: str) -> list[tuple[str, str]]:
    """Texts and addresses of links."""
    return re.findall(r"\[([^\]]*)\]\(([^)\s]*)\)", text)


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
    assert levels[1] == 2, "a level is left out"
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    assert len(titles) == len(set(titles))
    assert not re.findall(r"^ {4,}\S.*", text, re.MULTILINE), "four blanks make a line code"


@notebooks
def test_every_code_cell_stands_below_a_heading_that_says_what_it_is_for(file: Path) -> None:
    before = [title for title, below in sections(file) if not title and below]
    assert not before


@notebooks
def test_the_parameters_are_collapsed_and_the_text_above_says_how_to_open_them(file: Path) -> None:
    every = lesson(file)
    [place] = [number for number, cell in enumerate(every) if "parameters" in cell.metadata.get("tags", [])]
    assert every[place].metadata["jupyter"] == {"source_hidden": True}
    assert not [cell for cell in every if cell.metadata.get("jupyter") and cell is not every[place]]
    above = every[place - 1].source
    assert above.startswith("## Set the parameters") and "collapsed" in above and "three dots" in above
    if file.stem == "00_provision":
        named = re.findall(r"^\| `(\w+)` \|", above, re.MULTILINE)
        assert {"deployment", "domain", "web_servers", "security"} <= {*named} <= {*Params.model_fields}


@notebooks
def test_the_time_it_takes_is_told_and_the_estimate_is_of_these_words(file: Path) -> None:
    every = lesson(file)
    found = re.search(r"\*\*Time\.\*\* About (\d+) minutes? to read, an estimate", every[0].source)
    assert found
    words = sum(len(cell.source.split()) for cell in every if cell.cell_type == "markdown")
    assert abs(int(found[1]) - math.ceil(words / 200)) <= 1, f"{words} words are {words / 200:.1f} minutes"
    measured = r"take about \d+ seconds in the lab, measured with `runbook run`"
    watching = r"take a few minutes in the lab, most of which is spent watching"
    assert re.search(watching if file.stem in OPTIONAL else measured, " ".join(every[0].source.split()))


@pytest.mark.parametrize(("term", "number"), TERMS.items())
def test_each_term_is_explained_once_where_it_is_first_needed(term: str, number: str) -> None:
    """Set in italics where it is explained. First cells announce, and headings name; they explain nothing."""
    explained, used = list[str](), list[str]()
    for file in FILES:
        for cell in [cell for cell in lesson(file)[1:] if cell.cell_type == "markdown"]:
            text = re.sub(r"^#.*|`[^`]*`|\]\([^)]*\)", "", cell.source, flags=re.MULTILINE)
            text = " ".join(text.split())
            for mark in re.finditer(rf"(?<![\w*])(\*?){re.escape(term)}s?(\*?)(?![\w-])", text):
                emphatic = mark[1] == mark[2] == "*"
                if emphatic:
                    explained.append(file.stem[:2])
                if emphatic or term not in PLAIN:
                    used.append(file.stem[:2] if emphatic else f"{file.stem[:2]}, not yet explained: {text}")
    assert explained[:1] == [number]
    assert used[0] == number


@notebooks
def test_links_lead_to_official_documentation_and_say_where(file: Path) -> None:
    text = markdown(file)
    for said, address in links(text):
        parts = urlsplit(address)
        assert parts.scheme == "https" and parts.hostname in OFFICIAL, address
        assert len(said) > 3 and said.strip("*`").lower() not in {"here", "click here", "link", "this", "more"}, said
    bare = re.sub(r"\]\([^)]*\)|`[^`]*`|^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"https?://\S+", bare), "an address without a text"


@notebooks
def test_tables_have_headers(file: Path) -> None:
    for table in re.findall(r"(?:^\|.*\n?)+", markdown(file), re.MULTILINE):
        first, second, *rows = table.strip().splitlines()
        assert re.fullmatch(r"\|(?:\s*:?-+:?\s*\|)+", second)
        assert all(title.strip() for title in first.strip("|").split("|"))
        assert {row.count("|") for row in (first, *rows) if "`|`" not in row} == {second.count("|")}


@notebooks
def test_a_section_that_shows_results_ends_with_their_check(file: Path) -> None:
    for title, below in sections(file):
        shown = [number for number, source in enumerate(below) if RESULTS.search(source)]
        required = [number for number, source in enumerate(below) if "rb.require(" in source]
        if shown and (file.stem, title) not in UNCHECKED:
            assert required and required[-1] >= shown[-1], f"{title}: {below[shown[-1]]}"


@notebooks
def test_the_frame_says_what_is_done_and_needed(file: Path) -> None:
    first = cells(file, "markdown")[0].source
    assert first.startswith(f"# {file.stem[:2]} ")
    for part in ("**What you will do.**", "**What you need.**", "**What you will learn.**", "**Time.**"):
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
