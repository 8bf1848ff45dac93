"""One operation while it is being recorded: its folder, its record, its place in the ledger, what may not be seen.

Whoever executes cells, ``runbook run``, papermill or a kernel in JupyterLab, holds one of these and tells it what
happens. Nothing reaches the archive but through here, so not before secrets are taken out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import events, keys
from ..errors import ParameterError
from ..params import Params
from ..wait import SEEN
from . import closing, lock, origin, report
from .durable import replace
from .entry import sha256
from .ledger import Ledger
from .notebooks import as_file
from .record import RECORD, Kind, Outcome, RunRecord, StepRecord, new_run_id, utc_now
from .redaction import Redactor, fingerprint_key
from .signing import open_key

PRIVATE = "archive"  # the folder, beside a deployment's other keys, of those that the archive needs
PRINTED = 2000  # characters of what a cell last printed that the record keeps


class Operation:
    """A run that is going on.

    Args:
        record: what is known of it.
        redactor: knows what may not be seen.
        ledger: the deployment's.
        held: holds the run's lock until it is closed.
    """

    def __init__(self, record: RunRecord, redactor: Redactor, ledger: Ledger, held: contextlib.ExitStack) -> None:
        self.record = record
        self.redactor = redactor
        self.waiting: dict[str, Mapping[str, Any]] = {}  # what the cell that runs waits for, by name
        self._ledger = ledger
        self._held = held
        self._cells: dict[str, dict[int, Any]] = {}  # as last saved, by step and index
        self._known = 0  # secrets, when they were cleaned
        self._saved: dict[str, int] = {}  # how many secrets were known when a step's notebook was saved
        self._pages = ThreadPoolExecutor(1)
        self._writing: list[Future[Path]] = []

    @classmethod
    def open(
        cls,
        output: Path,
        params: Params,
        steps: Sequence[StepRecord],
        *,
        kind: Kind,
        sources: Mapping[str, str],
        resumes: str = "",
    ) -> Operation:
        """Begin one: close what was cut off before, make its folder, enter it into the ledger.

        Args:
            output: folder in which each deployment has its own.
            params: the parameters as resolved.
            steps: the notebooks that are to be executed.
            kind: what executes them.
            sources: where each parameter is from.
            resumes: the run that this one goes on with.

        Raises:
            RecordError: the ledger is not what it was.
            PrerequisiteError: the archive's keys cannot be made or read.
            OSError: the folder cannot be made.
        """
        folder, private = output / params.deployment, keys.folder(params) / PRIVATE
        redactor = Redactor(fingerprint_key(private))
        for name, value in params.secrets().items():
            redactor.add(name, value)
        ledger = Ledger(folder, open_key(private))
        run = new_run_id()
        record = RunRecord(
            run=run,
            deployment=params.deployment,
            folder=folder / "runs" / run,
            parameters=redactor.tree(params.recorded()),
            steps=list(steps),
            kind=kind,
            sources=sources,
            identity=redactor.tree(origin.identity()),
            code=origin.code(),
            versions=origin.versions(),
            resumes=resumes,
        )
        held = contextlib.ExitStack()
        with lock.opening(folder):  # to all others, a run whose lock is free is one that was cut off
            closing.close(folder, ledger)
            record.folder.mkdir(parents=True)
            held.enter_context(lock.hold(record.folder))
            ledger.begin(record)
        operation = cls(record, redactor, ledger, held)
        operation.write()
        return operation

    @classmethod
    def by_hand(cls, output: Path, params: Params, step: StepRecord, sources: Mapping[str, str]) -> Operation:
        """Begin the record of a session at a notebook; see ``open``."""
        return cls.open(output, params, [step], kind="interactive", sources=sources)

    def heard(self, event: Mapping[str, Any]) -> None:
        """Take in what a cell told: see ``events`` for the kinds."""
        facts = {name: value for name, value in event.items() if name != "kind"}
        if event.get("kind") != events.SECRET:  # what is in memory is shown as it goes
            facts, cut = self.redactor.tree(facts), len(str(facts.get("seen", ""))) >= SEEN
            if cut:  # perhaps within a secret, of which the rest would not be found any more
                facts["seen"] = facts["seen"][: self.redactor.unfinished(facts["seen"])]
        match event.get("kind"):
            case events.SECRET:
                try:
                    self.redactor.add(facts["name"], facts["value"])
                except ParameterError as error:
                    self.note(str(error))
            case events.WAITING:
                self.waiting[facts["what"]] = facts
            case events.ARRIVED:
                self.waiting.pop(facts["what"], None)
            case events.CHECKS:
                if (step := self.record.last) is not None:
                    step.checks.extend(facts["checks"])
            case events.SERVICE:
                known = self.record.services.setdefault(facts["name"], [])
                if facts["version"] not in known:
                    known.append(facts["version"])
            case events.APPROVAL:
                self.record.approvals.append(facts)

    def note(self, text: str) -> None:
        """Add a remark to the record, once."""
        if not any(note.endswith(text) for note in self.record.notes):
            self.record.notes.append(f"{utc_now()} {text}")

    def clean(
        self, step: StepRecord, notebook: Mapping[str, Any], changed: Iterable[int] | None = None
    ) -> dict[str, Any]:
        """A notebook without secrets.

        Args:
            step: whose; the same one each time.
            notebook: as the kernel filled it, nbformat's or plain JSON content; it is left alone.
            changed: indices of the cells that have changed since this was last asked; ``None`` for all.
        """
        known = self._cells.setdefault(step.step, {})
        if changed is None or self._known != len(self.redactor):
            for seen in self._cells.values():
                seen.clear()
            self._known = len(self.redactor)
        for index in changed or ():
            known.pop(index, None)
        for index, cell in enumerate(notebook["cells"]):
            if index not in known:
                known[index] = self.redactor.tree(joined(cell))
        rest = self.redactor.tree({name: value for name, value in notebook.items() if name != "cells"})
        return {**rest, "cells": [known[index] for index in range(len(notebook["cells"]))]}

    def save(
        self, step: StepRecord, notebook: Mapping[str, Any], changed: Iterable[int] | None = None
    ) -> dict[str, Any]:
        """Save a notebook and the record, each whole or not at all; gives the notebook as saved.

        Args:
            step: whose notebook it is.
            notebook: as the kernel filled it.
            changed: as for ``clean``.

        Raises:
            OSError: they cannot be written; the ones before are untouched.
        """
        saved = self.clean(step, notebook, changed)
        for cell in step.cells:
            if not cell.source_sha256 or changed is None or cell.index in changed:
                cell.source_sha256 = sha256(saved["cells"][cell.index]["source"].encode())
        if step.cell is not None:  # cut from what is clean: of a secret that is cut, the rest would not be found
            step.printed = last_printed(saved["cells"][step.cell])
        replace(self.record.folder / step.notebook, as_file(saved))
        self._saved[step.step] = len(self.redactor)
        self.write()
        return saved

    def publish(self, step: StepRecord) -> None:
        """Write the page of a notebook that has ended, while the next one is executed."""
        self._writing.append(self._pages.submit(report.export, self.record.folder / step.notebook))

    def write(self) -> None:
        """Save the record.

        Raises:
            OSError: it cannot be written; the one before is untouched.
        """
        content = self.redactor.tree(self.record.content())
        replace(self.record.folder / RECORD, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def end(self, outcome: Outcome) -> None:
        """End it: write what there is to read, enter the ending into the ledger, let go of the lock.

        Args:
            outcome: that of the whole.

        Raises:
            OSError, RecordError: it cannot be written; the next operation closes it.
        """
        with self._held:
            self.record.outcome, self.record.ended = outcome, utc_now()
            with self._pages:
                for page in self._writing:
                    page.result()
            self._clean_again()
            self.write()
            # Read again: what is in memory may hold secrets.
            closing.seal(RunRecord.read(self.record.folder), self._ledger)

    def _clean_again(self) -> None:
        """Take secrets out of the notebooks that were saved before they were known."""
        for step in self.record.steps:
            if self._saved.get(step.step, len(self.redactor)) == len(self.redactor):
                continue
            file = self.record.folder / step.notebook
            content = json.loads(file.read_bytes())
            clean = self.redactor.tree(content)
            if clean != content:
                replace(file, as_file(clean))
                file.with_suffix(".html").unlink(missing_ok=True)
                for cell in step.cells:
                    cell.source_sha256 = sha256(clean["cells"][cell.index]["source"].encode())


def joined(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell whose consecutive prints to one stream are one output: a secret may have been printed in pieces."""
    outputs: list[Any] = []
    for output in cell.get("outputs", ()):
        last = outputs[-1] if outputs else None
        if (
            last
            and output["output_type"] == "stream"
            and last["output_type"] == "stream"
            and last["name"] == output["name"]
        ):
            outputs[-1] = {**last, "text": last["text"] + output["text"]}
        else:
            outputs.append(output)
    return {**cell, **({"outputs": outputs} if "outputs" in cell else {})}


def last_printed(cell: Mapping[str, Any]) -> str:
    """The end of what a cell has printed."""
    text = "".join(output["text"] for output in cell.get("outputs", ()) if output["output_type"] == "stream")
    return text[-PRINTED:].strip("\n")
