"""06_resilience on the standing deployment: its table is of its own records, and nothing stays broken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Executed, Run

STEP = "06_resilience"
FAULTS = (
    "leader of europe-west1 killed",
    "2 of 3 servers of europe-west1 killed",
    "Traefik of server-aws-traefik-1 killed",
    "bastion-gcp destroyed",
    "server-aws-test-1 hangs",
    "disk of server-gcp-test-2 full",
    "gcp unreachable",
    "VPN cut for 30 s",
)
# What each does to visitors: the load balancers through which requests fail, and no others.
HURT = {
    FAULTS[2]: {"server-aws-traefik-1"},
    FAULTS[4]: {"server-aws-traefik-1", "server-aws-traefik-2"},
    FAULTS[6]: {"server-gcp-traefik-1", "server-gcp-traefik-2"},
}
HEALS_ITSELF = {FAULTS[0], FAULTS[2]}
ALT = re.compile(
    r"^(?P<fault>.+): (?P<all>\d+) requests, (?P<since>\d+) of them since;\s.*\. Failed: (?P<failed>.+)\.$"
)


@dataclass(frozen=True)
class Row:
    """One row of the fault table, as the notebook shows it."""

    sent: int
    failed: int
    by: dict[str, int]
    healed_by: str


@pytest.fixture(scope="module")
def before(operator: Operator, walk: Run) -> set[tuple[str, str]]:
    """What exists before anything is broken."""
    return operator.resources()


@pytest.fixture(scope="module")
def broken(operator: Operator, before: set[tuple[str, str]]) -> Run:
    """The notebook, as a user runs it."""
    return operator.run("06", timeout=900)


@pytest.fixture(scope="module")
def rows(broken: Run) -> dict[str, Row]:
    """The fault table."""
    [text] = [text for text in broken.notebook(STEP).outputs() if text.startswith("What broke")]
    found = {}
    for line in text.splitlines()[2:]:
        fault, sent, failed, by, _, _, _, healed = re.split(r" {2,}", line)
        found[fault] = Row(int(sent), int(failed), _counts(by), healed)
    return found


@pytest.fixture(scope="module")
def pictures(broken: Run) -> dict[str, dict[str, Any]]:
    """What each chart says of itself, by fault."""
    matches = filter(None, map(ALT.match, broken.notebook(STEP).outputs()))
    return {match["fault"]: match.groupdict() for match in matches}


def _counts(text: str) -> dict[str, int]:
    pairs = [] if text in ("\N{EN DASH}", "none") else re.findall(r"(\S+?):? (\d+)", text)
    return {name: int(count) for name, count in pairs}


def test_it_succeeds_and_every_check_agrees(broken: Run) -> None:
    assert broken.done.returncode == 0, broken.said
    book: Executed = broken.notebook(STEP)
    assert book.errors == []
    assert len(book.tables) == len(FAULTS) + 2
    assert book.disagreeing == []


def test_it_is_no_part_of_the_walk(walk: Run) -> None:
    assert STEP not in [step["step"] for step in walk.record["steps"]]


def test_every_fault_has_a_row_of_counted_requests(rows: dict[str, Row]) -> None:
    assert tuple(rows) == FAULTS
    for fault, row in rows.items():
        assert row.sent > 20, fault
        assert row.failed == sum(row.by.values()), fault
        assert row.failed < row.sent, fault


@pytest.mark.parametrize("fault", FAULTS)
def test_only_those_fail_who_must(rows: dict[str, Row], fault: str) -> None:
    assert set(rows[fault].by) == HURT.get(fault, set())


@pytest.mark.parametrize("fault", FAULTS)
def test_the_table_and_the_chart_tell_the_same(
    rows: dict[str, Row], pictures: dict[str, dict[str, Any]], fault: str
) -> None:
    assert int(pictures[fault]["since"]) == rows[fault].sent < int(pictures[fault]["all"])
    assert _counts(pictures[fault]["failed"]) == rows[fault].by


def test_what_heals_by_itself_says_so(rows: dict[str, Row]) -> None:
    assert {fault for fault, row in rows.items() if row.healed_by == "itself"} == HEALS_ITSELF


def test_the_deployment_is_whole_afterwards(operator: Operator, broken: Run, before: set[tuple[str, str]]) -> None:
    after = operator.resources()
    names = [{(kind, identity.split()[0]) for kind, identity in found} for found in (before, after)]
    anew = {identity.split()[0] for _, identity in before - after}
    assert anew == {"proof-bastion-gcp", "proof-nat"}, "the bastion and the route that leads through it"
    # What is in AWS is known by its identifier alone, and is the same; in GCP it has the names of what was there.
    assert names[0] == names[1]
    for cloud in ("aws", "gcp"):
        wan = operator.asked(f"server-{cloud}-consul-1", "consul members -wan").splitlines()[1:]
        assert [line.split()[2] for line in wan] == ["alive"] * 6
        assert operator.inside(f"server-{cloud}-test-2", "test -e /var/tmp/runbook-fills-the-disk").returncode == 1
        stopped = operator.asked(f"server-{cloud}-test-1", "ps -C apache2 -o stat=")
        assert stopped.strip() and "T" not in stopped
    for network in operator.lab.networks():
        rules = [
            *operator.lab.inside(),
            "nsenter",
            f"--net=/run/netns/{network['router']}",
            "nft",
            "-j",
            "list",
            "tables",
        ]
        tables = json.loads(operator.command(*rules).stdout)["nftables"]
        assert [one["table"]["name"] for one in tables if "fault" in one.get("table", {}).get("name", "")] == []


def test_the_vpn_is_cut_and_joined_by_command(operator: Operator, broken: Run) -> None:
    [far] = operator.nodes("server-gcp-consul-1")
    ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{far['private_ip']}/8300'"
    assert operator.inside("server-aws-consul-1", ask).returncode == 0
    try:
        cut = operator.runbook("lab", "fault", "vpn", "--endpoint", operator.lab.aws_endpoint)
        assert cut.returncode == 0, cut.stderr
        assert operator.inside("server-aws-consul-1", ask).returncode != 0
    finally:
        joined = operator.runbook("lab", "heal", "vpn", "--endpoint", operator.lab.aws_endpoint)
    assert joined.returncode == 0, joined.stderr
    assert operator.inside("server-aws-consul-1", ask).returncode == 0
