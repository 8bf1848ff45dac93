from __future__ import annotations

from pathlib import Path

import pytest

from runbook_lib.archive import history
from runbook_lib.archive.record import RunRecord
from runbook_lib.errors import RecordError

IDS = ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb", "20260102T000000Z-bbcccc")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two runs of one deployment, one of another, and what else may lie around."""
    for run, deployment in zip(IDS, ("demo", "blue", "demo"), strict=True):
        folder = tmp_path / deployment / "runs" / run
        folder.mkdir(parents=True)
        RunRecord(run, deployment, folder, {}, []).write()
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "demo" / "runs" / ".draft").mkdir()
    (tmp_path / "demo" / "runs" / "ledger.jsonl").touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_runs_come_newest_first(outputs: Path) -> None:
    told: list[RecordError] = []
    assert [run.run for run in history.runs(outputs, unreadable=told.append)] == list(reversed(IDS))
    assert [run.run for run in history.runs(outputs, "demo", unreadable=told.append)] == [IDS[2], IDS[0]]
    assert history.runs(outputs, "unknown", unreadable=told.append) == []
    assert history.runs(outputs / "unknown", unreadable=told.append) == []
    assert told == []


def test_an_unreadable_run_is_told_and_the_others_listed(outputs: Path) -> None:
    broken = outputs / "blue" / "runs" / IDS[1] / "run.json"
    broken.write_text("{")
    told: list[RecordError] = []
    assert len(history.runs(outputs, unreadable=told.append)) == 2
    assert [error.resource for error in told] == [str(broken)]


@pytest.mark.parametrize(
    ("run", "deployment", "expected"),
    [
        (IDS[0], None, IDS[0]),
        ("20260101", None, IDS[0]),
        ("20260102", "blue", IDS[1]),
        ("20260102T000000Z-bbc", None, IDS[2]),
        ("latest", None, IDS[2]),
        ("latest", "blue", IDS[1]),
    ],
)
def test_a_run_is_found(outputs: Path, run: str, deployment: str | None, expected: str) -> None:
    assert history.find(outputs, run, deployment).run == expected


@pytest.mark.parametrize(
    ("run", "deployment", "message", "seen"),
    [
        ("20260102", None, "several runs begin with 20260102", f"{IDS[2]} (demo), {IDS[1]} (blue)"),
        ("2027", None, "there is no run called 2027", f"{IDS[2]} (demo), {IDS[1]} (blue), {IDS[0]} (demo)"),
        ("", "blue", "there is no run of blue called ", f"{IDS[1]} (blue)"),
        ("latest", "green", "there is no run of green yet", "no run at all"),
    ],
)
def test_what_is_not_one_run_is_refused(
    outputs: Path, run: str, deployment: str | None, message: str, seen: str
) -> None:
    with pytest.raises(RecordError) as refused:
        history.find(outputs, run, deployment)
    assert (refused.value.message, refused.value.seen) == (message, seen)


def test_the_lock_tells_whether_a_run_goes_on(tmp_path: Path) -> None:
    record = RunRecord("id", "demo", tmp_path, {}, [])
    asked: list[Path] = []

    def held(folder: Path) -> bool:
        asked.append(folder)
        return len(asked) == 1

    assert [history.state(record, held) for _ in range(2)] == ["running", "cut off"]
    record.outcome = "failed"
    assert history.state(record, held) == "failed"
    assert asked == [tmp_path, tmp_path]
