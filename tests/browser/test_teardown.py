"""The last notebook, which takes everything down that the others built, and the end of JupyterLab."""

from __future__ import annotations

from functools import partial

import httpx

from runbook_lib import wait
from runbook_lib.archive import history
from runbook_lib.archive.notebooks import EVERY
from runbook_lib.archive.record import RunRecord
from runbook_lib.errors import RecordError
from tests.browser.conftest import Jupyter
from tests.browser.reader import Reader
from tests.browser.seen import agree, keep, secrets_shown
from tests.e2e.operators import DEPLOYMENT, Operator

TEARDOWN = EVERY[-1]
OPENED = 3  # code cells, after which a session is on record


def test_run_all_cells(reader: Reader, jupyter: Jupyter, operator: Operator) -> None:
    secrets = operator.own_secrets()
    reader.open(TEARDOWN)
    seen = reader.run_all(TEARDOWN)
    keep(reader, jupyter, TEARDOWN)
    agree(seen, TEARDOWN)
    assert not secrets_shown(jupyter, secrets)
    assert operator.resources() == set()


def test_shutting_down_closes_the_record_of_every_open_notebook(
    reader: Reader, jupyter: Jupyter, operator: Operator
) -> None:
    for step in EVERY:
        reader.open(step)
        reader.run_until(step, OPENED)
    folders = partial(history.folders, operator.folder / "outputs", DEPLOYMENT)
    going = wait.until(  # a record is made beside the cells, its folder first
        lambda: [record for record in map(RunRecord.read, folders()) if not record.ended],
        lambda records: sorted(record.steps[0].step for record in records) == sorted(EVERY),
        what="a record of every open notebook",
        timeout=60,
        tolerate=(RecordError,),
    )
    page = httpx.URL(jupyter.address)
    headers = {"Authorization": f"token {page.params['token']}"}
    # What File > Shut Down asks of the server.
    assert httpx.post(page.copy_with(path="/api/shutdown", query=None), headers=headers, timeout=60).is_success
    assert jupyter.process.wait(120) == 0
    assert [RunRecord.read(record.folder).outcome for record in going] == ["succeeded"] * len(EVERY)
