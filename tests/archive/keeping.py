"""The least that keeps a run: a record and a notebook in a folder, secrets taken out. For the tests of recorders."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook_lib import events
from runbook_lib.archive.durable import replace
from runbook_lib.archive.record import Outcome, RunRecord, StepRecord, new_run_id, utc_now
from runbook_lib.params import Params


class Kept:
    """A run on record."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.secrets: list[str] = []

    def heard(self, event: Mapping[str, Any]) -> None:
        step = self.record.steps[0]
        if event["kind"] == events.SECRET:
            self.secrets.append(event["value"])
        elif event["kind"] == events.CHECKS:
            step.checks += event["checks"]
        elif event["kind"] == events.SERVICE:
            self.record.services.setdefault(event["name"], []).append(event["version"])

    def save(self, step: StepRecord, notebook: Any) -> None:
        text = json.dumps(notebook)
        for secret in self.secrets:
            text = text.replace(json.dumps(secret)[1:-1], "***")
        replace(self.record.folder / step.notebook, text.encode())
        self.record.write()

    def end(self, outcome: Outcome) -> None:
        self.record.outcome, self.record.ended = outcome, utc_now()
        self.record.write()


def keep(output: Path, params: Params, step: StepRecord, sources: Mapping[str, str]) -> Kept:
    """Begin to keep a run."""
    run = new_run_id()
    folder = output / params.deployment / "runs" / run
    folder.mkdir(parents=True)
    record = RunRecord(run, params.deployment, folder, params.recorded(), [step], kind="interactive", sources=sources)
    record.write()
    return Kept(record)


class Unreliable(Kept):
    """Fails to save until it is told that all is well."""

    def save(self, step: StepRecord, notebook: Any) -> None:
        if not (self.record.folder / "well").exists():
            (self.record.folder / "refused").touch()
            raise OSError("no space left on device")
        super().save(step, notebook)


def keep_unreliably(output: Path, params: Params, step: StepRecord, sources: Mapping[str, str]) -> Unreliable:
    """Begin to keep a run that is not saved at first."""
    return Unreliable(keep(output, params, step, sources).record)


class Slow(Kept):
    """Takes longer to end than anybody waits."""

    def end(self, outcome: Outcome) -> None:
        time.sleep(600)


def keep_slowly(output: Path, params: Params, step: StepRecord, sources: Mapping[str, str]) -> Slow:
    """Begin to keep a run that does not come to its end."""
    return Slow(keep(output, params, step, sources).record)


def refuse(output: Path, *facts: Any) -> Kept:
    """Not begin at all."""
    raise PermissionError(f"{output} is not for you")
