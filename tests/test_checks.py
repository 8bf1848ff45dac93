"""Checks compare, show themselves, and stop a step."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from runbook_lib.checks import Check, Checks, at_least, contains, equal, is_true, require
from runbook_lib.errors import CheckFailed


@pytest.mark.parametrize(
    ("check", "ok"),
    [
        (equal("n", 3, 3), True),
        (equal("n", 3, 4), False),
        (equal("n", "3", 3), False),
        (equal("names", ["a", "b"], ("b", "a")), True),
        (equal("names", ["a", "a"], ["a"]), False),
        (equal("names", {"a"}, ["a", "b"]), False),
        (equal("names", [], ()), True),
        (contains("text", "ell", "hello"), True),
        (contains("text", "elk", "hello"), False),
        (contains("names", ["a", "b"], {"a", "b", "c"}), True),
        (contains("names", ["a", "z"], {"a", "b", "c"}), False),
        (at_least("n", 2, 2), True),
        (at_least("n", 2, 1), False),
        (is_true("t", "text"), True),
        (is_true("t", ""), False),
        (is_true("t", False), False),
    ],
)
def test_comparing(check: Check, ok: bool) -> None:
    assert check.ok is ok


def test_all_that_agree_are_returned_as_a_table() -> None:
    shown = require(equal("leader", "a", "a"), [at_least("servers", 3, 4), is_true("up", True)])
    assert [check.name for check in shown] == ["leader", "servers", "up"]
    assert str(shown).splitlines() == [
        "   check    expected    seen",
        "✓  leader   a           a",
        "✓  servers  at least 3  4",
        "✓  up       yes         yes",
    ]


def test_html_is_escaped() -> None:
    table = Checks([equal("<b>", "a & b", "<script>")])._repr_html_()
    assert "&lt;b&gt;" in table and "a &amp; b" in table and "&lt;script&gt;" in table
    assert "<script>" not in table


def test_hosts_that_agree_on_the_same_share_a_row_of_a_page_and_no_other_do() -> None:
    names = ("web-1", "db-1", "web-2", "web-10", "gate")
    agreed = [equal(f"{name}: runs as", "consul", "consul") for name in names]
    others = [
        equal("web-3: runs as", "root", "root"),
        equal("web-4: runs as", "consul", "root"),
        equal("web-5: runs as", "consul", "root"),
        equal("runs as", "consul", "consul"),
    ]
    shown = Checks([*agreed, *others])
    page = ET.fromstring(shown.table())
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")][1:]
    assert rows == [
        ["✓", "web-1/2/10, db-1, gate: runs as", "consul", "consul"],
        ["✓", "web-3: runs as", "root", "root"],
        ["✗", "web-4: runs as", "consul", "root"],
        ["✗", "web-5: runs as", "consul", "root"],
        ["✓", "runs as", "consul", "consul"],
    ]
    assert len(shown.plain().splitlines()) == 1 + len(shown), "a text has them all"


def test_each_failure_is_named_with_both_sides() -> None:
    with pytest.raises(CheckFailed) as caught:
        require([equal("leader", "a", "b"), equal("fine", 1, 1), equal("members", ["x", "y"], [])], step="01_bootstrap")
    text = str(caught.value)
    assert "2 of 3 checks failed" in text
    assert "✗ leader: expected a, saw b" in text
    assert "✗ members: expected x, y, saw nothing" in text
    assert "fine" not in text
    assert caught.value.step == "01_bootstrap"


def test_nothing_to_check_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no check"):
        require([])
