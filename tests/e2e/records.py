"""What a run leaves behind, read from its files and nothing else."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Executed:
    """An executed notebook."""

    path: Path

    @cached_property
    def cells(self) -> list[Any]:
        """Its code cells."""
        return [cell for cell in nbformat.read(self.path, as_version=4).cells if cell.cell_type == "code"]

    def outputs(self, mime: str = "text/plain") -> list[str]:
        """What its cells showed, of one kind."""
        shown = (output.get("data", {}).get(mime) for cell in self.cells for output in cell.outputs)
        return [text for text in shown if text is not None]

    @property
    def errors(self) -> list[str]:
        """Errors and unfinished cells."""
        errors = [output.ename for cell in self.cells for output in cell.outputs if output.output_type == "error"]
        return errors + [cell.source for cell in self.cells if cell.metadata.papermill.status != "completed"]

    @property
    def tables(self) -> list[list[str]]:
        """The rows of each table of checks, each row with its mark in front."""
        shown = [text.splitlines() for text in self.outputs()]
        return [lines[1:] for lines in shown if lines and lines[0].split() == ["check", "expected", "seen"]]

    @property
    def disagreeing(self) -> list[str]:
        """The rows without a tick."""
        return [row for rows in self.tables for row in rows if not row.startswith("✓")]

    @property
    def applied(self) -> dict[str, str]:
        """What carrying out its plan came to."""
        table = next(text for text in self.outputs() if text.startswith("what ") and "\nstep " in text)
        return dict(line.split(None, 1) for line in table.splitlines()[1:])


@dataclass(frozen=True)
class Run:
    """One `runbook run` that has ended: what it printed, and its record if it left one."""

    done: Done
    folder: Path | None

    @property
    def said(self) -> str:
        """Everything that it printed, without the line breaks that a narrow terminal asks for."""
        return " ".join((self.done.stdout + self.done.stderr).split())

    @property
    def record(self) -> dict[str, Any]:
        """Its run.json."""
        assert self.folder, self.said
        return json.loads((self.folder / "run.json").read_text())

    def notebook(self, step: str) -> Executed:
        """An executed notebook of it."""
        assert self.folder, self.said
        return Executed(self.folder / f"{step}.ipynb")
