"""Each way in which a run can end, made for real, by both front ends: the record says what it was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbook_lib.archive import closing, lock, origin
from runbook_lib.archive.execution import oom_kills
from runbook_lib.archive.ledger import Ledger
from runbook_lib.archive.record import RunRecord
from runbook_lib.archive.signing import open_key
from tests.archive.fronts import Front, front, until

Write = Callable[..., Path]
STEP = "00_provision"


@pytest.fixture(params=["run", "papermill"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    with front(request.param, tmp_path) as found:
        yield found
        until(lambda: found.left_over() == [], f"{found.left_over()} to be taken away")


def last_cell(way: Front) -> tuple[str, str, list[str]]:
    """The outcome of the last cell that was begun, as the record, the ledger's evidence and the notebook tell it."""
    step = way.record["steps"][-1]
    statuses = [cell.metadata.papermill.status for cell in way.notebook(step["step"]).cells]
    return step["cells"][-1]["outcome"], step["message"], statuses[-2:]


def test_a_success(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, "print('hello')", "print('bye')")
    done = way.run(STEP)
    assert done.returncode == 0, done.stdout
    assert way.outcomes() == ("succeeded", "succeeded")
    step = way.record["steps"][0]
    assert [cell["outcome"] for cell in step["cells"]] == ["succeeded"] * len(step["cells"])
    assert (step["message"], step["cell"], step["printed"]) == ("", None, "")
    assert {cell.metadata.papermill.status for cell in way.notebook(STEP).cells} == {"completed"}
    assert not lock.is_held(way.record_folder)


def test_an_error_in_a_cell(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, "print('on the way'); 1 / 0", "print('never')")
    done = way.run(STEP)
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert way.outcomes() == ("failed", "failed")
    assert last_cell(way) == ("failed", "ZeroDivisionError: division by zero", ["failed", "pending"])
    assert way.record["steps"][0]["printed"] == "on the way"


WAITS = """
from runbook_lib import wait
try:
    wait.until(lambda: 'not yet', lambda seen: False, what='a leader', timeout=600)
finally:
    print('cleaned up')
"""


def test_a_timeout(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, WAITS, "print('never')")
    done = way.run(STEP, timeout=10)
    assert done.returncode == 1
    assert way.outcomes() == ("timed out", "timed out")
    outcome, message, statuses = last_cell(way)
    assert (outcome, statuses) == ("timed out", ["failed", "pending"])
    assert "longer than the 10 s" in message
    step = way.record["steps"][0]
    assert step["printed"] == "cleaned up"
    assert (step["waiting"]["what"], step["waiting"]["seen"]) == ("a leader", "not yet")
    assert step["waiting"]["seconds"] > 0


def test_a_kernel_that_is_killed(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, "import os; os.kill(os.getpid(), 9)", "print('never')")
    done = way.run(STEP)
    assert done.returncode == (138 if way.name == "papermill" else 1), done.stdout
    assert way.outcomes() == ("kernel died", "kernel died")
    assert last_cell(way) == ("kernel died", "the kernel's process was ended by SIGKILL", ["failed", "pending"])


def test_a_kernel_that_ends_by_itself(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, "import os; os._exit(3)", "print('never')")
    assert way.run(STEP).returncode != 0
    assert last_cell(way) == ("kernel died", "the kernel's process ended with status 3", ["failed", "pending"])


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
bytearray(4 << 30)
"""


def test_a_cell_that_finds_no_memory(way: Front, write_notebook: Write) -> None:
    write_notebook(STEP, LIMITED, "print('never')")
    assert way.run(STEP).returncode == 1
    assert way.outcomes() == ("out of memory", "out of memory")
    assert last_cell(way) == ("out of memory", "MemoryError", ["failed", "pending"])


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 200 MiB of memory."""
    version2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    folder = Path("/sys/fs/cgroup" if version2 else "/sys/fs/cgroup/memory") / f"runbook-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if version2 else "memory.limit_in_bytes")).write_text(str(200 << 20))
        with contextlib.suppress(OSError):  # not where swap is not counted
            (folder / ("memory.swap.max" if version2 else "memory.memsw.limit_in_bytes")).write_text(
                "0" if version2 else str(200 << 20)
            )
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"this account may not make a control group with a memory limit: {error}")
    yield folder
    until(lambda: (folder / "cgroup.procs").read_text() == "", "the group to be empty")
    folder.rmdir()


def test_a_kernel_that_the_machine_has_no_memory_for(way: Front, write_notebook: Write, small_group: Path) -> None:
    join = f"open({str(small_group / 'cgroup.procs')!r}, 'w').write(str(__import__('os').getpid()))"
    write_notebook(STEP, f"{join}; kept = bytearray(1 << 30)", "print('never')")
    before = oom_kills()
    assert way.run(STEP).returncode != 0
    assert oom_kills() > before
    assert way.outcomes() == ("out of memory", "out of memory")
    outcome, message, statuses = last_cell(way)
    assert (outcome, statuses) == ("out of memory", ["failed", "pending"])
    assert "no memory left" in message


STUCK = """
import os, time
try:
    open({marker!r}, 'w').write(str(os.getpid()))
    print('going on', flush=True)
    time.sleep(600)
finally:
    open({marker!r} + '.cleaned', 'w').close()
"""


