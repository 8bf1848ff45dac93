from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook_lib.archive.record import RunRecord, StepRecord, new_run_id


def test_run_ids_sort_by_time_and_differ_within_a_second() -> None:
    early, late = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert re.fullmatch(r"20260102T030405Z-[0-9a-f]{6}", new_run_id(early))
    assert new_run_id(early) < new_run_id(late)
    assert len({new_run_id(early) for _ in range(20)}) == 20


def test_a_record_says_everything_and_leaves_no_draft(tmp_path: Path) -> None:
    record = RunRecord("id", "demo", tmp_path, {"deployment": "demo"}, [StepRecord("00_provision", "00.ipynb")])
    record.write()
    record.steps[0].outcome, record.steps[0].seconds = "succeeded", 1.5
    record.write()

    kept = json.loads((tmp_path / "run.json").read_text())
    assert kept["steps"][0] == {
        "step": "00_provision",
        "notebook": "00.ipynb",
        "outcome": "succeeded",
        "started": "",
        "seconds": 1.5,
        "message": "",
    }
    assert kept["seconds"] == 1.5
    assert kept["parameters"] == {"deployment": "demo"}
    assert {"python", "papermill"} <= set(kept["versions"])
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    record = RunRecord("id", "demo", tmp_path, {"deployment": "demo"}, [])
    record.write()
    record.parameters = {"deployment": object()}
    with pytest.raises(TypeError):
        record.write()
    assert json.loads((tmp_path / "run.json").read_text())["parameters"] == {"deployment": "demo"}
