"""The ledger only grows, whole entries at a time: with many writers, and with writers killed at any point."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_lib.archive import signing
from runbook_lib.archive.entry import Entry, digests, sha256
from runbook_lib.archive.evidence import verify
from runbook_lib.archive.head import HEAD, LEDGER, NEXT
from runbook_lib.archive.ledger import Ledger, entries, unended
from runbook_lib.errors import RecordError
from tests.archive import ledgers, writers
from tests.conftest import ROOT


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "demo", ledgers.key_in(tmp_path))


def write_in_other_processes(what: str, ledger: Ledger, *rest: object) -> subprocess.Popen[str]:
    keys = ledger.folder.parent / "keys" / "demo" / "archive"
    command = [sys.executable, "-m", "tests.archive.writers", what, ledger.folder, keys, *rest]
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)


def goes_on(process: subprocess.Popen[str]) -> bool:
    """Whether it does; asked after a moment, so that it gets on."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.05)
    return process.returncode is None


def test_a_run_is_written_down_when_it_begins_and_when_it_has_ended(ledger: Ledger) -> None:
    record = ledgers.recorded(ledger, "r1", "failed")
    begun, ended = entries(ledger.folder)
    assert (begun.kind, begun.outcome, begun.files) == ("begun", "running", {})
    assert (ended.kind, ended.outcome, ended.run) == ("ended", "failed", "r1")
    assert begun.parameters == {**record.parameters, "zones": ["a", "b"]}
    assert begun.identity == ended.identity == {"user": "operator", "pid": 4711}
    assert ended.files == digests(record.folder)
    assert {"run.json", "index.html", "00_provision.ipynb", "00_provision.html"} < set(ended.files)
    assert ended.files["index.html"] == sha256((record.folder / "index.html").read_bytes())
    assert {path.name for path in ledger.folder.iterdir()} == {LEDGER, HEAD, "runs", ".ledger.lock"}


def test_each_line_names_the_one_before_it_and_the_head_the_last(ledger: Ledger) -> None:
    for number in range(4):
        ledger.note(f"remark {number}, µ")
    lines = (ledger.folder / LEDGER).read_bytes().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2, 3]
    assert [json.loads(line)["previous"] for line in lines] == ["0" * 64, *map(sha256, lines[:-1])]
    statement = signing.opened((ledger.folder / HEAD).read_bytes(), ledger.key.public, HEAD)
    assert statement["subject"] == [{"name": LEDGER, "digest": {"sha256": sha256(lines[-1])}}]
    assert (statement["predicate"]["entries"], statement["predicate"]["deployment"]) == (4, "demo")
    assert statement["predicate"]["entry"] == json.loads(lines[-1])


def test_saying_the_same_twice_changes_nothing(ledger: Ledger) -> None:
    record = ledgers.started(ledger.folder, "r1")
    assert ledger.begin(record) == ledger.begin(record)
    ledgers.finish(record)
    assert ledger.end(record) == ledger.end(record)
    assert [entry.kind for entry in entries(ledger.folder)] == ["begun", "ended"]


def test_a_run_begins_once_and_ends_once_with_an_outcome_that_its_record_has(ledger: Ledger) -> None:
    record = ledgers.started(ledger.folder, "r1")
    ledger.begin(record)
    with pytest.raises(RecordError, match="cannot be read"):  # there is no run.json yet
        ledger.end(record)
    record.write()
    with pytest.raises(RecordError, match="not settled"):
        ledger.end(record)
    ledgers.finish(record)
    record.outcome = "failed"
    with pytest.raises(RecordError, match="not settled"):
        ledger.end(record)
    record.outcome = "succeeded"
    ledger.end(record)
    (record.folder / "late").write_text("x")
    with pytest.raises(RecordError, match="cannot be written down as ended"):
        ledger.end(record)
    record.parameters = {"other": 1}
    with pytest.raises(RecordError, match="cannot be written down as begun"):
        ledger.begin(record)
    other = ledgers.started(ledger.folder, "r2")
    ledgers.finish(other)
    with pytest.raises(RecordError, match="not begun"):
        ledger.end(other)
    assert [entry.kind for entry in entries(ledger.folder)] == ["begun", "ended"]


