"""Small notebooks to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

PARAMETERS = 'deployment = "demo"\ntimeout = 600\n'


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write ``notebooks/<step>.ipynb`` with a parameters cell and the given code cells; return its folder."""

    def write(step: str, *code: str) -> Path:
        folder = tmp_path / "notebooks"
        folder.mkdir(exist_ok=True)
        parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell(f"# {step}"), parameters]
        cells += [nbformat.v4.new_code_cell(source) for source in code]
        book = nbformat.v4.new_notebook(cells=cells)
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, folder / f"{step}.ipynb")
        return folder

    return write
