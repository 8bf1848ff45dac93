"""The record of one operation, ``run.json``: who ran what with which parameters, how it ended, and how long it took.

The same format whether ``runbook run``, papermill with this package's engine, or someone in JupyterLab ran it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import RecordError
from . import durable

Outcome = Literal[
    "pending",  # not begun
    "running",  # begun; whether still going on, the run's lock tells (see ``lock``)
    "succeeded",
    "failed",  # a cell raised an error
    "timed out",  # a cell took longer than it was given
    "out of memory",  # the kernel's process, or a cell's allocation, found no memory
    "kernel died",  # the kernel's process ended for another reason
    "interrupted",  # Ctrl-C
    "terminated",  # SIGTERM
    "killed",  # the recording process itself ended without a word; found later
    "machine gone",  # so did the machine that it ran on
]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
Kind = Literal["run", "papermill", "interactive"]
RECORD, REPORT = "run.json", "index.html"
FORMAT = 1


def new_run_id(now: datetime | None = None) -> str:
    """An id that sorts by time and does not collide: ``20260102T030405Z-9f3a1c``."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def utc_now() -> str:
    """The time as the records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class CellRecord:
    """One execution of a code cell.

    Args:
        index: its place in the executed notebook, from 0.
        outcome: how it ended, or ``pending`` or ``running``.
        started: UTC, ISO 8601; empty until it starts.
        seconds: how long it took.
        heading: the notebook's last heading before it.
        source_sha256: of the source as it was run, secrets replaced.
    """

    index: int
    outcome: Outcome = "pending"
    started: str = ""
    seconds: float = 0.0
    heading: str = ""
    source_sha256: str = ""


@dataclass(slots=True)
class StepRecord:
    """One notebook of a run.

    Args:
        step: its name, for example ``01_bootstrap``.
        notebook: file name of the executed notebook, in the run's folder.
        source_sha256: of the notebook's file as it was before; empty if it was not a file.
        outcome: how it ended, or ``pending`` or ``running``.
        started: UTC, ISO 8601; empty until it starts.
        seconds: how long it took, from kernel start to kernel end.
        message: why it did not succeed.
        cell: index of the cell that it ended in, if it did not succeed.
        printed: what that cell last printed; a few lines.
        waiting: what that cell was waiting for, if it was: ``what``, ``seconds``, ``seen``.
        cells: each execution of a code cell, in the order executed.
        checks: each comparison made by ``require``: ``name``, ``expected``, ``seen`` (texts) and ``ok``.
    """

    step: str
    notebook: str
    source_sha256: str = ""
    outcome: Outcome = "pending"
    started: str = ""
    seconds: float = 0.0
    message: str = ""
    cell: int | None = None
    printed: str = ""
    waiting: Mapping[str, Any] = field(default_factory=dict)
    cells: list[CellRecord] = field(default_factory=list)
    checks: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class RunRecord:
    """One operation, as ``run.json`` keeps it.

    Args:
        run: the run's id; ids sort by time.
        deployment: the deployment it works on.
        folder: where the executed notebooks and the record are kept; not part of the file.
        parameters: every parameter as resolved; a reference to a secret stays a reference.
        steps: in the order run.
        kind: what ran it.
        outcome: that of the whole.
        started: UTC, ISO 8601.
        ended: the same; empty while it runs.
        sources: where each parameter is from: ``default``, a file, ``command line`` or ``notebook``.
        identity: who ran it, where and with which command: see ``origin.Identity``.
        code: the repository's commit and whether anything differed from it: see ``origin.Code``.
        versions: of Python and of every package there is.
        services: versions of Consul and Traefik as they told them, by name.
        approvals: of plans: ``plan`` (its hash), ``by``, ``at``, ``expires``, ``way``.
        resumes: the run that this one goes on with.
        notes: what was found or mended later, each with its time.
    """

    run: str
    deployment: str
    folder: Path
    parameters: Mapping[str, Any]
    steps: list[StepRecord]
    kind: Kind = "run"
    outcome: Outcome = "running"
    started: str = field(default_factory=utc_now)
    ended: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    services: dict[str, list[str]] = field(default_factory=dict)
    approvals: list[Mapping[str, Any]] = field(default_factory=list)
    resumes: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The sum of its steps."""
        return sum(step.seconds for step in self.steps)

    @property
    def last(self) -> StepRecord | None:
        """The step that was begun last."""
        return next((step for step in reversed(self.steps) if step.outcome != "pending"), None)

    def content(self) -> dict[str, Any]:
        """What ``run.json`` holds."""
        found = {name: value for name, value in asdict(self).items() if name != "folder"}
        return {"format": FORMAT, **found, "seconds": round(self.seconds, 3)}

    def write(self) -> None:
        """Replace ``run.json``: a reader sees the old record or the new one, never a part.

        Raises:
            OSError, TypeError: it cannot be written; the old one is untouched.
        """
        text = json.dumps(self.content(), indent=2, ensure_ascii=False) + "\n"
        durable.replace(self.folder / RECORD, text.encode())

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """The record in a run's folder.

        Raises:
            RecordError: there is none, or it is not one of ours.
        """
        file = folder / RECORD
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError(f"not of format {FORMAT}")
            content.pop("seconds")
            steps = [_step(step) for step in content.pop("steps")]
            record = cls(folder=folder, steps=steps, **content)
            if {record.outcome, *(step.outcome for step in steps)} - set(OUTCOMES):
                raise ValueError("an outcome that there is not")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                "a run's record cannot be read",
                resource=str(file),
                expected=f"a run.json of format {FORMAT}",
                seen=f"{type(error).__name__}: {error}",
                remedy="runbook verify tells whether it was changed; older versions wrote other formats",
            ) from None
        return record


def _step(content: Mapping[str, Any]) -> StepRecord:
    known = {f.name for f in fields(StepRecord)}
    if unknown := set(content) - known:
        raise ValueError(f"a step with {', '.join(sorted(unknown))}")
    return StepRecord(**{**content, "cells": [CellRecord(**cell) for cell in content["cells"]]})
