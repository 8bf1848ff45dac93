"""HTML for any page."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from runbook_lib import markup
from runbook_lib.checks import Checks, equal
from runbook_lib.exercises import Exercise, State


def test_a_table_scrolls_in_itself_and_its_cells_wrap() -> None:
    box = ET.fromstring(markup.table(("a", "b"), [("x", "y" * 5000)], "caption"))
    assert box.tag == "div" and "overflow-x:auto" in box.attrib["style"] and "max-width:100%" in box.attrib["style"]
    assert ["overflow-wrap:anywhere" in cell.attrib["style"] for cell in box.iter("td")] == [True, True]
    titles = [(cell.attrib["scope"], "white-space:nowrap" in cell.attrib["style"]) for cell in box.iter("th")]
    assert titles == [("col", True)] * 2
    assert [caption.text for caption in box.iter("caption")] == ["caption"]


def test_no_colour_is_taken_for_granted() -> None:
    shown = markup.table(("a",), [("x",), ("y",)], marked={1}) + markup.pre("text")
    assert "color:" not in shown and "#" not in shown, "of the page's own colours none is replaced"
    rows = list(ET.fromstring(markup.table(("a",), [("x",), ("y",)], marked={1})).iter("tr"))
    assert ["style" in row.attrib for row in rows] == [False, False, True]


def test_checks_and_exercises_are_such_tables() -> None:
    checks = Checks([equal("<name>", "x" * 3000, "y")])
    assert ET.fromstring(checks._repr_html_()).tag == "div"
    assert "&lt;name&gt;" in checks._repr_html_()
    state = State(Exercise("00-x", "it is so", lambda site: ()), checks, "a problem\n" * 3)
    page = ET.fromstring(f"<body>{state._repr_html_()}</body>")
    assert [part.tag for part in page] == ["p", "div", "pre"]
    assert "pre-wrap" in page[2].attrib["style"]
