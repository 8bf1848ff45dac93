"""Schedules of faults, drawn by seeds: every one ends well, or in words that help, and a clean run then converges.

A few are tried here; ``make sweep-faults`` tries 200, and ``RUNBOOK_FAULT_SEEDS=40`` as many here.
"""

from __future__ import annotations

import os

import pytest

from tests.crashes.content import Content
from tests.fault_trials import baseline, trial

SEEDS = int(os.environ.get("RUNBOOK_FAULT_SEEDS", "4"))


@pytest.fixture(scope="module")
def expected() -> Content:
    """What both accounts hold after a provision without faults."""
    return baseline()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_schedule_of_faults_ends_well_or_in_words_and_a_clean_run_converges(seed: int, expected: Content) -> None:
    done = trial(seed, expected)
    assert done.struck
    assert not done.wrong, done
