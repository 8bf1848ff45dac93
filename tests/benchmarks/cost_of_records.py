"""What records cost: the walk by stock papermill, by papermill with this package's engine, and by ``runbook run``.

All in one run of this script, each on a fresh deployment in a lab of its own, in an order that changes with each round:

    .venv/bin/python -m tests.benchmarks.cost_of_records [ROUNDS]

A round takes about five minutes. Under stock papermill the kernel is told that somebody records it already, so that it
does not do so itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import yaml

from runbook_lib import events
from runbook_lib.lab import host
from runbook_lib.resources import STEPS

CLONE = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
WALK, TEARDOWN = STEPS[:-1], STEPS[-1]
LIMIT = 1.10  # of stock papermill's time


def call(*words: str | Path, folder: Path, **environment: str) -> float:
    """Seconds that a command takes; it must succeed."""
    began = time.monotonic()
    done = subprocess.run(
        list(map(str, words)),
        cwd=CLONE,
        env={**os.environ, "RUNBOOK_OUTPUT": str(folder / "outputs"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def by_papermill(folder: Path, params: Path, *options: str, **environment: str) -> float:
    """The walk, one papermill a notebook."""
    seconds = 0.0
    for step in WALK:
        notebook, output = CLONE / "notebooks" / f"{step}.ipynb", folder / f"{step}.ipynb"
        words = map(str, (BIN / "papermill", notebook, output, "-f", params, "--no-progress-bar"))
        seconds += call(*words, *options, folder=folder, **environment)
    return seconds


WAYS: dict[str, Callable[[Path, Path], float]] = {
    "stock papermill": lambda folder, params: by_papermill(
        folder, params, **{events.ADDRESS: str(folder / "nobody listens")}
    ),
    "papermill --engine runbook": lambda folder, params: by_papermill(folder, params, "--engine", "runbook"),
    "runbook run": lambda folder, params: call(BIN / "runbook", "run", *WALK, "-f", params, folder=folder),
}


def measured(way: str, folder: Path, lab: host.Lab) -> float:
    """One walk on a fresh deployment, which is torn down again."""
    home = Path(lab.home)
    params = folder / "lab.yaml"
    params.write_text(
        yaml.safe_dump(
            {
                "deployment": "cost",
                "keys": str(folder / "keys"),
                "aws_endpoint": lab.aws_endpoint,
                "aws_credentials": str(home / "aws-credentials"),
                "gcp_endpoint": lab.gcp_endpoint,
                "gcp_credentials": str(home / "gcp-credentials.json"),
                "internet_proxy": lab.internet_proxy,
            }
        )
    )
    seconds = WAYS[way](folder, params)
    call(BIN / "runbook", "run", TEARDOWN, "-f", params, folder=folder)
    return seconds


def main(rounds: int) -> int:
    """Measure, print, and tell by the exit status whether the cost is within its limit."""
    name = f"cost-{os.getpid()}"
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        lab, _ = host.up(name)
        for number in range(rounds):
            order = [*WAYS][number % len(WAYS) :] + [*WAYS][: number % len(WAYS)]
            for way in order:
                with tempfile.TemporaryDirectory() as folder:
                    seconds[way].append(measured(way, Path(folder), lab))
                print(f"{way:<28} {seconds[way][-1]:6.1f} s", flush=True)
    finally:
        host.down(name)
    stock = mean(seconds["stock papermill"])
    ratios = {way: round(mean(found) / stock, 3) for way, found in seconds.items()}
    print(json.dumps({"rounds": rounds, "ratio to stock papermill": ratios}))
    return int(max(ratios.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
