from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runbook_lib import console
from runbook_lib.archive.comparison import CellDiff, Change, Diff, StepDiff
from runbook_lib.archive.evidence import Finding, Report
from runbook_lib.archive.record import RunRecord, StepRecord
from runbook_lib.lab.abilities import Ability
from runbook_lib.lab.tools import Tool

HERE = Tool("ip", "addresses", Path("/usr/sbin/ip"), "6.1.0", "apt-get install iproute2")
GONE = Tool("nft", "firewalls", None, None, "apt-get install nftables")
ABLE = Ability("network namespaces", "instances", True, "", "a newer kernel")
UNABLE = Ability("user namespaces", "running as a user", False, "refused", "sysctl")
UNABLE_BUT_FINE = Ability("overlay", "speed", False, "refused", "modprobe overlay", essential=False)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize(
    ("tools", "abilities", "missing"),
    [
        ([], [], 0),
        ([HERE], [ABLE], 0),
        ([HERE, GONE], [ABLE], 1),
        ([HERE], [ABLE, UNABLE], 1),
        ([HERE], [UNABLE_BUT_FINE], 0),
        ([GONE], [UNABLE, UNABLE_BUT_FINE], 2),
    ],
)
def test_doctor_counts_what_is_missing(tools: Sequence[Tool], abilities: Sequence[Ability], missing: int) -> None:
    assert console.doctor(tools, abilities) == missing


def test_doctor_shows_where_a_tool_is_or_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    console.doctor([HERE, GONE], [ABLE, UNABLE])
    lines = {line.split("│")[2].strip(): line for line in capsys.readouterr().out.splitlines() if "│" in line}
    assert "✓" in lines["ip"] and "6.1.0" in lines["ip"] and "/usr/sbin/ip" in lines["ip"]
    assert "✗" in lines["nft"] and "apt-get install nftables" in lines["nft"]
    assert "✓" in lines["network namespaces"]
    assert "✗" in lines["user namespaces"] and "sysctl" in lines["user namespaces"]
    assert "refused" in lines["user namespaces"], "and what the probe said"


def test_tables_show_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("[title]", ["name", "value"], [("[red]", ("a", 1)), ("none", None)])
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["[red]", "a, 1"] in shown, "brackets are no markup"
    assert ["none", ""] in shown


def test_ways_put_each_command_alone_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = "curl -H 'Host: [demo]' " + "x" * 200
    console.ways([("the service", command)])
    assert f"    {command}" in capsys.readouterr().out.splitlines(), "ready to paste, however long"


def test_complaints_go_to_stderr_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain("no [bold] host\n  expected: one")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "no [bold] host\n  expected: one\n")


BEGUN, ENDED = "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:15+00:00"


def record(folder: Path) -> RunRecord:
    check = {"name": "a [leader]", "expected": "yes", "seen": "no", "ok": False}
    steps = [
        StepRecord("00_provision", "x", outcome="succeeded", seconds=4.0),
        StepRecord("01_bootstrap", "x", outcome="failed", seconds=2.0, message="no [red]quorum", checks=[check]),
        StepRecord("02_federate", "x"),
    ]
    return RunRecord("20260102T030405Z-9f3a1c", "demo", folder, {}, steps, outcome="failed", started=BEGUN, ended=ENDED)


def test_a_long_wait_is_a_line_now_and_then_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Steps() as steps:
        steps.step_started(StepRecord("01_bootstrap", "01.ipynb"), 3)
        steps.cell_started(0, "Wait [red]")
        for seconds in (1.0, 14.9, 15.0, 16.0, 30.5):
            steps.waiting("a leader", seconds, f"[{seconds}]")
        steps.waiting("", 0.0, "")
        steps.printed("not asked for\n")
    said = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in said if "waiting" in line] == [
        "waiting for a leader for 15 s, last seen: [15.0]",
        "waiting for a leader for 30 s, last seen: [30.5]",
    ]
    assert not any("not asked for" in line for line in said)


