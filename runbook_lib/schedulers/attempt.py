"""One attempt at an operation by a scheduler: which command it is, and what its exit status means.

Whatever a scheduler needs to know is read from the records, so that an attempt may be made by another process, or on
another machine that shares the folder of the records, than the one before. Nothing here is any scheduler's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..archive import history, lock
from ..archive.record import RECORD, RunRecord
from ..errors import ParameterError

REFUSED = 2  # what `runbook` ends with when parameters or options are wrong: no further attempt can mend that
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # of the scheduler's Python, which is another one


def deployment_of(file: Path) -> str:
    """The deployment that a parameter file is for.

    Raises:
        ParameterError: the file cannot be read, or does not name one; a default would be everybody's.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        name = content.get("deployment") if isinstance(content, Mapping) else None
        seen = "no such parameter" if name is None else repr(name)
    except (OSError, ValueError, yaml.YAMLError) as error:
        name, seen = None, f"{type(error).__name__}: {error}"
    if not isinstance(name, str) or not name:
        raise ParameterError(
            "a parameter file does not say which deployment it is for",
            resource=str(file),
            expected="deployment: and its name",
            seen=seen,
            remedy="name the deployment in the file",
        )
    return name


def fleet_of(files: Sequence[Path]) -> dict[str, Path]:
    """The parameter file of each deployment, by its name.

    Raises:
        ParameterError: a file names no deployment, or the same one as another.
    """
    found: dict[str, Path] = {}
    for file in files:
        name = deployment_of(file)
        if name in found:
            raise ParameterError(
                f"two parameter files are for the deployment {name}",
                resource=str(file),
                expected="a file for each deployment",
                seen=str(found[name]),
                remedy="take away one of them, or correct its name",
            )
        found[name] = file
    return found


def earlier(output: Path, deployment: str, since: datetime) -> RunRecord | None:
    """The record of the attempt before, if one was made.

    Args:
        output: folder in which each deployment has its own.
        deployment: whose.
        since: when the scheduler began the operation. Its clock and the machine's are to agree to a second or so;
            where they do not, the attempt before is not found and the steps are run from the first, which is allowed.

    Raises:
        RecordError: it cannot be read.
    """
    begun = f"{since.astimezone(UTC):%Y%m%dT%H%M%SZ}"  # as ids begin
    for folder in reversed(history.folders(output, deployment)):
        if folder.name < begun:
            break
        if (folder / RECORD).exists():  # without one it was cut off before anything was run
            record = RunRecord.read(folder)
            if record.kind == "run":
                return record
    return None


def going_on(output: Path, deployment: str) -> str:
    """The run of a deployment that a process records now, if any; somebody's open notebook is none.

    Such a run outlived its worker, is still cleaning up after it was stopped, or was begun by hand.

    Raises:
        RecordError: its record cannot be read.
    """
    for folder in reversed(history.folders(output, deployment)):
        if lock.is_held(folder):
            begun = (folder / RECORD).exists()
            if not begun or RunRecord.read(folder).kind != "interactive":
                return folder.name
    return ""


def command(
    runbook: Path, file: Path, output: Path, steps: Sequence[str], before: RunRecord | None = None
) -> list[str]:
    """The words of an attempt's command.

    Args:
        runbook: this project's ``runbook``, in its own environment.
        file: the deployment's parameters.
        output: folder in which each deployment has its own.
        steps: names or numbers; without any, all but the teardown.
        before: what to go on with, instead of the steps.
    """
    what = ["--resume", before.run] if before else list(steps)
    return [str(runbook), "run", *what, "-f", str(file), "--output", str(output)]


def environment(scheduler: Mapping[str, str], prefix: str) -> dict[str, str]:
    """What an attempt's command is told of a scheduler's environment: all but the scheduler's own.

    Its settings hold keys and the address of its database, which are no business of a notebook's kernel.

    Args:
        scheduler: its environment.
        prefix: what the names of its settings begin with, underscores before that or not.
    """
    return {
        name: value
        for name, value in scheduler.items()
        if name not in FOREIGN and not name.lstrip("_").startswith(prefix)
    }


class Follower:
    """Reads the lines of a file to which another process writes.

    A file, where a pipe would do for reading: the writer is to end well even if the reader is killed.

    Args:
        file: its path; opened at once, so that it may be removed.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._stream = open(file, encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by __exit__
        self._part = ""

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()

    def lines(self, *, last: bool = False) -> list[str]:
        """The lines completed since it was last asked; with ``last``, also one without an end."""
        *lines, self._part = (self._part + self._stream.read()).split("\n")
        if last and self._part:
            lines, self._part = [*lines, self._part], ""
        return lines
