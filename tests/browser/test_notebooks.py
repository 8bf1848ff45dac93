"""The walk as a reader does it: every notebook opened in JupyterLab and run, in order."""

from __future__ import annotations

import pytest

from runbook_lib.archive.notebooks import EVERY
from tests.browser.conftest import Jupyter
from tests.browser.reader import CLICK, Reader
from tests.browser.seen import agree, drawing_cells, keep, secrets_shown
from tests.e2e.operators import Operator

WALK = EVERY[:-1]
RESTARTED = "03_traefik"


def test_the_address_on_the_terminal_leads_to_the_first_notebook_and_its_contents(reader: Reader) -> None:
    reader.page.goto(reader.address, timeout=CLICK)
    contents = reader.page.locator("#table-of-contents")
    contents.wait_for(timeout=CLICK)
    contents.locator(".jp-tocItem").first.wait_for(timeout=CLICK)
    assert "Provision" in contents.inner_text() or "00" in contents.inner_text()
    reader.page.locator(".jp-NotebookPanel:visible .jp-KernelName", has_text="Python 3").wait_for(timeout=CLICK)


@pytest.mark.parametrize("step", WALK)
def test_run_all_cells(step: str, reader: Reader, jupyter: Jupyter) -> None:
    reader.open(step)
    if step == RESTARTED:
        cells = (reader.look() or {})["prompts"]
        half = reader.run_until(step, len(cells) // 2)
        assert not half["errors"], half["errors"]
        seen = reader.restart_and_run_all(step)
    else:
        seen = reader.run_all(step)
    keep(reader, jupyter, step)
    agree(seen, step)


def test_pictures_are_expected() -> None:
    """A table that names nothing would ask for nothing."""
    assert {step for step in EVERY if drawing_cells(step)} >= {"00_provision", "01_bootstrap", "03_traefik", "04_test"}


def test_no_page_shows_a_secret(jupyter: Jupyter, operator: Operator) -> None:
    assert jupyter.pages.keys() >= set(WALK)
    assert not secrets_shown(jupyter, operator.own_secrets())
