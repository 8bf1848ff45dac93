from __future__ import annotations

from pathlib import Path

import pytest

from runbook_lib.archive import words
from runbook_lib.archive.record import OUTCOMES, CellRecord, RunRecord, StepRecord


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (312.4, "5 min 12 s"), (3725, "1 h 02 min")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


def test_moments() -> None:
    assert words.moment("2026-01-02T03:04:05.678+00:00") == "2026-01-02 03:04:05 UTC"
    assert words.moment("yesterday") == "yesterday"
    assert words.moment("") == "an unknown day"


def record(outcome: str, **facts: object) -> RunRecord:
    step = StepRecord("01_bootstrap", "01_bootstrap.ipynb", outcome=outcome, **facts)  # type: ignore[arg-type]
    begun, ended = "2026-01-02T03:04:05+00:00", "2026-01-02T03:09:17+00:00"
    return RunRecord("id", "demo", Path(), {}, [step], outcome=outcome, started=begun, ended=ended)  # type: ignore[arg-type]


def test_success_in_a_sentence() -> None:
    made = record("succeeded")
    made.identity = {"user": "ada", "host": "vm"}
    assert words.sentence(made) == (
        "Step 01_bootstrap on deployment demo, run by ada at vm on 2026-01-02 03:04:05 UTC, succeeded after 5 min 12 s."
    )


@pytest.mark.parametrize("outcome", [o for o in OUTCOMES if o not in ("pending", "succeeded")] + ["cut off", "odd"])
def test_every_other_end_says_where_and_why(outcome: str) -> None:
    cells = [CellRecord(7, heading="Start")]
    made = record(outcome, cell=7, cells=cells, message="\n no {quorum}\nmore", printed="one\ntwo\n")
    told = words.sentence(made)
    assert "at cell 7 under “Start”: no {quorum}; the last it printed was “two”." in told or outcome == "running"
    assert "cell 7" in told and "no {quorum}" in told
    assert len({words.sentence(made, state) for state in (*OUTCOMES, "cut off", "odd")}) == len(OUTCOMES) + 2


def test_sessions_and_long_walks_are_named() -> None:
    made = record("running")
    made.steps = [StepRecord(f"0{n}", "x") for n in range(5)]
    assert words.what(made) == "5 steps (00 to 04)"
    made.kind, made.steps = "interactive", made.steps[:1]
    assert words.what(made) == "An interactive session in 00"
