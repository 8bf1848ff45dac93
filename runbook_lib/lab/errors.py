"""What the lab raises on purpose; the command line prints it without a traceback."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked of it.

    Args:
        message: what is wrong, one sentence or a short list.
        remedy: what the reader can do about it, with the command where there is one.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        return self.message + (f"\n  what to do:  {self.remedy}" if self.remedy else "")
