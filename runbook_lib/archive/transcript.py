"""What a kernel's messages say was run and what came of it, as a notebook: one cell for each execution, in their order.

Pure: it takes messages and keeps the notebook; who brings the messages and saves the notebook is ``interactive``. The
notebook is plain JSON content of format 4.5: nbformat takes more than a second to load, which no cell should wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from .. import errors, onlooker
from .record import CellRecord, Outcome, StepRecord

# What of a message makes each kind of output, as nbformat has it.
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
LAST_LINES, LAST_CHARACTERS = 5, 1000  # of what a cell printed, for the record
UNSEEN = "the cell ran before the recording began"
BROKEN = ("failed", "out of memory", "terminated")


@dataclass(slots=True, eq=False)
class Execution:
    """One execution of a cell.

    Args:
        cell: source, outputs and number, as the notebook holds them.
        record: the same cell's place in the run's record.
        ending: how it will have ended once it has.
        wipe: the outputs are to go as soon as there is another.
    """

    cell: dict[str, Any]
    record: CellRecord
    ending: Outcome = "succeeded"
    wipe: bool = False

    @property
    def runs(self) -> bool:
        """It has begun and not ended."""
        return self.record.outcome == "running"


class Transcript:
    """The executions of one kernel.

    Args:
        headings: of cells that are known from the notebook's file, the heading above each by its source.
    """

    def __init__(self, headings: Mapping[str, str] | None = None) -> None:
        self.executions: list[Execution] = []
        self.changed = False  # since somebody last set it so
        self._headings = headings or {}
        self._asked: dict[str, Execution] = {}  # by the id of the message that asked for it
        self._displays: dict[str, list[dict[str, Any]]] = {}  # outputs that can be renewed, by their id

    def before(self, source: str, number: int, error: Mapping[str, Any] | None = None) -> None:
        """A cell that ran before the messages were listened to; its outputs are lost, except for an error."""
        execution = self._add(source, number)
        execution.cell["metadata"]["runbook"] = {"outputs": UNSEEN}
        if error:
            self._show(execution, _output("error", error))
        execution.record.outcome = execution.ending

    def begun(self, request: str, source: str, number: int | None, at: str) -> None:
        """A cell begins.

        Args:
            request: id of the message that asked for it; its outputs name it as their parent.
            source: the cell.
            number: of the execution.
            at: UTC, ISO 8601.
        """
        if request not in self._asked:
            execution = self._asked[request] = self._add(source, number)
            execution.record.outcome, execution.record.started = "running", at

    def take(self, message: Mapping[str, Any]) -> bool:
        """Take in one message of the channel that frontends listen to; whether a cell has ended with it."""
        kind, content = message["header"]["msg_type"], message["content"]
        parent = message.get("parent_header", {}).get("msg_id", "")
        if kind == "execute_input":
            self.begun(parent, content["code"], content["execution_count"], _at(message))
        elif kind == "update_display_data":
            self._renew(content.get("transient", {}).get("display_id", ""), content)
        elif (execution := self._asked.get(parent)) is not None:
            if kind in OUTPUTS:
                self._take_output(execution, kind, content)
            elif kind == "clear_output":
                self._clear(execution, wait=bool(content.get("wait")))
            elif kind == "status" and content["execution_state"] == "idle" and execution.runs:
                self._end(execution, execution.ending, _at(message))
                return True
        return False

    @property
    def running(self) -> bool:
        """Whether a cell runs."""
        return any(execution.runs for execution in self.executions)

    def stop(self, outcome: Outcome) -> None:
        """Whatever still runs ends so."""
        for execution in self.executions:
            if execution.runs:
                self._end(execution, outcome, datetime.now(UTC).isoformat(timespec="milliseconds"))

    def outcome(self) -> Outcome:
        """How the whole ended: each cell counts as it ended the last time that it was run."""
        if self.executions and self.executions[-1].record.outcome == "interrupted":
            return "interrupted"
        broken = self._broken()
        return broken.record.outcome if broken else "succeeded"

    def tell(self, step: StepRecord) -> None:
        """Let a step's record say what was run and, if it did not succeed, where and why."""
        step.cells = [execution.record for execution in self.executions]
        last = self.executions[-1] if self.executions else None
        wrong = last if last and last.record.outcome == "interrupted" else self._broken()
        step.cell = wrong.record.index if wrong else None
        step.message = _why(wrong.cell) if wrong else ""
        step.printed = _printed(wrong.cell) if wrong else ""

    def notebook(self) -> dict[str, Any]:
        """The notebook as it is now."""
        return {
            "cells": [execution.cell for execution in self.executions],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }

    # ---- underneath ------------------------------------------------------------------------------------------

    def _add(self, source: str, number: int | None) -> Execution:
        cell: dict[str, Any] = {
            "cell_type": "code",
            "id": uuid4().hex[:8],
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": number,
        }
        heading = self._headings.get(source.strip(), "")
        execution = Execution(cell, CellRecord(len(self.executions), heading=heading))
        self.executions.append(execution)
        self.changed = True
        return execution

    def _take_output(self, execution: Execution, kind: str, content: Mapping[str, Any]) -> None:
        output = _output(kind, content)
        if name := content.get("transient", {}).get("display_id", ""):
            self._renew(name, content)
            self._displays.setdefault(name, []).append(output)
        self._show(execution, output)

    def _show(self, execution: Execution, output: dict[str, Any]) -> None:
        if execution.wipe:
            self._clear(execution, wait=False)
        outputs = execution.cell["outputs"]
        last = outputs[-1] if outputs else {}
        if "text" in output and last.get("name") == output["name"]:
            last["text"] += output["text"]  # as a frontend does: one block of text
        else:
            outputs.append(output)
        if output["output_type"] == "error":
            kinds: dict[str, Outcome] = {"KeyboardInterrupt": "interrupted", "MemoryError": "out of memory"}
            execution.ending = kinds.get(output["ename"], "failed")
        self.changed = True

    def _renew(self, name: str, content: Mapping[str, Any]) -> None:
        for output in self._displays.get(name, ()):
            output |= {"data": content["data"], "metadata": content.get("metadata", {})}
            # What is renewed every other second, for whoever looks on, is written with what is written anyway.
            self.changed |= not output["metadata"].get("runbook", {}).get(onlooker.PASSING)

    def _clear(self, execution: Execution, *, wait: bool) -> None:
        execution.wipe = wait
        if not wait:
            execution.cell["outputs"].clear()
            self.changed = True

    def _end(self, execution: Execution, outcome: Outcome, at: str) -> None:
        record = execution.record
        record.outcome = outcome
        took = datetime.fromisoformat(at) - datetime.fromisoformat(record.started)
        record.seconds = max(0.001, round(took.total_seconds(), 3))
        self.changed = True

    def _broken(self) -> Execution | None:
        last = {execution.cell["source"].strip(): execution for execution in self.executions}
        return next((e for e in reversed(last.values()) if e.record.outcome in BROKEN), None)


def _at(message: Mapping[str, Any]) -> str:
    date = message["header"]["date"]
    date = date if isinstance(date, datetime) else datetime.fromisoformat(date)
    return str(date.astimezone(UTC).isoformat(timespec="milliseconds"))


def _output(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"output_type": kind, **{name: content[name] for name in OUTPUTS[kind]}}


def _why(cell: Mapping[str, Any]) -> str:
    for output in reversed(cell["outputs"]):
        if output["output_type"] == "error":
            ours = getattr(errors, output["ename"], None)
            told = isinstance(ours, type) and issubclass(ours, errors.RunbookError)
            return str(output["evalue"]) if told else f"{output['ename']}: {output['evalue']}".rstrip(": ")
    return ""


def _printed(cell: Mapping[str, Any]) -> str:
    text = "".join(output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
    return "\n".join(text.rstrip().splitlines()[-LAST_LINES:])[-LAST_CHARACTERS:]