@contextlib.contextmanager
def stuck(way: Front, write_notebook: Write, around: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A command in the middle of a cell; afterwards its kernel has ended, and its clean-up has run."""
    marker = way.folder / "marker"
    write_notebook(STEP, STUCK.format(marker=str(marker)), "print('never')")
    with way.start(STEP, around=around) as command:
        try:
            until(lambda: marker.exists() and marker.read_text(), "the cell to begin")
            until(lambda: way.outcomes() == ("running", "running"), "the record to say so")
            assert lock.is_held(way.record_folder)
            kernel = int(marker.read_text())
            yield command
            command.communicate(timeout=90)
            if not around:
                until(lambda: not Path(f"/proc/{kernel}").exists(), "the kernel to end")
                assert (way.folder / "marker.cleaned").exists(), "the cell's finally did not run"
        finally:
            command.kill()
    assert not lock.is_held(way.record_folder)


@pytest.mark.parametrize(
    ("number", "outcome", "status"), [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)]
)
def test_a_request_to_stop(way: Front, write_notebook: Write, number: int, outcome: str, status: int) -> None:
    with stuck(way, write_notebook) as command:
        command.send_signal(number)
    # click calls an interrupted papermill aborted; Python ends by the signal itself.
    assert command.returncode in ({status, 1, -number})
    assert way.outcomes() == (outcome, outcome)
    told, message, statuses = last_cell(way)
    assert (told, statuses) == (outcome, ["failed", "pending"])
    assert signal.Signals(number).name in message
    assert way.record["steps"][0]["printed"] == "going on"


def test_a_kernel_that_does_not_stop_is_killed_by_a_second_request(way: Front, write_notebook: Write) -> None:
    stubborn = (
        "import time\nwhile True:\n    try:\n        open('{}', 'w').close(); time.sleep(600)\n"
        "    except KeyboardInterrupt:\n        open('{}', 'w').close()"
    )
    first, second = way.folder / "first", way.folder / "second"
    write_notebook(STEP, stubborn.format(first, second), "print('never')")
    with way.start(STEP) as command:
        until(first.exists, "the cell to begin")
        command.send_signal(signal.SIGINT)
        until(second.exists, "the interrupt to reach the cell")
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=90)
    assert way.outcomes() == ("interrupted", "interrupted")
    assert "clean-up was cut off, as it was told so twice" in last_cell(way)[1]


def closed(way: Front) -> RunRecord:
    """What the next operation makes of a run that was cut off."""
    ledger = Ledger(way.folder / "outputs" / "demo", open_key(way.folder / "keys" / "demo" / "archive"))
    (record,) = closing.close(ledger.folder, ledger)
    assert RunRecord.read(way.record_folder) == record
    assert closing.close(ledger.folder, ledger) == []
    return record


def test_a_command_that_is_killed(way: Front, write_notebook: Write) -> None:
    with stuck(way, write_notebook) as command:
        command.send_signal(signal.SIGKILL)
    assert way.outcomes() == ("running", "running")
    record = closed(way)
    assert (record.outcome, record.steps[0].outcome) == ("killed", "killed")
    told, message, statuses = last_cell(way)
    assert (told, statuses) == ("killed", ["failed", "pending"])
    assert "SIGKILL" in message
    assert any("closed by a later operation" in note for note in record.notes)


@pytest.mark.lab
def test_a_machine_that_is_gone(way: Front, write_notebook: Write) -> None:
    # A machine of its own as far as processes go: when its first process ends, the kernel ends all others.
    machine = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")
    with stuck(way, write_notebook, around=machine) as command:
        world = way.record["identity"]["world"]
        assert origin.world_lives(world)
        command.send_signal(signal.SIGKILL)
    until(lambda: not origin.world_lives(world), "all its processes to be gone")
    record = closed(way)
    assert (record.outcome, record.steps[0].outcome) == ("machine gone", "machine gone")
    assert "is gone" in record.steps[0].message
    for folder in way.left_over():  # a machine that is gone takes nothing away
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()


@pytest.mark.lab
def test_a_disk_without_room_for_the_record(tmp_path: Path, write_notebook: Write) -> None:
    write_notebook(STEP, "print('x' * 2_000_000)", "print('never')")
    with front("run", tmp_path) as way:
        outputs = tmp_path / "outputs"
        outputs.mkdir()
        small = f'mount -t tmpfs -o size=512k tmpfs {outputs} && exec "$@"'
        with way.start(STEP, around=("unshare", "--map-root-user", "--mount", "sh", "-c", small, "sh")) as command:
            said, _ = command.communicate(timeout=90)
        assert command.returncode == 1
        assert "RecordError: the record of the run cannot be written" in said
        assert "No space left on device" in said and "runbook run --resume" in said
        assert way.left_over() == []


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        ({"host": "other", "boot": "b", "world": "w"}, "machine gone"),
        ({"host": "here", "boot": "earlier", "world": "w"}, "machine gone"),
        ({"host": "here", "boot": "b", "world": "w"}, "killed"),
        ({}, "machine gone"),
    ],
)
def test_what_is_known_of_a_run_that_nobody_records(then: dict[str, str], outcome: str) -> None:
    assert closing.ending(then, {"host": "here", "boot": "b", "world": "w"})[0] == outcome
