"""``runbook jupyter`` itself: what it asks when it is stopped, and what it leaves behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from runbook_lib import wait
from runbook_lib.archive.notebooks import CLONE
from runbook_lib.lab import host

NAME = f"sitting-{os.getpid()}"
# Where its servers begin to look for a free port: those of tests beside it must not be after the same.
PORT = str(20000 + os.getpid() % 10000)
# A shell's background would make it deaf for Ctrl-C; setsid gives it the terminal as its own.
AS_STARTED_BY_HAND = ("env", "--default-signal=INT", "setsid", "--ctty")
PATIENCE = 180.0


@dataclass
class Sitting:
    """The command, on a terminal of its own or on none.

    Args:
        process: the command.
        terminal: our end of its terminal.
    """

    process: subprocess.Popen[bytes]
    terminal: int
    said: str = field(default="")

    def hear(self) -> str:
        """All that it has printed so far."""
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                more = os.read(self.terminal, 65536)
            except OSError:  # the other end is closed: Linux's way to say that nothing comes any more
                break
            if not more:
                break
            self.said += more.decode()
        return self.said

    def until(self, words: str) -> re.Match[str]:
        """Wait until it has printed this."""
        found = wait.until(
            lambda: re.search(words, self.hear()), bool, what=words, timeout=PATIENCE, describe=lambda _: self.said
        )
        assert found
        return found

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.terminal, keys.encode())

    def end(self) -> int:
        """Its exit status, once it has ended."""
        status = wait.until(self.process.poll, lambda seen: seen is not None, what="the end", timeout=PATIENCE)
        assert status is not None
        self.hear()
        return status


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    (tmp_path / "short").mkdir()
    return tmp_path / "short"


@pytest.fixture
def sit(tmp_path: Path, short: Path) -> Iterator[object]:
    """Starts the command; what it started is ended for certain."""
    started: list[Sitting] = []

    def start(*words: str, terminal: bool, ignored: str = "") -> Sitting:
        ours, theirs = pty.openpty()
        signals = [*AS_STARTED_BY_HAND[:2], *([f"--ignore-signal={ignored}"] if ignored else [])]
        around = [*signals, *(AS_STARTED_BY_HAND[2:] if terminal else ())]
        own = {name: str(tmp_path / "jupyter") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
        process = subprocess.Popen(
            [*around, sys.executable, "-m", "runbook_lib.cli", "jupyter", "--no-browser", "--port", PORT, *words],
            env={**os.environ, **own, "TMPDIR": str(short), "COLUMNS": "200", "TERM": "dumb"},
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            cwd=CLONE,
        )
        os.close(theirs)
        started.append(Sitting(process, ours))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            if one.process.poll() is None:
                one.process.terminate()
                one.process.wait(60)
            os.close(one.terminal)
        host.down(NAME)


def servers(folder: Path) -> list[str]:
    """JupyterLab's server and its kernels: they know the sitting's temporary folder, which the lab does not."""
    found, known = [], f"{folder}/runbook-jupyter-".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if known in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return found


def alive() -> bool:
    return any(one.alive for one in host.labs() if one.name == NAME)


@pytest.mark.lab
def test_ctrl_c_asks_and_the_lab_can_be_ended(sit, short: Path) -> None:  # type: ignore[no-untyped-def]
    sitting = sit("--name", NAME, terminal=True)
    url = sitting.until(r"http://127\.0\.0\.1:\d+/\S+token=\w+")[0]
    assert sitting.until(r"ssh -N .*-L (\d+):127\.0\.0\.1:\1 \S+@\S+")
    assert alive()
    page = httpx.get(url, follow_redirects=True, timeout=60)
    assert page.status_code == 200
    assert "jupyter-config-data" in page.text

    sitting.type("\x03")
    sitting.until(r"keep/end/back")
    sitting.type("back\n")
    assert httpx.get(url, follow_redirects=True, timeout=60).status_code == 200
    sitting.said = ""
    sitting.type("\x03")
    sitting.until(r"keep/end/back")
    sitting.type("e\n")
    assert sitting.end() == 0
    assert f"lab {NAME}: ended" in sitting.said
    assert not alive()
    assert not servers(short)
    assert not list(short.iterdir())


@pytest.mark.lab
def test_shutting_down_from_the_page_asks_too_and_enter_keeps_the_lab(sit, short: Path) -> None:  # type: ignore[no-untyped-def]
    host.up(NAME)
    sitting = sit("--name", NAME, terminal=True)
    url = httpx.URL(sitting.until(r"http://127\.0\.0\.1:\d+/\S+token=\w+")[0])
    assert "was up already" in sitting.said
    headers = {"Authorization": f"token {url.params['token']}"}
    assert httpx.post(url.copy_with(path="/api/shutdown", query=None), headers=headers, timeout=60).status_code == 200
    sitting.until(r"keep/end\)")
    sitting.type("\n")
    assert sitting.end() == 0
    assert f"lab down --name {NAME}" in sitting.said
    assert alive()
    assert not list(short.iterdir())


@pytest.mark.lab
@pytest.mark.parametrize(
    ("number", "option", "stays", "status"),
    [(signal.SIGTERM, (), True, 143), (signal.SIGINT, ("--end-lab",), False, 0), (signal.SIGHUP, (), True, 143)],
    ids=["TERM", "INT", "HUP"],
)
def test_without_a_terminal_nothing_is_asked(  # type: ignore[no-untyped-def]
    number: signal.Signals, option: tuple[str, ...], stays: bool, status: int, sit, short: Path
) -> None:
    sitting = sit("--name", NAME, *option, terminal=False)
    sitting.until(r"token=\w+")
    # A kernel is running when it ends.
    url = httpx.URL(sitting.until(r"http://127\.0\.0\.1:\d+/\S+token=\w+")[0])
    headers = {"Authorization": f"token {url.params['token']}"}
    assert httpx.post(url.copy_with(path="/api/kernels", query=None), headers=headers, timeout=60).status_code == 201
    sitting.process.send_signal(number)
    assert sitting.end() == status
    assert alive() is stays
    assert "keep/end" not in sitting.said
    assert not servers(short)
    assert not list(short.iterdir())


@pytest.mark.lab
def test_an_error_is_told_before_anything_is_asked(sit, short: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / "jupyter_server_config.py").write_text("raise SystemExit('this configuration is broken')")
    sitting = sit("--name", NAME, terminal=True)
    assert sitting.end() == 1
    assert "this configuration is broken" in sitting.said
    assert "keep/end" not in sitting.said
    assert f"lab down --name {NAME}" in sitting.said
    assert alive()
    assert not list(short.iterdir())


def test_nohup_keeps_it(sit, short: Path) -> None:  # type: ignore[no-untyped-def]
    sitting = sit("--no-lab", terminal=False, ignored="HUP")
    url = sitting.until(r"http://127\.0\.0\.1:\d+/\S+token=\w+")[0]
    # Not by whether it still answers: one that ends does so for a while.
    status = Path(f"/proc/{sitting.process.pid}/status").read_text()
    [deaf] = re.findall(r"SigIgn:\s*(\w+)", status)
    assert int(deaf, 16) >> signal.SIGHUP - 1 & 1
    sitting.process.send_signal(signal.SIGHUP)
    assert httpx.get(url, follow_redirects=True, timeout=60).status_code == 200
    sitting.process.send_signal(signal.SIGTERM)
    assert sitting.end() == 143
    assert not list(short.iterdir())


def test_no_linux_is_told_with_the_way_to_the_real_clouds() -> None:
    program = """
import platform
platform.system = lambda: "Darwin"
from runbook_lib.cli import runbook
runbook(["jupyter", "--no-browser"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "needs Linux" in done.stderr
    assert "jupyter --no-lab" in done.stderr
