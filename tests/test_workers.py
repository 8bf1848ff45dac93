"""Long trials that are broken off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workers import workers

# Its workers say where they are, and wait.
TRIAL = """
import os, signal, tempfile, time
from tests.workers import end_when_terminated, workers

def work(number):
    folder = tempfile.mkdtemp()
    print(os.getpid(), folder, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    # Whoever starts this may ignore it, as shells do in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_when_terminated()
    with workers(2) as pool:
        list(pool.map(work, range(8)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_trial_that_is_broken_off_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "trial.py"
    script.write_text(TRIAL)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as trial:
        assert trial.stdout is not None
        told = [trial.stdout.readline().split() for _ in range(2)]
        assert all(Path(folder).is_dir() for _, folder in told)
        trial.send_signal(number)
        assert trial.wait(60) != 0
    assert not [pid for pid, _ in told if Path("/proc", pid).exists()]
    assert list(temporary.iterdir()) == []


def test_what_workers_find_comes_back_in_order() -> None:
    with workers(2) as pool:
        assert list(pool.map(abs, [-3, 2, -1])) == [3, 2, 1]
