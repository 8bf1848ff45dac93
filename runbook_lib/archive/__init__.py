"""Running notebooks and keeping their records: ``run(Job(...))`` gives a ``RunRecord``.

Nothing heavy is imported here: the command line imports this package to explain itself.
"""

from __future__ import annotations

from .notebooks import chosen
from .record import RunRecord, StepRecord

__all__ = ["RunRecord", "StepRecord", "chosen"]
