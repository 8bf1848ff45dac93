"""What somebody in JupyterLab has besides: a view that refreshes, and Traefik's dashboard one click away.

Between the walk and the teardown.
"""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest

from runbook_lib import wait
from runbook_lib.archive.notebooks import EVERY
from tests.browser.conftest import Jupyter
from tests.browser.reader import CLICK, Reader
from tests.browser.seen import secrets_shown
from tests.e2e.operators import Operator

BALANCER, WEB = "server-gcp-traefik-1", "server-gcp-test-1"
SCRATCH = "scratch"
# Code cells by number.
VIEW, DASHBOARD = 2, 3
CELLS = (
    "import runbook_lib as rb\n\nsite = rb.open_site(rb.Params.of(globals()))",
    "view = rb.live.catalog(site)",
    f'rb.browse.dashboard(site, "{BALANCER}")',
)
AGENT = "http://127.0.0.1:8500/v1/agent/service"


@pytest.fixture(scope="module")
def scratch(operator: Operator, reader: Reader, jupyter: Jupyter) -> Iterator[Reader]:
    """A reader with a notebook of their own, which has the walk's parameters; all of its cells have run."""
    folder = operator.folder / "notebooks"
    given = nbformat.read(folder / f"{EVERY[0]}.ipynb", as_version=4)
    [parameters] = [cell for cell in given.cells if "parameters" in cell.metadata.get("tags", [])]
    cells = [parameters, *map(nbformat.v4.new_code_cell, CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=given.metadata), folder / f"{SCRATCH}.ipynb")
    reader.open(SCRATCH)
    seen = reader.run_all(SCRATCH)
    assert not seen["errors"] + seen["warnings"]
    yield reader
    jupyter.pages[SCRATCH] = reader.page.content()
    reader.photograph(SCRATCH)
    reader.close(SCRATCH)


def register(operator: Operator, call: str, body: str = "") -> None:
    """A call of an agent's API on a web server, with the token that may register services."""
    token = operator.runbook("secret", "consul-token.europe-west1.web", "-f", operator.params).stdout.strip()
    operator.asked(WEB, f"curl -sSf -X PUT -H 'X-Consul-Token: {token}' {AGENT}/{call} -d '{body}'")


def test_a_view_shows_a_service_that_is_added_and_one_that_is_gone(scratch: Reader, operator: Operator) -> None:
    output = scratch.cell(VIEW).locator(".jp-OutputArea")

    def shown() -> str:
        return output.inner_text(timeout=CLICK)

    wait.until(shown, lambda text: WEB in text, what="the catalogue", timeout=120)
    assert ":8199" not in shown()
    register(operator, "register", '{"Name": "demo", "ID": "by-hand", "Port": 8199}')
    try:
        wait.until(shown, lambda text: ":8199" in text, what="the service in the view", timeout=120)
        assert output.locator("table").count() == 1, "it is shown in place, not once more below"
    finally:
        register(operator, "deregister/by-hand")
    # It is still there, marked, or it has left the table.
    wait.until(
        shown,
        lambda text: not [line for line in text.splitlines() if ":8199" in line and "gone" not in line],
        what="the service to be gone from the view",
        timeout=120,
    )


def test_the_dashboards_link_opens_traefiks_page_with_the_password(scratch: Reader, operator: Operator) -> None:
    link = scratch.cell(DASHBOARD).locator(".jp-OutputArea a").first
    address = link.get_attribute("href", timeout=CLICK) or ""
    assert address.startswith("http://127.0.0.1:"), address
    assert "ssh " in scratch.cell(DASHBOARD).locator(".jp-OutputArea").inner_text()
    browser = scratch.page.context.browser
    assert browser
    stranger = browser.new_context()
    refused = stranger.request.get(address)
    assert refused.status == 401
    stranger.close()
    password = operator.own_secrets()["dashboard-password"]
    context = browser.new_context(http_credentials={"username": "operator", "password": password})
    page = context.new_page()
    try:
        answer = page.goto(address, timeout=CLICK)
        assert answer and answer.ok
        assert "Traefik" in page.title()
        page.get_by_text("Entrypoints").first.wait_for(timeout=CLICK)
        page.screenshot(path=scratch.shots / "dashboard.png")
    finally:
        context.close()


def test_it_shows_no_secret(scratch: Reader, operator: Operator, jupyter: Jupyter) -> None:
    jupyter.pages[SCRATCH] = scratch.page.content()
    assert not secrets_shown(jupyter, operator.own_secrets())
