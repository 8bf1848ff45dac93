"""The crash sweep in full, or a sample of it, and its table.

    .venv/bin/python -m tests.crashes.full [--processes 2] [--settle 3] [--kills 12 --seed 1]

Without ``--kills`` every call of a full provision and of a full teardown has two kills, one on each side. Ends with 1
if anything differs, or if a kill did not happen. In full it takes half an hour or more.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.crashes.operators import DEEDS
from tests.crashes.pool import run
from tests.crashes.sweep import SETTLE, Outcome
from tests.workers import end_when_terminated


def tell(outcome: Outcome) -> None:
    """Print what one kill came to."""
    action, number, side = outcome.point
    word = "DIFFERS" if outcome.faults else "as uninterrupted"
    missed = "" if outcome.killed else " (the call did not come)"
    lines = [f"{time.strftime('%X')}  {outcome.deed:<9}  {side:<6}  {action} {number}: {word}{missed}"]
    print("\n    ".join([*lines, *outcome.faults]), flush=True)


def main(processes: int, kills: int | None, seed: int, settle: float) -> int:
    """Sweep, print, and tell by the exit status whether all is well."""
    calls, outcomes = run(processes, kills, seed, settle, tell)
    print(f"\n{'':<10}{'calls':>8}{'kills':>8}{'differences':>13}")
    wrong = 0
    for deed in DEEDS:
        ours = [outcome for outcome in outcomes if outcome.deed == deed]
        killed, differ = sum(one.killed for one in ours), sum(bool(one.faults) for one in ours)
        wrong += differ + len(ours) - killed
        print(f"{deed:<10}{sum(calls[deed].values()):>8}{killed:>8}{differ:>13}")
    return int(bool(wrong))


if __name__ == "__main__":
    end_when_terminated()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2, help="how many sweep at a time")
    parser.add_argument("--kills", type=int, help="of each deed, by lot, instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the lot")
    parser.add_argument("--settle", type=float, default=SETTLE, help="seconds for which what was begun is under way")
    given = parser.parse_args()
    sys.exit(main(given.processes, given.kills, given.seed, given.settle))
