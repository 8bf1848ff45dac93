"""The record of one run: what was run with which parameters, how it ended, and how long it took."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["pending", "running", "succeeded", "failed", "interrupted"]
RECORD = "run.json"
PACKAGES = (
    "multi-cloud-runbook",
    "papermill",
    "ipykernel",
    "nbclient",
    "boto3",
    "google-cloud-compute",
    "asyncssh",
    "python-consul2",
)


def new_run_id(now: datetime | None = None) -> str:
    """An id that sorts by time and does not collide: ``20260102T030405Z-9f3a1c``."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def utc_now() -> str:
    """The time as the records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run rests on, those installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(slots=True)
class StepRecord:
    """One notebook of a run.

    Args:
        step: its name, for example ``01_bootstrap``.
        notebook: file name of the executed notebook, in the run's folder.
        outcome: how it ended, or ``pending`` or ``running``.
        started: UTC, ISO 8601; empty until it starts.
        seconds: how long it took, from kernel start to kernel end.
        message: why it did not succeed.
    """

    step: str
    notebook: str
    outcome: Outcome = "pending"
    started: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass(slots=True)
class RunRecord:
    """One run, as ``run.json`` keeps it.

    Args:
        run: the run's id; ids sort by time.
        deployment: the deployment it works on.
        folder: where the executed notebooks and the record are kept.
        parameters: every parameter as resolved.
        steps: in the order run.
        outcome: that of the whole.
        started: UTC, ISO 8601.
        ended: the same; empty while it runs.
        versions: of Python and of the packages that matter.
    """

    run: str
    deployment: str
    folder: Path
    parameters: Mapping[str, Any]
    steps: list[StepRecord]
    outcome: Outcome = "running"
    started: str = field(default_factory=utc_now)
    ended: str = ""
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def seconds(self) -> float:
        """The sum of its steps."""
        return sum(step.seconds for step in self.steps)

    def write(self) -> None:
        """Replace ``run.json``: a reader sees the old record or the new one, never a part."""
        content = {**asdict(self), "folder": str(self.folder), "seconds": round(self.seconds, 3)}
        file = self.folder / RECORD
        draft = file.with_suffix(".json.new")
        with draft.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
