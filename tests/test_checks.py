"""Checks compare, show themselves, and stop a step."""

from __future__ import annotations

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
