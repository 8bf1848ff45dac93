"""What is asked of every notebook once it has run."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import nbformat

import runbook_lib
from tests.browser.conftest import Jupyter
from tests.browser.reader import Reader
from tests.conftest import ROOT

# Names of the library that draw, as its own table says.
DRAWING = [name for name, place in runbook_lib._PLACES.items() if place.startswith("pictures")]


def drawing_cells(step: str) -> list[int]:
    """Which of a notebook's code cells end with a picture."""
    cells = nbformat.read(ROOT / "notebooks" / f"{step}.ipynb", as_version=4).cells
    code = [cell.source.strip().splitlines()[-1:] for cell in cells if cell.cell_type == "code"]
    drawn = re.compile(rf"rb\.({'|'.join(DRAWING)})\(")
    return [number for number, last in enumerate(code) if last and drawn.match(last[0])]


def agree(seen: dict[str, Any], step: str) -> None:
    """Fail unless the page is as a reader wants it."""
    assert not seen["errors"], seen["errors"]
    assert not seen["warnings"], seen["warnings"]
    assert not seen["notices"], seen["notices"]
    assert seen["headings"], "no heading"
    levels = [level for level, _ in seen["headings"]]
    assert levels[0] == 1 and 1 not in levels[1:], seen["headings"]
    skipped = [pair for pair in pairwise(seen["headings"]) if pair[1][0] > pair[0][0] + 1]
    assert not skipped, f"a level is left out between {skipped}"
    for number in drawing_cells(step):
        [picture] = seen["pictures"][number]
        assert picture["width"] > 0 and picture["height"] > 0, f"code cell {number} shows no picture"
    nameless = [number for number, shown in enumerate(seen["pictures"]) for one in shown if not one["words"].strip()]
    assert not nameless, f"pictures without a text alternative in code cells {nameless}"
    assert not seen["wide"], f"wider than the page: {seen['wide']}"


def keep(reader: Reader, jupyter: Jupyter, step: str) -> None:
    """Keep what a notebook showed, as pictures and as text, and close it."""
    jupyter.pages[step] = reader.page.content()
    reader.photograph(step)
    reader.close(step)


def secrets_shown(jupyter: Jupyter, secrets: dict[str, str]) -> list[str]:
    """Which secrets are on which page, by name."""
    return [f"{name} in {step}" for step, text in jupyter.pages.items() for name, one in secrets.items() if one in text]