def test_runs_without_an_end_are_listed(ledger: Ledger) -> None:
    ledgers.recorded(ledger, "r1")
    ledger.begin(ledgers.started(ledger.folder, "r2"))
    ledger.note("x")
    assert [entry.run for entry in unended(entries(ledger.folder))] == ["r2"]
    assert not entries(ledger.folder.parent / "none")


def test_a_parameter_that_is_no_json_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    record = ledgers.started(ledger.folder, "r1")
    for value in (object(), float("nan")):
        record.parameters = {"x": value}
        with pytest.raises((TypeError, ValueError)):
            ledger.begin(record)
    assert not entries(ledger.folder)
    assert not (ledger.folder / NEXT).exists()


def test_writers_at_the_same_time_wait_for_each_other_and_readers_see_a_whole_ledger(ledger: Ledger) -> None:
    ledger.note("the first")
    writing = write_in_other_processes("together", ledger, 8, 20)
    looked = 0
    while goes_on(writing):
        report = verify(ledger.folder, ledger.key.public)
        assert report.intact and not report.notes, report
        looked += 1
    assert writing.returncode == 0, writing.communicate()
    writing.communicate()
    found = entries(ledger.folder)
    assert len(found) == 1 + 8 * 20
    assert len({entry.note for entry in found}) == len(found)
    assert verify(ledger.folder, ledger.key.public).entries == len(found)
    assert looked


def test_runs_at_the_same_time_are_never_taken_for_forged_or_cut_off_ones(ledger: Ledger) -> None:
    ledger.note("the first")
    writing = write_in_other_processes("runs", ledger, 4, 6)
    seen: set[str] = set()
    while goes_on(writing):
        report = verify(ledger.folder, ledger.key.public)
        assert report.intact and not report.cut_off, report
        seen |= set(report.going_on)
    assert writing.returncode == 0, writing.communicate()
    writing.communicate()
    report = verify(ledger.folder, ledger.key.public)
    assert (report.runs, report.notes) == (24, [])
    assert seen <= {entry.run for entry in entries(ledger.folder)}


@pytest.mark.parametrize("what", ["begin", "end", "note", "note after a death"])
def test_a_writer_killed_at_any_point_loses_nothing_and_the_next_one_completes_it(
    what: str, ledger: Ledger, tmp_path: Path
) -> None:
    rest: list[object] = [tmp_path / "deaths"]
    if what == "begin":  # the very first entry
        (ledger.folder / "runs" / "r9").mkdir(parents=True)
        rest.append("r9")
    else:
        ledgers.archive(ledger.folder, ledger.key, runs=1)
    if what == "end":
        record = ledgers.started(ledger.folder, "r9")
        ledger.begin(record)
        ledgers.finish(record)
        rest.append("r9")
    if what == "note after a death":
        ledgers.cut_off(ledger, "a first word", 100)
    before = entries_whole(ledger.folder)
    dying = write_in_other_processes(what.split()[0], ledger, *rest)
    assert dying.wait() == 0, dying.communicate()
    dying.communicate()
    *deaths, survivor = [path / "demo" for path in sorted((tmp_path / "deaths").iterdir())]
    assert len(deaths) > 15
    told = set()
    for folder in deaths:
        copy = Ledger(folder, ledger.key)
        written = (folder / HEAD).exists() or (folder / NEXT).exists()  # before the first entry there is no ledger
        report = verify(folder, ledger.key.public)
        assert report.intact or not written, (folder, report)
        told.add(copy.mend()[:5])
        assert not copy.mend()
        found = entries(folder)
        assert found[: len(before)] == before, "nothing that was there is lost"
        assert not (folder / NEXT).exists()
        if what in ("begin", "end"):  # what the recorder would do, had it not been killed
            getattr(copy, what)(writers.record_of(folder, "r9"))
            kinds = [entry.kind for entry in entries(folder) if entry.run == "r9"]
            assert kinds == (["begun"] if what == "begin" else ["begun", "ended"])
        report = verify(folder, ledger.key.public)
        assert report.intact and report.entries == len(entries(folder)), (folder, report)
    assert told == {"", "entry"}
    report = verify(survivor, ledger.key.public)
    assert report.intact and report.entries == len(entries(survivor)) > len(before)


