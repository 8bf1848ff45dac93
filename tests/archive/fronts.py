"""Notebooks run as a user would: by ``runbook run``'s own code, and by papermill with this package's engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

PATIENCE = 90  # seconds before a test gives up on what it waits for
RUNNER = """
import sys
from pathlib import Path
from runbook_lib.archive import kernels
from runbook_lib.archive.runner import Job, run
from runbook_lib.errors import RunFailed
from runbook_lib.params import Params

# No cell here wants the clouds' packages, which take seconds to load.
kernels.WARM_MODULE = "ipykernel.ipkernel"

if __name__ == "__main__":
    steps, keys, output, notebooks, timeout = sys.argv[1:]
    params = Params.parse({"keys": keys}, source="test")
    job = Job(steps.split(","), params, {}, Path(output), Path(notebooks), cell_timeout=float(timeout) or None)
    try:
        run(job)
    except RunFailed as error:
        sys.exit(str(error))
"""


@dataclass(frozen=True)
class Front:
    """One way to run notebooks, and what came of it.

    Args:
        name: ``run`` or ``papermill``.
        folder: a folder of its own; the notebooks are in ``notebooks``.
        short: a temporary folder with a short path, as sockets need one.
    """

    name: str
    folder: Path
    short: Path

    @property
    def output(self) -> Path:
        """Papermill's output."""
        return self.folder / "out.ipynb"

    def command(self, *steps: str, timeout: float = 0) -> list[str]:
        """The command line."""
        notebooks, keys, output = self.folder / "notebooks", self.folder / "keys", self.folder / "outputs"
        if self.name == "run":
            program = self.folder / "program.py"
            program.write_text(RUNNER)
            return [sys.executable, *map(str, (program, ",".join(steps), keys, output, notebooks, timeout))]
        (step,) = steps
        papermill = [sys.executable, "-m", "papermill", str(notebooks / f"{step}.ipynb"), str(self.output)]
        limit = ["--execution-timeout", str(int(timeout))] if timeout else []
        return [*papermill, "--engine", "runbook", "--no-progress-bar", "-p", "keys", str(keys), *limit]

    def start(self, *steps: str, timeout: float = 0, around: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [*around, *self.command(*steps, timeout=timeout)],
            env=os.environ | {"TMPDIR": str(self.short), "RUNBOOK_OUTPUT": str(self.folder / "outputs")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *steps: str, timeout: float = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*steps, timeout=timeout) as command:
            said, _ = command.communicate(timeout=PATIENCE)
            return subprocess.CompletedProcess(command.args, command.returncode, said, "")

    # ---- what is on record ---------------------------------------------------------------------------------

    @property
    def record_folder(self) -> Path:
        """The folder of the only run."""
        (found,) = (self.folder / "outputs" / "demo" / "runs").iterdir()
        return found

    @property
    def record(self) -> dict[str, Any]:
        """The only run's ``run.json``."""
        content: dict[str, Any] = json.loads((self.record_folder / "run.json").read_text())
        return content

    def notebook(self, step: str) -> NotebookNode:
        """An executed notebook of the only run."""
        return nbformat.read(self.record_folder / f"{step}.ipynb", as_version=4)

    def outcomes(self) -> tuple[str, str]:
        """The run's, and its last begun step's."""
        begun = [step for step in self.record["steps"] if step["outcome"] != "pending"]
        return self.record["outcome"], begun[-1]["outcome"]

    def left_over(self) -> list[Path]:
        """What is in the temporary folder."""
        return sorted(self.short.iterdir())


@contextmanager
def front(name: str, folder: Path) -> Iterator[Front]:
    """One way to run the notebooks in ``folder/notebooks``; afterwards its temporary folder is gone."""
    short = Path(tempfile.mkdtemp(prefix="k"))
    try:
        yield Front(name, folder, short)
    finally:
        shutil.rmtree(short)


def until(done: Callable[[], object], what: str = "it") -> None:
    """Bounded waiting; what is asserted is that it happens."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
