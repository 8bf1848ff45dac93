"""Starting, finding and ending labs: nothing may be left, however one ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib.lab import host
from runbook_lib.lab.errors import LabError

pytestmark = [pytest.mark.lab, pytest.mark.alone]


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a lab that is ended whatever happens."""
    chosen = f"host-{os.getpid()}"
    yield chosen
    host.down(chosen)


def footprint() -> dict[str, object]:
    """What a lab could leave on this machine."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "interfaces": sorted(line.split(":")[1].strip() for line in links.splitlines()),
        "namespaces": subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout,
        "mounts": Path("/proc/self/mounts").read_text(),
        "labs": sorted(path.name for path in host.HOME.expanduser().glob("*")),
        "temporary": sorted(path.name for path in Path("/tmp").glob("*") if "pytest" not in path.name),
    }


def processes_of(name: str) -> list[int]:
    """Processes that still run in a lab's namespaces or on its behalf."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"/labs/{name}".encode() in command and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def gone(name: str) -> bool:
    deadline = time.monotonic() + 10
    while processes_of(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes_of(name)


def test_up_finds_a_lab_that_is_up(name: str) -> None:
    first, fresh = host.up(name)
    again, second = host.up(name)
    assert (fresh, second) == (True, False)
    assert again == first
    assert host.find(name).alive


def test_down_leaves_nothing(name: str) -> None:
    before = footprint()
    host.up(name)
    assert processes_of(name)
    assert host.down(name) is True
    assert gone(name)
    assert footprint() == before
    assert host.down(name) is False


@pytest.mark.parametrize("victim", ["holder", "world"])
def test_a_lab_that_was_killed_is_noticed_and_cleaned(name: str, victim: str) -> None:
    before = footprint()
    lab, _ = host.up(name)
    children = Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()
    os.kill(lab.pid if victim == "holder" else int(children[0]), signal.SIGKILL)
    os.waitpid(lab.pid, 0)
    assert gone(name)
    with pytest.raises(LabError, match="not up"):
        host.find(name)
    assert host.down(name) is True
    assert footprint() == before


def test_a_starter_that_dies_half_way_leaves_something_to_find(name: str) -> None:
    before = footprint()
    code = f"from runbook_lib.lab import host; host.up({name!r})"
    starter = subprocess.Popen([sys.executable, "-c", code])
    record = host.HOME.expanduser() / name / "lab.json"
    deadline = time.monotonic() + 30
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    starter.kill()
    starter.wait()
    assert record.exists()
    lab, _ = host.up(name)
    assert lab.alive
    host.down(name)
    assert gone(name)
    assert footprint() == before


def test_two_labs_stand_side_by_side(lab: host.Lab, name: str) -> None:
    other, _ = host.up(name)
    assert other.aws_endpoint != lab.aws_endpoint
    assert lab.alive and other.alive
    host.down(name)
    assert lab.alive


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(host, "DEFAULT_NAME", name)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(host, "DEFAULT_PORTS", {"aws": port})
        with pytest.raises(LabError, match=f"port {port}"):
            host.up(name)
    assert not processes_of(name)


@pytest.mark.parametrize("bad", ["", "Lab", "../x", "a b", "-x"])
def test_bad_names_are_refused(bad: str) -> None:
    with pytest.raises(LabError, match="cannot be called"):
        host.up(bad)


def test_the_status_is_for_people_and_programs(lab: host.Lab) -> None:
    command = [sys.executable, "-m", "runbook_lib.cli", "lab", "status", "--name", lab.name, "--json"]
    status = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert status["aws_endpoint"] == lab.aws_endpoint
    assert status["gcp_endpoint"] == lab.gcp_endpoint
    assert status["internet_proxy"] == lab.internet_proxy
    assert isinstance(status["nodes"], list)


def test_credentials_are_the_owners_alone(lab: host.Lab) -> None:
    for name in ("aws-credentials", "gcp-credentials.json"):
        assert (Path(lab.home) / name).stat().st_mode & 0o077 == 0
