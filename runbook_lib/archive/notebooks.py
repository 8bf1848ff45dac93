"""Which notebooks there are, which a command means, and what one that was cut off should say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ParameterError, PrerequisiteError
from ..resources import OPTIONAL, STEPS

TEST, TEARDOWN = "04_test", "05_teardown"
# In the order in which they are run.
EVERY = (*STEPS[: STEPS.index(TEARDOWN)], *OPTIONAL, *STEPS[STEPS.index(TEARDOWN) :])
CLONE = Path(__file__).resolve().parents[2]


def chosen(names: Iterable[str], *, test: bool = True) -> tuple[str, ...]:
    """The steps that names mean, in the order in which they are run.

    Args:
        names: full names (``03_traefik``) or numbers (``03``, ``3``); none means all but the teardown and
            the optional ones.
        test: the parameter of that name; without it, the test is not among "all".

    Raises:
        ParameterError: a name that is no step.
    """
    wanted = [_step(name) for name in names]
    if not wanted:
        return tuple(step for step in STEPS if step != TEARDOWN and (test or step != TEST))
    return tuple(step for step in EVERY if step in wanted)


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


def mark_cut_off(file: Path, message: str) -> None:
    """Let an executed notebook say that it was cut off.

    papermill leaves every cell "completed" when a kernel dies or the command is interrupted. The last cell
    that was started is the one it happened in; those after it never ran.
    """
    import nbformat

    if not file.is_file():
        return
    book = nbformat.read(file, as_version=4)
    records = [cell.metadata.get("papermill") for cell in book.cells]
    started = [record for record in records if record and record.get("start_time")]
    if started:
        started[-1].update(status="failed", exception=True)
    for record in records:
        if record and not record.get("start_time"):
            record.update(status="pending")
    book.metadata.setdefault("papermill", {}).update(exception=True, ending=message)
    draft = file.with_suffix(".ipynb.new")
    nbformat.write(book, draft)
    draft.replace(file)


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
