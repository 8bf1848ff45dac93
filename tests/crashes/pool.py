"""A sweep shared out to several processes, each with clouds of its own."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from tests.crashes.operators import DEEDS, Deed
from tests.crashes.sweep import SETTLE, Outcome, Point, Sweep
from tests.workers import workers

Calls = Mapping[Deed, Mapping[str, int]]
Tell = Callable[[Outcome], None]


def silent(outcome: Outcome) -> None:
    """Tell nobody."""


def run(
    processes: int, kills: int | None = None, seed: int = 0, settle: float = SETTLE, tell: Tell = silent
) -> tuple[Calls, list[Outcome]]:
    """Sweep.

    Args:
        processes: how many at a time.
        kills: of each deed, by lot; every one if ``None``.
        seed: of the lot.
        settle: seconds for which what was begun is under way.
        tell: is told of each kill, in the process that it happened in.

    Returns:
        The calls of an uninterrupted run, and what the kills came to.
    """
    with workers(processes) as pool:
        shares = [pool.submit(share, number, processes, kills, seed, settle, tell) for number in range(processes)]
        done = [one.result() for one in shares]
    calls = done[0][0]
    assert all(seen == calls for seen, _ in done), "two uninterrupted runs made different calls"
    return calls, [outcome for _, outcomes in done for outcome in outcomes]


def share(
    number: int, processes: int, kills: int | None, seed: int, settle: float, tell: Tell
) -> tuple[Calls, list[Outcome]]:
    """What one process does of a sweep."""
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(Path(folder), settle)
        for turn, points in enumerate(rounds(sweep, kills, seed)):
            if turn % processes == number:
                for outcome in sweep.round(*points):
                    tell(outcome)
                    outcomes.append(outcome)
    return sweep.calls, outcomes


def rounds(sweep: Sweep, kills: int | None, seed: int) -> Iterator[tuple[tuple[Deed, Point], ...]]:
    """What is to be killed, in rounds of at most one kill a deed: all, or some of each by lot."""
    lots = random.Random(seed)
    chosen: list[list[tuple[Deed, Point]]] = []
    for deed in DEEDS:
        every = sweep.points(deed)
        chosen.append([(deed, point) for point in (every if kills is None else lots.sample(every, kills))])
    for pair in zip_longest(*chosen):
        yield tuple(filter(None, pair))
