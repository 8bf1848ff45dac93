"""Small notebooks to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

PARAMETERS = 'deployment = "demo"\ntimeout = 600\n'


@pytest.fixture(scope="session", autouse=True)
def quick_starts() -> Iterator[None]:
    """Let the programs that these tests start leave out what takes seconds to load and is of no use to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "startup"), prepend=os.pathsep)
        yield


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
