"""What somebody who looks on is told while notebooks are executed."""

from __future__ import annotations

from typing import Protocol

from .record import StepRecord


class Progress(Protocol):
    """Told about a run as it goes, in texts that are free of secrets; see ``Silent`` for one that does nothing."""

    def step_started(self, step: StepRecord, cells: int) -> None:
        """A step begins; it has so many cells."""

    def cell_started(self, index: int, heading: str) -> None:
        """A cell begins; ``heading`` is the notebook's last heading before it."""

    def printed(self, text: str) -> None:
        """The cell has printed whole lines."""

    def waiting(self, what: str, seconds: float, seen: str) -> None:
        """The cell waits for something, since so many seconds, and has last seen this. ``what`` is empty once it does
        not wait any more."""

    def step_ended(self, step: StepRecord) -> None:
        """A step has ended; its record says how."""


class Silent:
    """No progress shown."""

    def step_started(self, step: StepRecord, cells: int) -> None:
        """Nothing."""

    def cell_started(self, index: int, heading: str) -> None:
        """Nothing."""

    def printed(self, text: str) -> None:
        """Nothing."""

    def waiting(self, what: str, seconds: float, seen: str) -> None:
        """Nothing."""

    def step_ended(self, step: StepRecord) -> None:
        """Nothing."""
