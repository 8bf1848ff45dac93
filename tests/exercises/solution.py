"""What a solution of an exercise is. The solutions themselves are in this folder, one module a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runbook_lib import wait
from runbook_lib.exercises import check
from runbook_lib.site import Site

Deed = Callable[[Site], object]
SHOWS = 60.0  # seconds within which a deed shows


@dataclass(frozen=True)
class Solution:
    """One way to do an exercise, two that look like it and are not, and the way back.

    Args:
        exercise: its name.
        right: does it.
        wrong: two that somebody might well try; the checker must not take them for done.
        undo: brings the infrastructure back to what the walk left, after any of these, and after none.
    """

    exercise: str
    right: Deed
    wrong: tuple[Deed, Deed]
    undo: Deed


def prove(solution: Solution, site: Site) -> None:
    """Ask an exercise's checker after every deed: it agrees with the solution and with nothing else."""
    before = check(site, solution.exercise)
    assert not before.done, f"done before anything was: {before}"
    try:
        for wrong in solution.wrong:
            try:
                wrong(site)
                seen = check(site, solution.exercise)
                assert not seen.done, f"taken for done: {wrong.__name__}\n{seen}"
                assert seen.checks.failed, f"not looked at to the end: {wrong.__name__}\n{seen}"
            finally:
                solution.undo(site)
        solution.right(site)
        _until(True, solution, site)
    finally:
        solution.undo(site)
    _until(False, solution, site)


def _until(done: bool, solution: Solution, site: Site) -> None:
    """What was done or undone may take its time to show, as a learner sees who asks again."""
    wait.until(
        lambda: check(site, solution.exercise),
        lambda state: state.done is done,
        what=f"{solution.exercise} to be {'done' if done else 'undone'}",
        timeout=SHOWS,
    )
