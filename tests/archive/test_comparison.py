from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from runbook_lib.archive.comparison import LINES, Change, cells, changes, diff
from runbook_lib.archive.record import RunRecord, StepRecord


def printed(source: str, text: str) -> Any:
    return new_code_cell(source, outputs=[new_output("stream", text=text)])


def run(folder: Path, books: dict[str, list[Any]], **facts: Any) -> RunRecord:
    folder.mkdir()
    steps = [StepRecord(name, f"{name}.ipynb", outcome="succeeded", seconds=1.0) for name in books]
    for name, content in books.items():
        nbformat.write(new_notebook(cells=content), folder / f"{name}.ipynb")
    return RunRecord(folder.name, "demo", folder, facts.pop("parameters", {}), steps, **facts)


def test_the_same_run_twice_differs_in_nothing_but_time(tmp_path: Path) -> None:
    books = {"a": [new_markdown_cell("# A"), printed("x", "1\n")]}
    first, second = run(tmp_path / "1", books), run(tmp_path / "2", books)
    second.steps[0].seconds = 9.0
    found = diff(first, second)
    assert found.same
    assert [step.seconds for step in found.steps] == [(1.0, 9.0)]


def test_whatever_differs_is_named(tmp_path: Path) -> None:
    first = run(
        tmp_path / "1",
        {"a": [printed("x", "1\n")], "b": []},
        parameters={"timeout": 600, "gone": 1},
        versions={"boto3": "1"},
        services={"consul": ["1.8.7"]},
        code={"commit": "c0ffee", "clean": True},
    )
    second = run(
        tmp_path / "2",
        {"a": [printed("x", "2\n")], "c": []},
        parameters={"timeout": 60, "new": [1, 2]},
        versions={"boto3": "2"},
        services={"consul": ["1.8.7", "1.9.0"]},
        code={"commit": "decade", "clean": False, "changed": ["a.py"]},
        outcome="failed",
    )
    first.outcome = "succeeded"
    a, b = first.steps[0], second.steps[0]
    a.source_sha256, b.source_sha256, b.outcome = "1", "2", "failed"
    a.checks = [
        {"name": "leader", "expected": "yes", "seen": "yes", "ok": True},
        {"name": "leader", "expected": "yes", "seen": "yes", "ok": True},
        {"name": "old", "expected": "1", "seen": "1", "ok": True},
        {"name": "same", "expected": "1", "seen": "1", "ok": True},
    ]
    b.checks = [
        {"name": "leader", "expected": "yes", "seen": "yes", "ok": True},
        {"name": "leader", "expected": "yes", "seen": "no", "ok": False},
        {"name": "same", "expected": "1", "seen": "1", "ok": True},
        {"name": "new", "expected": "1", "seen": "1", "ok": True},
    ]

    found = diff(first, second)

    assert not found.same
    assert found.parameters == (Change("timeout", "600", "60"), Change("gone", "1", None), Change("new", None, "1, 2"))
    assert found.versions == (Change("boto3", "1", "2"), Change("consul", "1.8.7", "1.8.7, 1.9.0"))
    assert [change.name for change in found.facts] == ["outcome", "commit", "changed since the commit"]
    step, gone, new = found.steps
    assert (step.step, step.source, step.outcome) == ("a", True, Change("outcome", "succeeded", "failed"))
    assert [str(change) for change in step.checks] == [
        "leader (again 1): ✓ yes, expected yes → ✗ no, expected yes",
        "old: ✓ 1, expected 1 (gone)",
        "new: ✓ 1, expected 1 (new)",
    ]
    assert [(cell.kind, cell.lines) for cell in step.cells] == [("outputs", ("-1", "+2"))]
    assert (gone.seconds, new.seconds) == ((1.0, None), (None, 1.0))


def test_cells_are_paired_by_their_source() -> None:
    before = [printed("a", "1"), printed("b", "same"), printed("old", ""), printed("z", "z")]
    after = [new_markdown_cell("new"), printed("a", "2"), printed("b", "same"), printed("young", ""), printed("z", "z")]
    found = [(cell.kind, cell.before, cell.after, cell.lines) for cell in cells(before, after)]
    assert found == [
        ("added", None, 0, ("+new",)),
        ("outputs", 0, 1, ("-1", "+2")),
        ("source", 2, 3, ("-old", "+young")),
    ]
    assert [cell.kind for cell in cells(after, before)] == ["removed", "outputs", "source"]


def test_results_and_errors_are_compared_too_and_long_differences_cut() -> None:
    before = [new_code_cell("x", outputs=[new_output("execute_result", {"text/plain": "1"}), *_error("A")])]
    after = [new_code_cell("x", outputs=[new_output("execute_result", {"text/plain": "2"}), *_error("B")])]
    (cell,) = cells(before, after)
    assert cell.lines == ("-1", "-A: why", "+2", "+B: why")
    (long,) = cells([printed("x", "a\n" * 50)], [printed("x", "b\n" * 50)])
    assert (len(long.lines), long.left) == (LINES, 100 - LINES)


def _error(name: str) -> list[Any]:
    return [new_output("error", ename=name, evalue="why", traceback=[])]


def test_pictures_are_compared_by_their_words() -> None:
    first, second = (
        [new_code_cell("x", outputs=[new_output("display_data", {"image/png": data, "text/plain": "a line"})])]
        for data in ("AAAA", "BBBB")
    )
    assert list(cells(first, second)) == []


def test_a_notebook_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    first, second = run(tmp_path / "1", {"a": []}), run(tmp_path / "2", {"a": []})
    (tmp_path / "2" / "a.ipynb").write_text('{"cells": 3}')
    (step,) = diff(first, second).steps
    assert str(tmp_path / "2" / "a.ipynb") in step.unread
    assert not step.same


def test_an_empty_value_is_not_a_missing_one() -> None:
    assert list(changes({"a": ""}, {"a": None})) == []
    assert list(changes({"a": ""}, {})) == [Change("a", "nothing", None)]
