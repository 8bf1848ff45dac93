"""Attempts: which command, and what an earlier one left."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook_lib import cli
from runbook_lib.archive import lock
from runbook_lib.archive.record import Kind, RunRecord, StepRecord
from runbook_lib.errors import ParameterError, RecordError
from runbook_lib.schedulers import attempt
from tests.test_public_names import HEAVY, loaded_after

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def recorded(output: Path, at: datetime, kind: Kind = "run", deployment: str = "north") -> RunRecord:
    run = f"{at:%Y%m%dT%H%M%SZ}-9f3a1c"
    folder = output / deployment / "runs" / run
    folder.mkdir(parents=True)
    record = RunRecord(run, deployment, folder, {}, [StepRecord("00_provision", "00_provision.ipynb")], kind=kind)
    record.write()
    return record


def test_a_file_tells_its_deployment(tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / f"{name}.yaml").write_text(f"deployment: {name}\ntraefiks: 1\n")
    files = sorted(tmp_path.iterdir())
    assert attempt.fleet_of(files) == dict(zip(("north", "south"), files, strict=True))


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("traefiks: 1", "no such parameter"),
        ("", "no such parameter"),
        ("[north]", "no such parameter"),
        ("deployment: 7", "7"),
        ("deployment: ''", "''"),
        ("deployment: [", "ParserError"),
        (None, "No such file"),
    ],
)
def test_a_file_without_a_deployment_is_refused(tmp_path: Path, content: str | None, seen: str) -> None:
    file = tmp_path / "some.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ParameterError) as refused:
        attempt.deployment_of(file)
    assert refused.value.resource == str(file)
    assert seen in str(refused.value.seen)


def test_two_files_for_one_deployment_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text("deployment: north")
    with pytest.raises(ParameterError, match=r"(?s)two parameter files.*b\.yaml.*a\.yaml"):
        attempt.fleet_of(files)


def test_the_earlier_attempt_is_the_last_run_since_then(tmp_path: Path) -> None:
    recorded(tmp_path, NOON - timedelta(seconds=1))
    assert attempt.earlier(tmp_path, "north", NOON) is None
    assert attempt.earlier(tmp_path, "south", NOON) is None
    recorded(tmp_path, NOON)
    last = recorded(tmp_path, NOON + timedelta(seconds=5))
    recorded(tmp_path, NOON + timedelta(seconds=9), kind="interactive")
    recorded(tmp_path, NOON + timedelta(seconds=9), deployment="south")
    (tmp_path / "north/runs/20260102T120010Z-9f3a1c").mkdir()  # cut off before it had a record
    found = attempt.earlier(tmp_path, "north", NOON + timedelta(milliseconds=900))
    assert found and found.run == last.run


def test_the_schedulers_clock_may_be_in_another_zone(tmp_path: Path) -> None:
    record = recorded(tmp_path, NOON)
    found = attempt.earlier(tmp_path, "north", datetime.fromisoformat("2026-01-02T09:00:00-03:00"))
    assert found and found.run == record.run
    assert attempt.earlier(tmp_path, "north", datetime.fromisoformat("2026-01-02T10:00:00-03:00")) is None


def test_a_record_that_cannot_be_read_is_no_reason_to_begin_anew(tmp_path: Path) -> None:
    record = recorded(tmp_path, NOON)
    (record.folder / "run.json").write_text("{")
    with pytest.raises(RecordError):
        attempt.earlier(tmp_path, "north", NOON)


def test_a_run_goes_on_while_its_lock_is_held(tmp_path: Path) -> None:
    assert attempt.going_on(tmp_path, "north") == ""
    record = recorded(tmp_path, NOON)
    recorded(tmp_path, NOON + timedelta(seconds=1))
    assert attempt.going_on(tmp_path, "north") == ""
    with lock.hold(record.folder):
        assert attempt.going_on(tmp_path, "north") == record.run
        assert attempt.going_on(tmp_path, "south") == ""
        (record.folder / "run.json").unlink()  # about to be written
        assert attempt.going_on(tmp_path, "north") == record.run
    assert attempt.going_on(tmp_path, "north") == ""


def test_nobody_waits_for_an_open_notebook(tmp_path: Path) -> None:
    record = recorded(tmp_path, NOON, kind="interactive")
    with lock.hold(record.folder):
        assert attempt.going_on(tmp_path, "north") == ""


def test_the_first_attempt_names_the_steps_and_the_next_one_the_run(tmp_path: Path) -> None:
    runbook, file = Path("/srv/bin/runbook"), Path("/etc/north.yaml")
    rest = ["-f", "/etc/north.yaml", "--output", str(tmp_path)]
    assert attempt.command(runbook, file, tmp_path, ["00"]) == ["/srv/bin/runbook", "run", "00", *rest]
    before = recorded(tmp_path, NOON)
    again = attempt.command(runbook, file, tmp_path, ["00"], before)
    assert again == ["/srv/bin/runbook", "run", "--resume", before.run, *rest]


def test_the_words_and_the_status_are_those_of_runbook(tmp_path: Path) -> None:
    context = cli.run.make_context("run", attempt.command(Path("runbook"), Path("a"), tmp_path, ["00", "01"])[2:])
    assert context.params["steps"] == ("00", "01")
    assert context.params["files"] == (Path("a"),)
    assert context.params["output"] == tmp_path
    words = attempt.command(Path("runbook"), Path("a"), tmp_path, ["00"], recorded(tmp_path, NOON))
    assert cli.run.make_context("run", words[2:]).params["resumed"].startswith("20260102T120000Z-")
    assert attempt.REFUSED == cli.USAGE


def test_the_schedulers_own_settings_stay_with_it() -> None:
    scheduler = {
        "PATH": "/bin",
        "HOME": "/home/one",
        "RUNBOOK_OUTPUT": "/srv",
        "PYTHONPATH": "/clone",
        "VIRTUAL_ENV": "/venv",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://user:password@host",
        "_AIRFLOW_PARSING_CONTEXT": "x",
        "__AIRFLOW_SUPERVISOR_FD": "3",
    }
    assert set(attempt.environment(scheduler, "AIRFLOW")) == {"PATH", "HOME", "RUNBOOK_OUTPUT"}


def test_a_follower_gives_each_line_once(tmp_path: Path) -> None:
    file = tmp_path / "printed"
    with file.open("w") as writer:

        def write(text: str) -> None:
            writer.write(text)
            writer.flush()

        with attempt.Follower(file) as follower:
            os.remove(file)
            assert follower.lines() == []
            write("one\ntw")
            assert follower.lines() == ["one"]
            write("o\n\nthr")
            assert follower.lines() == ["two", ""]
            write("ee")
            assert follower.lines(last=True) == ["three"]
            assert follower.lines(last=True) == []


def test_a_scheduler_needs_none_of_our_dependencies() -> None:
    loaded = loaded_after("from runbook_lib.schedulers import attempt")
    assert not (HEAVY | {"click", "yaml", "jupyter_client", "nbformat", "rich"}) & loaded