def test_a_step_s_line_says_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Steps(live=True) as steps:
        for outcome in ("succeeded", "timed out"):
            step = StepRecord("01_bootstrap", "01.ipynb", outcome=outcome, seconds=2.0)
            steps.step_started(step, 3)
            steps.printed("[printed] lines\n")
            steps.step_ended(step)
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines() if line.strip()]
    ended = ["✓ 01_bootstrap 2.0 s", "✗ 01_bootstrap 2.0 s timed out"]
    assert [line for line in lines if line.startswith(("✓", "✗", "[printed]"))] == [
        "[printed] lines",
        ended[0],
        "[printed] lines",
        ended[1],
    ]


@pytest.mark.parametrize("first", [None, Finding("edited cell", "runs/x/00.ipynb, cell 3", "a", "b", "somebody did")])
def test_a_verification_names_the_first_thing_that_is_wrong(
    capsys: pytest.CaptureFixture[str], first: Finding | None
) -> None:
    report = Report("k" * 64, "demo", first, 4, 2, 24, "sha256:" + "0" * 64, ["going"], ["cut"], ["a remark"])
    console.evidence(report)
    said = capsys.readouterr().out
    assert all(word in said for word in ("4 entries, 2 ended runs and 24 files", "going", "cut", "a remark", "k" * 64))
    assert ("edited cell: runs/x/00.ipynb, cell 3" in said) is (first is not None)
    assert ("sha256:" in said) is (first is None), "what is wrong has no head to be published"


def test_history_has_a_line_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console.history([(record(tmp_path), "failed"), (record(tmp_path), "cut off")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("20260102T030405Z-9f3a1c") for line in lines] == [0, 1, 1]
    assert "✗" in lines[1] and "10.0 s" in lines[1] and "failed in 01_bootstrap" in lines[1]
    assert "cut off in 01_bootstrap" in lines[2]


def test_a_line_of_history_fits_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = [StepRecord(name, "x", outcome="succeeded") for name in ("00_provision", "01_bootstrap", "02_federate")]
    walked = replace(record(tmp_path), identity={"user": "root"}, steps=done)
    torn_down = replace(walked, steps=[StepRecord("05_teardown", "x", outcome="succeeded")])
    console.history([(walked, "succeeded"), (torn_down, "succeeded")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "  00 to 02  " in lines[1] and "  05_teardown  " in lines[2]


def test_history_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    console.history([])
    assert capsys.readouterr().out == "No run is on record.\n"


def test_a_run_is_shown_with_where_it_ended_and_where_to_read_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console.show(record(tmp_path), "failed")
    shown = capsys.readouterr().out
    assert "failed after 10.0 s in 01_bootstrap: no [red]quorum." in shown
    assert "✓ 00_provision       4.0 s  no checks" in shown
    assert "✗ 01_bootstrap       2.0 s  1 check, 1 failed" in shown
    assert "a [leader]: expected yes, saw no" in shown
    assert "· 02_federate   not run" in shown
    assert f"no report yet; the record is in {tmp_path}" in shown
    (tmp_path / "index.html").touch()
    console.show(record(tmp_path), "failed")
    assert f"full report: {tmp_path / 'index.html'}" in capsys.readouterr().out


def test_a_difference_is_shown_with_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = b = record(tmp_path)
    cells = (
        CellDiff("outputs", 3, 4, ("-[one]", "+two"), 7),
        CellDiff("added", None, 5, ("+x",)),
    )
    steps = (
        StepDiff("00_provision", (1.0, 2.0)),
        StepDiff("01_bootstrap", (1.0, None), Change("outcome", "failed", None), True, (), cells, "lost"),
    )
    console.diff(Diff(a, b, (), (Change("timeout", "600", "60"),), (), steps))
    shown = capsys.readouterr().out
    for line in (
        "parameters:",
        "  timeout: 600 → 60",
        "00_provision: 1.0 s → 2.0 s, otherwise the same",
        "01_bootstrap: 1.0 s → not run",
        "  not compared: lost",
        "    outcome: failed (gone)",
        "  cell 3, now 4: other output",
        "    -[one]",
        "    … and 7 more lines",
        "  cell 5: added",
    ):
        assert line in shown.splitlines(), line
    console.diff(Diff(a, b, (), (), (), steps[:1]))
    assert "Nothing differs but the time they took." in capsys.readouterr().out
