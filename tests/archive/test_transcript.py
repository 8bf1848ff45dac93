from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import nbformat
import pytest

from runbook_lib.archive.record import StepRecord
from runbook_lib.archive.transcript import LAST_LINES, UNSEEN, Transcript

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Kernel:
    """Says what a kernel says."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.count = 0
        self.now = BEGUN

    def say(self, kind: str, *, parent: str = "", **content: Any) -> bool:
        header = {"msg_type": kind, "date": self.now}
        parent = parent or f"cell {self.count}"
        return self.transcript.take({"header": header, "parent_header": {"msg_id": parent}, "content": content})

    def begin(self, source: str) -> None:
        self.count += 1
        self.say("status", execution_state="busy")
        self.say("execute_input", code=source, execution_count=self.count)

    def end(self, seconds: float = 1.0) -> bool:
        self.now += timedelta(seconds=seconds)
        return self.say("status", execution_state="idle")

    def run(self, source: str, **error: str) -> None:
        self.begin(source)
        if error:
            self.say("error", traceback=[], **{"evalue": "", **error})
        self.end()

    def show(self, text: str, name: str = "", **message: Any) -> None:
        transient = {"display_id": name} if name else {}
        self.say("display_data", data={"text/plain": text}, metadata={}, transient=transient, **message)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(Transcript({"x = 1": "Numbers"}))


def outputs(kernel: Kernel, place: int = 0) -> list[str]:
    found = kernel.transcript.notebook()["cells"][place]["outputs"]
    return [output["text"] if "text" in output else output["data"]["text/plain"] for output in found]


def test_a_cell_is_kept_with_when_and_how_it_ran(kernel: Kernel) -> None:
    kernel.begin("x = 1\n")
    assert kernel.transcript.running
    assert not kernel.say("stream", name="stdout", text="hello\n")
    assert kernel.end(2.5), "it has ended"
    assert not kernel.transcript.running
    (record,) = (execution.record for execution in kernel.transcript.executions)
    assert (record.index, record.outcome, record.seconds, record.heading) == (0, "succeeded", 2.5, "Numbers")
    assert record.started == "2026-01-02T03:04:05.000+00:00"
    book = kernel.transcript.notebook()
    nbformat.validate(nbformat.from_dict(book))
    assert (book["cells"][0]["source"], book["cells"][0]["execution_count"]) == ("x = 1\n", 1)


def test_a_cell_that_is_run_twice_is_there_twice(kernel: Kernel) -> None:
    kernel.run("x = 1")
    kernel.run("x = 1")
    cells = kernel.transcript.notebook()["cells"]
    assert [(cell["source"], cell["execution_count"]) for cell in cells] == [("x = 1", 1), ("x = 1", 2)]
    assert cells[0]["id"] != cells[1]["id"]


def test_text_of_one_stream_is_one_output(kernel: Kernel) -> None:
    kernel.begin("")
    for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")):
        kernel.say("stream", name=name, text=text)
    kernel.show("e")
    kernel.say("stream", name="stdout", text="f")
    assert outputs(kernel) == ["ab", "c", "d", "e", "f"]


def test_what_is_renewed_is_new_wherever_it_stands(kernel: Kernel) -> None:
    kernel.begin("")
    kernel.show("old", "one")
    kernel.show("other", "two")
    kernel.show("nameless")
    kernel.end()
    kernel.begin("")
    kernel.show("old again", "one")
    assert outputs(kernel) == ["old again", "other", "nameless"]
    kernel.transcript.changed = False
    kernel.say("update_display_data", data={"text/plain": "new"}, metadata={}, transient={"display_id": "one"})
    assert kernel.transcript.changed
    assert (outputs(kernel, 0), outputs(kernel, 1)) == (["new", "other", "nameless"], ["new"])


@pytest.mark.parametrize(("wait", "between", "after"), [(False, [], ["new"]), (True, ["old"], ["new"])])
def test_outputs_are_cleared_at_once_or_with_the_next(
    kernel: Kernel, wait: bool, between: list[str], after: list[str]
) -> None:
    kernel.begin("")
    kernel.show("old")
    kernel.say("clear_output", wait=wait)
    assert outputs(kernel) == between
    kernel.show("new")
    assert outputs(kernel) == after


def test_late_and_foreign_messages_go_where_they_belong(kernel: Kernel) -> None:
    kernel.run("first")
    kernel.begin("second")
    kernel.show("late", parent="cell 1")
    kernel.show("foreign", parent="somebody else's request")
    kernel.say("status", execution_state="idle", parent="somebody else's request")
    assert (outputs(kernel, 0), outputs(kernel, 1)) == (["late"], [])
    assert kernel.transcript.running


@pytest.mark.parametrize(
    ("runs", "outcome", "cell", "message"),
    [
        ([], "succeeded", None, ""),
        ([("a", {}), ("b", {})], "succeeded", None, ""),
        ([("a", {"ename": "ValueError", "evalue": "why"}), ("b", {})], "failed", 0, "ValueError: why"),
        ([("a", {"ename": "ValueError"}), ("a ", {})], "succeeded", None, ""),
        ([("a", {}), ("a", {"ename": "ValueError"})], "failed", 1, "ValueError"),
        ([("a", {"ename": "CheckFailed", "evalue": "1 of 2"})], "failed", 0, "1 of 2"),
        ([("a", {"ename": "MemoryError"})], "out of memory", 0, "MemoryError"),
        ([("a", {"ename": "KeyboardInterrupt"})], "interrupted", 0, "KeyboardInterrupt"),
        ([("a", {"ename": "KeyboardInterrupt"}), ("b", {})], "succeeded", None, ""),
        ([("a", {"ename": "E"}), ("b", {"ename": "KeyboardInterrupt"})], "interrupted", 1, "KeyboardInterrupt"),
    ],
)
def test_the_outcome_is_that_of_each_cell_s_last_run(
    kernel: Kernel, runs: list[tuple[str, dict[str, str]]], outcome: str, cell: int | None, message: str
) -> None:
    for source, error in runs:
        kernel.run(source, **error)
    step = StepRecord("a", "a.ipynb", cell=7, message="old")
    kernel.transcript.tell(step)
    assert (kernel.transcript.outcome(), step.cell, step.message) == (outcome, cell, message)
    assert len(step.cells) == len(runs)


def test_what_a_broken_cell_printed_last_is_told(kernel: Kernel) -> None:
    kernel.begin("")
    kernel.say("stream", name="stdout", text="\n".join(map(str, range(100))) + "\n")
    kernel.say("error", ename="E", evalue="", traceback=[])
    kernel.end()
    step = StepRecord("a", "a.ipynb")
    kernel.transcript.tell(step)
    assert step.printed.splitlines() == [str(n) for n in range(100 - LAST_LINES, 100)]


def test_what_ran_before_is_there_without_outputs_but_for_errors(kernel: Kernel) -> None:
    kernel.transcript.before("import x", 1)
    kernel.transcript.before("1 / 0", 2, {"ename": "ZeroDivisionError", "evalue": "e", "traceback": ["t"], "more": 1})
    kernel.transcript.begun("cell 3", "open()", 3, "2026-01-02T03:04:00.000+00:00")
    kernel.count = 3
    kernel.show("seen")
    kernel.end(0)
    cells = kernel.transcript.notebook()["cells"]
    nbformat.validate(nbformat.from_dict(kernel.transcript.notebook()))
    assert [cell["metadata"] for cell in cells] == [{"runbook": {"outputs": UNSEEN}}] * 2 + [{}]
    assert [len(cell["outputs"]) for cell in cells] == [0, 1, 1]
    records = [execution.record for execution in kernel.transcript.executions]
    assert [(r.outcome, r.seconds) for r in records] == [("succeeded", 0), ("failed", 0), ("succeeded", 5)]


def test_a_cell_that_never_ended_ends_with_the_kernel(kernel: Kernel) -> None:
    kernel.run("a")
    kernel.begin("b")
    kernel.transcript.stop("terminated")
    assert [execution.record.outcome for execution in kernel.transcript.executions] == ["succeeded", "terminated"]
    assert not kernel.transcript.running
    assert kernel.transcript.outcome() == "terminated"
