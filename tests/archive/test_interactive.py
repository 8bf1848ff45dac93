"""Sessions in real kernels, with the frontend's part played by a client of theirs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook_lib.archive import interactive
from runbook_lib.archive.record import RunRecord
from runbook_lib.archive.transcript import UNSEEN
from runbook_lib.params import Params
from tests import sessions
from tests.archive import keeping
from tests.conftest import ROOT
from tests.sessions import LONG, until

IMPORTS = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from runbook_lib import events
from runbook_lib.archive import interactive
from runbook_lib.archive.transcript import UNSEEN
from runbook_lib.params import Params
from tests.archive import keeping
"""
BEGIN = "print('opening'); recorder = interactive.begin(Params(deployment='blue'), keeping.{how}, Path({output!r}))"


class Session(sessions.Session):
    """A session whose kernel records itself."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(**environment)
        self.output = folder / "outputs"

    def begin(self, how: str = "keep") -> list[Any]:
        self.run(IMPORTS.format(root=str(ROOT)))
        return self.run(BEGIN.format(how=how, output=str(self.output)))

    def records(self) -> list[RunRecord]:
        return [RunRecord.read(file.parent) for file in sorted(self.output.glob("*/runs/*/run.json"))]

    @property
    def record(self) -> RunRecord:
        until(lambda: bool(self.records()))
        (only,) = self.records()
        return only

    def cells(self) -> list[Any]:
        (step,) = self.record.steps
        file = self.record.folder / step.notebook
        return list(nbformat.read(file, as_version=4).cells) if file.exists() else []

    def __enter__(self) -> Session:
        return self


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path) as session:
        yield session


def test_each_execution_is_kept_as_it_was_seen(session: Session) -> None:
    session.run("1 / 0")
    session.begin()
    session.run("from IPython.display import display")
    session.run("h = display('old', display_id='one'); print('a'); print('b')")
    session.run("x = 1; x")
    session.run("x = 1; x")
    session.run("h.update('new'); {}['no such key']")
    session.close()

    record = session.record
    (step,) = record.steps
    cells = session.cells()
    assert (record.kind, record.deployment, record.outcome) == ("interactive", "blue", "failed")
    assert record.sources["deployment"] == "notebook" and record.sources["timeout"] == "default"
    assert [cell.execution_count for cell in cells] == list(range(1, 9))
    assert [cell.source for cell in cells][4:6] == [
        "h = display('old', display_id='one'); print('a'); print('b')",
        "x = 1; x",
    ]
    outcomes = [cell.outcome for cell in step.cells]
    assert outcomes == ["failed", *["succeeded"] * 6, "failed"]
    assert [cell.index for cell in step.cells] == list(range(8))
    assert all(cell.started and cell.seconds for cell in step.cells[2:])
    assert cells[0].outputs[0].ename == "ZeroDivisionError", "the kernel remembers errors"
    assert [cell.metadata.get("runbook") for cell in cells[:3]] == [{"outputs": UNSEEN}, {"outputs": UNSEEN}, None]
    assert cells[2].outputs[0].text == "opening\n", "the cell in which it began"
    assert [o.get("text") or o.data["text/plain"] for o in cells[4].outputs] == ["'new'", "a\nb\n"]
    assert cells[6].outputs[0].data == {"text/plain": "1"}
    assert cells[7].outputs[0].ename == "KeyError"
    assert (step.outcome, step.cell, step.message) == ("failed", 7, "KeyError: 'no such key'")
    nbformat.validate(nbformat.read(record.folder / step.notebook, as_version=4))


def test_the_record_holds_what_the_frontend_was_sent(session: Session) -> None:
    session.begin()
    sources = [
        "from IPython.display import HTML, Javascript, display; display(HTML('<b>1</b>')); display(Javascript('1'))",
        "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.stderr.flush(); print('ö')",
        "class P:\n    def _repr_svg_(self): return '<svg/>'\n    def _repr_png_(self): return b'png'\nP()",
        "raise ValueError('why')",
    ]
    sent = [session.run(source) for source in sources]
    session.close()
    kept = [cell.outputs for cell in session.cells()[-len(sources) :]]
    assert kept == sent


def test_a_cell_counts_as_it_ended_last(session: Session) -> None:
    session.begin()
    session.run("if 'ready' not in globals(): raise RuntimeError('not yet')")
    assert session.record.ended == ""
    session.run("ready = True")
    session.run("if 'ready' not in globals(): raise RuntimeError('not yet')")
    session.close()
    assert session.record.outcome == session.record.steps[0].outcome == "succeeded"
    assert session.record.ended


def test_interrupts_and_restarts(session: Session) -> None:
    session.begin()
    session.client.execute("print('begun', flush=True); import time; time.sleep(600)")
    # What a long cell shows is saved while it runs, the notebook before the record.
    until(lambda: any("begun" in str(cell.outputs) for cell in session.cells()))
    until(lambda: session.record.steps[0].cells[-1].outcome == "running")
    session.manager.interrupt_kernel()
    until(lambda: session.record.steps[0].cells[-1].outcome == "interrupted")
    session.client.stop_channels()
    session.manager.restart_kernel()
    assert session.record.outcome == "interrupted"
    assert session.record.steps[0].printed == "begun"
    session.client = session.manager.client()
    session.client.start_channels()
    session.client.wait_for_ready(timeout=LONG)
    session.begin()
    session.close()
    assert sorted(record.outcome for record in session.records()) == ["interrupted", "succeeded"]


def tell_to_end_in_a_cell(session: Session) -> None:
    session.client.execute("print('begun', flush=True); import time; time.sleep(600)")
    until(lambda: any("begun" in str(cell.outputs) for cell in session.cells()))
    os.kill(session.pid, signal.SIGTERM)
    until(lambda: not session.manager.is_alive())


def test_a_kernel_that_is_told_to_end_in_a_cell_says_so(session: Session) -> None:
    session.begin()
    tell_to_end_in_a_cell(session)
    assert session.record.outcome == "terminated"
    assert [cell.outcome for cell in session.record.steps[0].cells][-1] == "terminated"


def test_whoever_has_no_patience_with_a_kernel_that_closes_its_record_finds_nothing_left(session: Session) -> None:
    def folders() -> list[Path]:
        return list(Path(session.sockets.name).glob("runbook-events-*"))

    session.begin("keep_slowly")
    assert len(folders()) == 1
    os.kill(session.pid, signal.SIGTERM)
    until(lambda: not folders())
    assert session.manager.is_alive(), "it still closes its record"


def test_after_sigkill_the_last_finished_cell_is_there(session: Session) -> None:
    session.begin()
    session.run("print('finished')")
    # The notebook is saved before the record says so.
    until(lambda: [cell.outcome for cell in session.record.steps[0].cells] == ["succeeded"] * 3)
    os.kill(session.pid, signal.SIGKILL)
    until(lambda: not session.manager.is_alive())
    assert (session.record.outcome, session.record.ended) == ("running", "")
    assert session.cells()[-1].outputs[0].text == "finished\n"


def test_the_library_s_events_are_heard(session: Session) -> None:
    session.begin()
    session.run(
        "events.emit('secret', must_arrive=True, name='t', value='hush')\nprint('it is hush')\n"
        "for n in range(300): events.emit('service', must_arrive=True, name='consul', version=str(n))"
    )
    check = {"name": "a leader", "expected": "yes", "seen": "yes", "ok": True}
    session.run(f"events.emit('checks', must_arrive=True, step='01_bootstrap', checks=[{check}])")
    session.close()
    record = session.record
    assert record.services == {"consul": [str(n) for n in range(300)]}
    assert (record.steps[0].step, record.steps[0].checks) == ("01_bootstrap", [check])
    assert not [file for file in record.folder.iterdir() if b"hush" in file.read_bytes()]
    assert session.cells()[2].outputs[0].text == "it is ***\n"


def test_the_notebook_s_file_gives_name_headings_and_hash(tmp_path: Path) -> None:
    file = tmp_path / "02 federate.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# Federation"), nbformat.v4.new_code_cell("x = 1\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    with Session(tmp_path, JPY_SESSION_NAME=str(file)) as session:
        session.begin()
        session.run("x = 1")
        session.run("x = 2")
        session.close()
        (step,) = session.record.steps
    assert (step.step, step.notebook, len(step.source_sha256)) == ("02_federate", "02_federate.ipynb", 64)
    assert [cell.heading for cell in step.cells][-2:] == ["Federation", ""]


def test_a_recorder_that_cannot_begin_says_so_once_and_the_cells_go_on(session: Session) -> None:
    session.begin("refuse")
    sent = session.run("import time\nwhile recorder._thread.is_alive(): time.sleep(0.01)")
    sent += session.run(
        "events.emit('service', must_arrive=True, name='x'); import os; print(events.ADDRESS in os.environ)"
    )
    assert [output.text for output in sent if output.name == "stdout"] == ["False\n"]
    assert session.records() == []
    # What it had open belongs to others by now.
    theirs = session.run(
        "from select import select; ends = os.pipe(); recorder.end(); print(select(ends[:1], (), (), 0))"
    )
    assert [output.text for output in theirs] == ["([], [], [])\n"]
    session.close()


def test_after_a_recorder_that_could_not_begin_the_next_one_is_told_of_the_end(session: Session) -> None:
    session.begin("refuse")
    session.run("import time\nwhile recorder._thread.is_alive(): time.sleep(0.01)")
    session.begin()
    tell_to_end_in_a_cell(session)
    assert session.record.outcome == "terminated"


def test_where_there_is_no_place_for_the_events_the_notebook_is_told(session: Session, tmp_path: Path) -> None:
    far = tmp_path / ("x" * 100)  # longer than a socket's path may be
    far.mkdir()
    session.run(f"import tempfile; tempfile.tempdir = {str(far)!r}")
    (told,) = (output for output in session.begin() if output.name == "stderr")
    assert told.text.startswith("runbook: this session is not recorded: OSError:")
    assert told.text.count("\n") == 1
    assert list(far.iterdir()) == []
    session.close()
    assert session.records() == []


def test_what_cannot_be_saved_is_told_once_and_saved_later(session: Session) -> None:
    session.begin("keep_unreliably")
    session.run("print(1)")
    until((session.record.folder / "refused").exists)  # the recorder works beside the cells
    (session.record.folder / "well").touch()
    session.run("print(2)")
    session.close()
    texts = [output.text for cell in session.cells() for output in cell.outputs]
    assert [text for text in texts if text in ("1\n", "2\n")] == ["1\n", "2\n"]
    assert "".join(texts).count("could not be recorded: OSError: no space left on device\n") == 1
    assert session.record.outcome == "succeeded"


def test_nothing_is_recorded_outside_of_kernels_or_twice(tmp_path: Path, session: Session) -> None:
    assert interactive.begin(Params(), keeping.keep, tmp_path) is None
    session.begin()
    assert session.run("print(interactive.begin(Params(), keeping.keep, Path('nowhere')))")[-1].text == "None\n"
    session.close()
    assert len(session.records()) == 1


def test_a_fork_of_the_kernel_is_not_its_end(session: Session) -> None:
    session.begin()
    session.run(
        "import os\npid = os.fork()\nif pid == 0:\n    recorder.end(); os._exit(0)\nprint(os.waitpid(pid, 0)[1])"
    )
    session.run("print('still here')")
    until(lambda: "still here" in str(session.cells()[-1].outputs))
    assert session.record.ended == ""
    session.close()
    assert session.record.outcome == "succeeded"
