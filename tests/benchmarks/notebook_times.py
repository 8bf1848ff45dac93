"""Write into the notebooks how long they take: ``python -m tests.benchmarks.notebook_times RUN_JSON...``

For reading an estimate, 200 words a minute of what stands before the exercises, rounded up; for the cells what the
records of runs say (``outputs/<deployment>/runs/<run>/run.json``), rounded up to five seconds. To be run after a walk
of the lab on a machine that does nothing else. Prints what it wrote.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WORDS = 200  # a minute: an unhurried reader's pace with technical text


def told(text: str, minutes: int, seconds: float) -> str:
    """A notebook's first cell, with these times."""
    text = re.sub(r"About \d+ minutes? to read", f"About {minutes} minute{'s' * (minutes != 1)} to read", text)
    return re.sub(r"take about \d+ seconds", f"take about {math.ceil(seconds / 5) * 5} seconds", text)


def minutes(texts: list[str]) -> int:
    """How long texts take to read."""
    return math.ceil(sum(len(text.split()) for text in texts) / WORDS)


def main(records: list[str]) -> None:
    for record in records:
        for step in json.loads(Path(record).read_text(encoding="utf-8"))["steps"]:
            file = NOTEBOOKS / f"{step['step']}.ipynb"
            book = nbformat.read(file, as_version=4)
            texts = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
            ends = [number for number, text in enumerate(texts) if text.startswith("## Exercises")]
            lesson = texts[: ends[0]] if ends else texts
            book.cells[0].source = told(book.cells[0].source, minutes(lesson), step["seconds"])
            nbformat.write(book, file)
            print(f"{file.stem}: {minutes(lesson)} minutes to read, {step['seconds']} s to run")


if __name__ == "__main__":
    main(sys.argv[1:])
