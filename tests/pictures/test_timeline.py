from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook_lib.archive.record import CellRecord, Kind, Outcome, RunRecord, StepRecord
from runbook_lib.pictures.timeline import drawn, lanes, timeline
from tests.pictures.seen import nothing_is_cut, words
from tests.standing import site_of

NOW = datetime(2026, 1, 2, 3, 10, tzinfo=UTC)


def at(seconds: float) -> str:
    return f"2026-01-02T03:{4 + int(seconds) // 60:02}:{seconds % 60:06.3f}+00:00"


def step(name: str, begun: float, seconds: float, outcome: Outcome = "succeeded", cells: int = 2) -> StepRecord:
    each = seconds / cells if cells else 0
    return StepRecord(
        name,
        f"{name}.ipynb",
        outcome=outcome,
        started=at(begun),
        seconds=seconds,
        cells=[CellRecord(n, outcome, at(begun + n * each), each, f"Part {n}") for n in range(cells)],
    )


def run(name: str, *steps: StepRecord, folder: Path = Path(), kind: Kind = "run") -> RunRecord:
    return RunRecord(name, "demo", folder, {}, list(steps), started=at(0), kind=kind)


def test_one_runs_steps_stand_where_they_were() -> None:
    record = run("r1", step("00_provision", 0, 10), step("01_bootstrap", 12, 20), StepRecord("02_federate", "x.ipynb"))
    found = lanes([record], NOW)
    assert [(lane.step, lane.left, lane.seconds) for lane in found] == [
        ("00_provision", 0, 10),
        ("01_bootstrap", 12, 20),
    ]
    assert [(bar.left, bar.seconds) for bar in found[1].bars] == [(12, 10), (22, 10)]
    picture = drawn(found, where="/o")
    nothing_is_cut(picture)
    assert picture.headline == "Timeline of the walk: 2 steps in 30.0 s."
    assert {"00_provision", "01_bootstrap", "✓ succeeded", "10.0 s", "20.0 s"} <= set(words(picture))
    assert "longest: “Part 0” 10.0 s, “Part 1” 10.0 s" in picture.alt


def test_the_walk_is_what_ran_since_the_last_teardown() -> None:
    before = run("r1", step("00_provision", 0, 9), step("01_bootstrap", 9, 9), step("05_teardown", 20, 9))
    before.steps[-1].checks = [{"name": "left", "expected": "nothing", "seen": "nothing", "ok": True}]
    first = run("r2", step("00_provision", 60, 10), step("01_bootstrap", 70, 10, "failed"))
    second = run("r3", step("01_bootstrap", 120, 5))
    found = lanes([second, first, before], NOW)
    assert [(lane.step, lane.run, lane.left) for lane in found] == [
        ("00_provision", "r2", 0),
        ("01_bootstrap", "r3", 0),
    ]
    assert "of 2 runs, each from its own beginning" in drawn(found, where="/o").headline


def test_who_only_looked_at_the_teardown_or_failed_in_it_has_the_same_walk() -> None:
    walk = run("r1", step("00_provision", 0, 10), step("01_bootstrap", 10, 10))
    looked, failed = run("r2", step("05_teardown", 30, 1)), run("r3", step("05_teardown", 40, 9, "failed"))
    failed.steps[0].checks = [{"name": "left", "expected": "nothing", "seen": "a network", "ok": False}]
    again = run("r4", step("04_test", 60, 5))
    assert [lane.step for lane in lanes([again, failed, looked, walk], NOW)] == [
        "00_provision",
        "01_bootstrap",
        "04_test",
        "05_teardown",
    ]


def test_a_step_that_is_run_again_does_not_hide_those_after_it() -> None:
    walk = run("r1", step("00_provision", 0, 10), step("01_bootstrap", 10, 10))
    found = lanes([run("r2", step("00_provision", 60, 3)), walk], NOW)
    assert [(lane.step, lane.run) for lane in found] == [("00_provision", "r2"), ("01_bootstrap", "r1")]


def test_a_session_counts_its_cells_and_not_its_readers_time() -> None:
    session = step("00_provision", 0, 20)
    session.outcome, session.seconds = "running", 7200
    session.cells[1].started = at(200)
    [lane] = lanes([run("r1", session, kind="interactive")], NOW)
    assert (lane.outcome, lane.seconds) == ("succeeded", 20)
    assert [(bar.left, bar.seconds) for bar in lane.bars] == [(0, 10), (10, 10)]
    session.cells[0].outcome = "failed"
    [lane] = lanes([run("r1", session, kind="interactive")], NOW)
    assert lane.outcome == "succeeded", "it was run again"
    session.cell = session.cells[0].index
    [lane] = lanes([run("r1", session, kind="interactive")], NOW)
    assert lane.outcome == "failed"
    session.cells[1].outcome = "running"
    [lane] = lanes([run("r1", session, kind="interactive")], NOW)
    assert lane.outcome == "running" and lane.seconds > 20


def test_what_goes_on_lasts_until_now() -> None:
    going = step("00_provision", 0, 0, "running")
    going.cells = [CellRecord(0, "succeeded", at(10), 20.0, "Plan"), CellRecord(1, "running", at(30), 0.0, "Apply")]
    [lane] = lanes([run("r", going)], NOW)
    assert (lane.seconds, [bar.seconds for bar in lane.bars]) == (360, [20, 330])
    picture = drawn([lane], where="/o")
    nothing_is_cut(picture)
    assert "… running" in words(picture)


def test_a_step_that_failed_is_marked_with_what_it_waited_for() -> None:
    failed = step("01_bootstrap", 0, 30, "failed")
    failed.waiting = {"what": "SSH to server-aws-consul-1", "seconds": 25.0, "seen": ""}
    picture = drawn(lanes([run("r", failed)], NOW), where="/o")
    nothing_is_cut(picture)
    assert "✗ failed" in words(picture)
    assert "waiting for SSH to server-aws-consul-1, 25.0 s" in words(picture)
    assert "Waiting for SSH to server-aws-consul-1, 25.0 s." in picture.alt


def test_records_are_read_where_the_notebooks_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_OUTPUT", str(tmp_path))
    site = site_of({})
    nothing = timeline(site)
    assert "there is no record of a walk in" in nothing.alt
    assert words(nothing)
    folder = tmp_path / "demo" / "runs" / "20260102T030405Z-000000"
    folder.mkdir(parents=True)
    run("20260102T030405Z-000000", step("00_provision", 0, 10), folder=folder).write()
    assert timeline(site).headline == "Timeline of the walk: 1 step in 10.0 s."
    broken = tmp_path / "demo" / "runs" / "20260102T040405Z-000000"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert timeline(site).headline.endswith("1 records cannot be read: runbook verify.")
