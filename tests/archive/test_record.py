"""What ``run.json`` keeps, and that it is never half-written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook_lib.archive.record import OUTCOMES, CellRecord, RunRecord, StepRecord, new_run_id
from runbook_lib.errors import RecordError


def test_run_ids_sort_by_time_and_differ_within_a_second() -> None:
    early, late = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert re.fullmatch(r"20260102T030405Z-[0-9a-f]{6}", new_run_id(early))
    assert new_run_id(early) < new_run_id(late)
    assert len({new_run_id(early) for _ in range(20)}) == 20


def full(folder: Path) -> RunRecord:
    cell = CellRecord(3, "failed", "2026-01-02T03:04:05.000+00:00", 1.25, "Apply", "ab" * 32)
    waiting = {"what": "a leader", "seconds": 12.5, "seen": "none"}
    check = {"name": "leader", "expected": "one", "seen": "none", "ok": False}
    step = StepRecord(
        "00_provision", "00.ipynb", "cd" * 32, "failed", "", 1.5, "no", 3, "last", waiting, [cell], [check]
    )
    return RunRecord("id", "demo", folder, {"deployment": "demo"}, [step], services={"consul": ["1.8.7"]}, notes=["x"])


def test_a_record_is_read_as_it_was_written_and_leaves_no_draft(tmp_path: Path) -> None:
    record = full(tmp_path)
    record.write()
    record.steps[0].seconds = 2.0
    record.write()
    assert RunRecord.read(tmp_path) == record
    assert json.loads((tmp_path / "run.json").read_text())["seconds"] == 2.0
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    record = full(tmp_path)
    record.write()
    record.parameters = {"deployment": object()}
    with pytest.raises(TypeError):
        record.write()
    assert json.loads((tmp_path / "run.json").read_text())["parameters"] == {"deployment": "demo"}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"format": 1', '"format": 2', "format 1"),
        ('"outcome": "failed"', '"outcome": "fine"', "an outcome that there is not"),
        ('"step": ', '"stop": ', "a step with stop"),
        ('"kind": ', '"kinds": ', "kinds"),
        ("{", "", "JSONDecodeError"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    full(tmp_path).write()
    file = tmp_path / "run.json"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(RecordError) as refused:
        RunRecord.read(tmp_path)
    assert told in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_folder_without_a_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        RunRecord.read(tmp_path)


def test_the_last_step_is_the_one_begun_last(tmp_path: Path) -> None:
    steps = [StepRecord(name, name) for name in ("a", "b", "c")]
    record = RunRecord("id", "demo", tmp_path, {}, steps)
    assert record.last is None
    steps[0].outcome, steps[1].outcome = "succeeded", "killed"
    assert record.last is steps[1]
    assert {step.outcome for step in steps} <= set(OUTCOMES)
