from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from runbook_lib import console
from runbook_lib.lab.abilities import Ability
from runbook_lib.lab.tools import Tool

HERE = Tool("ip", "addresses", Path("/usr/sbin/ip"), "6.1.0", "apt-get install iproute2")
GONE = Tool("nft", "firewalls", None, None, "apt-get install nftables")
ABLE = Ability("network namespaces", "instances", True, "", "a newer kernel")
UNABLE = Ability("user namespaces", "running as a user", False, "refused", "sysctl")
UNABLE_BUT_FINE = Ability("overlay", "speed", False, "refused", "modprobe overlay", essential=False)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize(
    ("tools", "abilities", "missing"),
    [
        ([], [], 0),
        ([HERE], [ABLE], 0),
        ([HERE, GONE], [ABLE], 1),
        ([HERE], [ABLE, UNABLE], 1),
        ([HERE], [UNABLE_BUT_FINE], 0),
        ([GONE], [UNABLE, UNABLE_BUT_FINE], 2),
    ],
)
def test_doctor_counts_what_is_missing(tools: Sequence[Tool], abilities: Sequence[Ability], missing: int) -> None:
    assert console.doctor(tools, abilities) == missing


def test_doctor_shows_where_a_tool_is_or_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    console.doctor([HERE, GONE], [ABLE, UNABLE])
    lines = {line.split("│")[2].strip(): line for line in capsys.readouterr().out.splitlines() if "│" in line}
    assert "✓" in lines["ip"] and "6.1.0" in lines["ip"] and "/usr/sbin/ip" in lines["ip"]
    assert "✗" in lines["nft"] and "apt-get install nftables" in lines["nft"]
    assert "✓" in lines["network namespaces"]
    assert "✗" in lines["user namespaces"] and "sysctl" in lines["user namespaces"]
    assert "refused" in lines["user namespaces"], "and what the probe said"


def test_tables_show_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("[title]", ["name", "value"], [("[red]", ("a", 1)), ("none", None)])
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["[red]", "a, 1"] in shown, "brackets are no markup"
    assert ["none", ""] in shown


def test_ways_put_each_command_alone_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = "curl -H 'Host: [demo]' " + "x" * 200
    console.ways([("the service", command)])
    assert f"    {command}" in capsys.readouterr().out.splitlines(), "ready to paste, however long"


def test_complaints_go_to_stderr_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain("no [bold] host\n  expected: one")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "no [bold] host\n  expected: one\n")
