"""Which notebooks there are, and which of them a command means."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ParameterError, PrerequisiteError
from ..resources import OPTIONAL, STEPS

TEST, TEARDOWN = "04_test", "05_teardown"
# In the order in which they are run.
EVERY = (*STEPS[: STEPS.index(TEARDOWN)], *OPTIONAL, *STEPS[STEPS.index(TEARDOWN) :])
OUTPUT = "RUNBOOK_OUTPUT"
CLONE = Path(__file__).resolve().parents[2]


def outputs() -> Path:
    """The folder of the records, in which each deployment has its own: ``$RUNBOOK_OUTPUT``, or the clone's."""
    return Path(os.environ.get(OUTPUT) or CLONE / "outputs").absolute()


def chosen(names: Iterable[str], *, test: bool = True, first: str = "", last: str = "") -> tuple[str, ...]:
    """The steps that names mean, in the order in which they are run.

    Args:
        names: full names (``03_traefik``) or numbers (``03``, ``3``); none means all but the teardown and
            the optional ones.
        test: the parameter of that name; without it, the test is not among "all".
        first: where "all" begins, instead of with the first.
        last: where it ends; the teardown is among them if it is named here.

    Raises:
        ParameterError: a name that is no step, or no step is left.
    """
    wanted = [_step(name) for name in names]
    if wanted and (first or last):
        raise ParameterError(
            "steps are named, and a range of steps as well",
            resource="STEP",
            expected="either steps, or --from and --until",
            seen=" ".join(wanted),
            remedy="leave out one of them",
        )
    if wanted:
        return tuple(step for step in EVERY if step in wanted)
    begin, end = _step(first) if first else STEPS[0], _step(last) if last else ""
    usual = [step for step in STEPS if step != TEARDOWN and (test or step != TEST)]
    every = [step for step in EVERY if step in (*usual, begin, end)]
    found = tuple(every[every.index(begin) : every.index(end or every[-1]) + 1])
    if not found:
        raise ParameterError(
            "no step is left to run",
            resource="--from, --until",
            expected="a first step that is not after the last one",
            seen=f"from {begin} until {end or every[-1]}",
            remedy="exchange them, or leave out one",
        )
    return found


def notebook(step: str, folder: Path | None = None) -> Path:
    """The notebook of a step.

    Args:
        step: its full name.
        folder: where the notebooks are; the clone's ``notebooks`` by default.

    Raises:
        PrerequisiteError: it is not there.
    """
    file = (folder or CLONE / "notebooks") / f"{step}.ipynb"
    if not file.is_file():
        raise PrerequisiteError(
            f"there is no notebook for step {step}",
            step=step,
            resource=str(file),
            remedy="run the command from a clone of the repository, installed with `make setup`",
        )
    return file


def as_file(notebook: Mapping[str, Any]) -> bytes:
    """A notebook's content as the archive keeps it."""
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def headings_of(cells: Sequence[Any]) -> list[str]:
    """For each cell, the text of the last heading at or before it."""
    found, last = [], ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in cell["source"].splitlines():
                if line.startswith("#"):
                    last = line.lstrip("#").strip()
        found.append(last)
    return found


def _step(name: str) -> str:
    number = name.zfill(2)
    for step in EVERY:
        if name == step or (name.isdigit() and step.startswith(f"{number}_")):
            return step
    raise ParameterError(
        f"there is no step called {name}",
        resource=name,
        expected=f"one of: {', '.join(EVERY)}, or its number",
        seen=name,
    )