def entries_whole(folder: Path) -> list[Entry]:
    file = folder / LEDGER
    return [Entry.parse(line) for line in file.read_bytes().split(b"\n")[:-1]] if file.exists() else []


def test_a_line_cut_off_anywhere_is_completed_and_a_note_says_so(tmp_path: Path) -> None:
    key = ledgers.key_in(tmp_path)
    Ledger(tmp_path / "demo", key).note("the first")
    whole = len(ledgers.cut_off(Ledger(tmp_path / "demo", key), "the second", 0))
    for size in [*range(0, whole, 9), whole - 1, whole]:
        copy = Ledger(tmp_path / str(size), key)
        copy.note("the first")
        ledgers.cut_off(copy, "the second", size)
        report = verify(copy.folder, key.public)
        assert report.intact and report.entries == 2 and len(report.notes) == 1
        copy.note("the third")
        notes = [entry.note for entry in entries(copy.folder)]
        assert notes[:2] + notes[3:] == ["the first", "the second", "the third"]
        assert f"{size} of its {whole} bytes" in notes[2]
        assert verify(copy.folder, key.public).intact


def test_what_no_signed_head_explains_is_refused_and_left_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note("the first")
    ledger.note("the second")
    plain = tmp_path / "plain"
    shutil.copytree(ledger.folder, plain)
    ledgers.cut_off(ledger, "the third", 50)
    for template in (plain, ledger.folder):
        good = (template / LEDGER).read_bytes()
        first = good.split(b"\n", 1)[0] + b"\n"
        for bad in (good + b"x", good + b"\n", good[:-60], first, b"", good.replace(b"second", b"2econd")):
            (template / LEDGER).write_bytes(bad)
            with pytest.raises(RecordError, match="not what its signed head says") as refused:
                Ledger(template, ledger.key).note("more")
            assert "backup" in refused.value.remedy
            assert (template / LEDGER).read_bytes() == bad
            assert not verify(template, ledger.key.public).intact


def test_a_head_of_another_key_or_another_time_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.note("the first")
    old = (ledger.folder / HEAD).read_bytes()
    ledger.note("the second")
    stranger = Ledger(ledger.folder, signing.open_key(tmp_path / "other"))
    with pytest.raises(RecordError, match="cannot be trusted: unknown key"):
        stranger.note("x")
    good = (ledger.folder / HEAD).read_bytes()
    for content, told in ((old, "not what its signed head says"), (good[:-9], "not an envelope")):
        (ledger.folder / HEAD).write_bytes(content)
        with pytest.raises(RecordError, match=told):
            ledger.note("x")
    (ledger.folder / HEAD).unlink()
    with pytest.raises(RecordError, match="not what its signed head says"):
        ledger.note("x")
    (ledger.folder / HEAD).write_bytes(good)
    for content in (old, good):
        (ledger.folder / NEXT).write_bytes(content)
        with pytest.raises(RecordError, match="not what its signed head says"):
            ledger.note("x")
    (ledger.folder / NEXT).unlink()
    ledger.note("the third")
    assert verify(ledger.folder, ledger.key.public).entries == 3


def test_a_line_that_is_no_entry_is_told(ledger: Ledger) -> None:
    ledger.note("the first")
    file = ledger.folder / LEDGER
    for changed in (b"{}\n", b"[]\n", file.read_bytes().replace(b":", b": ", 1), file.read_bytes()[:-20]):
        file.write_bytes(changed)
        with pytest.raises(RecordError, match="no entry") as refused:
            entries(ledger.folder)
        assert "line 1" in refused.value.resource
