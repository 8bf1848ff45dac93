"""One lab, one JupyterLab as ``make jupyter`` starts it, and one browser for all tests in a browser.

The notebooks are copies whose parameters lead to the tests' own lab, as a reader would edit them who has another: a
developer's own lab is not touched. The files' names put them in order: the walk, what needs it, the teardown.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright

from runbook_lib import wait
from runbook_lib.archive.notebooks import EVERY
from tests.browser import chromium
from tests.browser.reader import HEIGHT, WIDTH, Reader
from tests.conftest import ROOT
from tests.e2e.operators import Operator, at_work

ARTEFACTS = Path(os.environ.get("RUNBOOK_ARTEFACTS") or ROOT / "outputs" / "browser")
# JupyterLab's settings as a reader may have them: the theme follows the system's, and all cells are in the page.
USER_SETTINGS = {
    "apputils-extension/themes": {"adaptive-theme": True},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass
class Jupyter:
    """JupyterLab's server as the command started it.

    Args:
        process: the command.
        said: the file with what it printed.
        pages: the notebooks' pages as they were seen, by step.
    """

    process: subprocess.Popen[str]
    said: Path
    pages: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """JupyterLab's address, with the token; empty until it is printed."""
        found = re.search(r"http://127\.0\.0\.1:\S+token=\w+", self.said.read_text())
        return found[0] if found else ""


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints how far the tests are, each new thing once, and past what pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    last, began = [""], time.monotonic()

    def say_once(what: str) -> None:
        if what != last[0]:
            last[0] = what
            with capture.global_and_fixture_disabled():
                sys.stdout.write(f"\n  {time.monotonic() - began:5.0f} s  {what}")
                sys.stdout.flush()

    return say_once


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A lab with nothing in it, and an operator with notebooks for it."""
    folder = tmp_path_factory.mktemp("browser")
    with at_work(f"browser-{os.getpid()}", folder) as someone:
        settings = yaml.safe_load(someone.params.read_text())
        (folder / "notebooks").mkdir()
        for step in EVERY:
            book = nbformat.read(ROOT / "notebooks" / f"{step}.ipynb", as_version=4)
            [cell] = [each for each in book.cells if "parameters" in each.metadata.get("tags", [])]
            for name, value in settings.items():
                cell.source, found = re.subn(rf"(?m)^({name}\b[^=]*=) .*$", rf"\1 {value!r}", cell.source)
                assert found == 1, f"{step} has no parameter {name}"
            nbformat.write(book, folder / "notebooks" / f"{step}.ipynb")
        yield someone


@pytest.fixture(scope="session")
def jupyter(operator: Operator) -> Iterator[Jupyter]:
    """What `make jupyter` starts, for the operator's lab and notebooks."""
    home = operator.folder / "jupyter"
    for name, settings in USER_SETTINGS.items():
        file = home / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    own = {name: str(home) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    said = operator.folder / "jupyter.txt"
    first = operator.folder / "notebooks" / f"{EVERY[0]}.ipynb"
    words = ("jupyter", str(first), "--name", operator.lab.name, "--no-browser")
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "runbook_lib.cli", *words],
            env={**operator.environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    started = Jupyter(process, said)
    try:
        wait.until(
            lambda: process.poll() is not None or started.address, bool, what="JupyterLab", timeout=180, describe=repr
        )
        assert started.address, said.read_text()
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium; root may not have its sandbox."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium.require(), args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def reader(browser: Browser, jupyter: Jupyter, say: Callable[[str], None]) -> Iterator[Reader]:
    """Somebody at JupyterLab's page."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    for old in ARTEFACTS.glob("*.png"):
        old.unlink()
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    yield Reader(context.new_page(), jupyter.address, ARTEFACTS, say)
    context.close()
