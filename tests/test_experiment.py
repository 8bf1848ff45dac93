"""What is concluded from answers and logs, by tables."""

from __future__ import annotations

import pytest

from runbook_lib import experiment as module
from runbook_lib.checks import Checks
from runbook_lib.experiment import Said, accords, since_when, telling
from runbook_lib.visits import Answer
from tests.experiments import ANSWERS, answer, experiment
from tests.standing import PARAMS, site_of, standing

BOTH = {"t-1": frozenset({"web-1", "web-2"}), "t-2": frozenset({"web-1", "web-2"})}
SECOND = {"t-1": frozenset({"web-2"}), "t-2": frozenset({"web-2"})}
CUT = {"t-1": frozenset[str](), "t-2": frozenset({"web-2"})}


@pytest.mark.parametrize(
    ("given", "expected", "ok"),
    [
        (answer("t-1", "web-1", 0), BOTH, True),
        (answer("t-1", "web-1", 0), SECOND, False),
        (answer("t-1", "", 0), SECOND, False),
        (answer("t-1", "", 0), CUT, True),
        (answer("t-1", "web-1", 0), CUT, False),
        (Answer("t-1", 502, "", 0.1, 0, "Bad Gateway"), CUT, True),
    ],
)
def test_an_answer_is_as_expected_or_not(given: Answer, expected: module.Expected, ok: bool) -> None:
    assert accords(given, expected) is ok


@pytest.mark.parametrize(
    ("expected", "begin", "end", "when"),
    [
        (BOTH, 100.0, 102.0, 100.0),
        (SECOND, 102.0, 105.0, 102.0),
        (SECOND, 102.0, 108.0, None),
        (SECOND, 102.0, 107.0, None),
        (BOTH, 102.0, 110.0, 103.5),
        (SECOND, 103.2, 105.0, 103.2),
    ],
    ids=[
        "nothing was wrong",
        "what still waited at the end is left out",
        "the last of one was wrong",
        "the last was wrong",
        "from the first after the last that was wrong",
        "from the beginning",
    ],
)
def test_from_when_on_all_was_as_expected(
    expected: module.Expected, begin: float, end: float, when: float | None
) -> None:
    assert since_when(ANSWERS, expected, begin, end) == when


def test_each_load_balancer_must_have_been_seen_since() -> None:
    given = [answer("t-1", "web-1", 1), answer("t-2", "", 2), answer("t-1", "web-1", 3)]
    assert since_when(given, BOTH, 0, 10) is None
    assert since_when([*given, answer("t-2", "web-1", 4)], BOTH, 0, 10) == 3


def test_visitors_see_the_web_servers_of_the_load_balancers_cloud() -> None:
    hosts = site_of(standing()).hosts()
    gone = next(host for host in hosts if host.name == "server-gcp-test-1")
    seen = module.rotation(site_of(standing()), hosts, without=[gone])
    assert seen["server-gcp-traefik-1"] == seen["server-gcp-traefik-2"] == {f"{PARAMS.deployment}-server-gcp-test-2"}
    assert len(seen["server-aws-traefik-1"]) == 2
    assert set(seen) == {host.name for host in hosts if host.role == "traefik"}


# ---- the record ------------------------------------------------------------------------------------------


def test_it_counts_from_the_fault_on() -> None:
    assert len(experiment().since) == 5
    assert experiment().failed == {"t-1": 1, "t-2": 1}


def test_its_row_is_counted_and_measured() -> None:
    assert experiment().row == {
        "fault": "web-1 hangs",
        "requests sent": 5,
        "failed": 2,
        "failed, by load balancer": {"t-1": 1, "t-2": 1},
        "visitors steady after (s)": 1.5,
        "all steady after (s)": 1.5,
        "whole after mending (s)": 1.0,
        "healed by": "SIGCONT",
    }
    alone = experiment(mended=None, hand="").row
    assert (alone["healed by"], alone["whole after mending (s)"]) == ("itself", None)


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"spared": frozenset({"t-2", "t-3"})}, ["failed requests through t-2, t-3"]),
        ({"settled": None}, ["what visitors saw became steady"]),
        ({"answers": (*ANSWERS * 6, answer("t-1", "", 107.0))}, ["failed requests once all was whole"]),
        ({"answers": ANSWERS}, ["requests while it was watched"]),
    ],
)
def test_what_the_design_promises_is_checked(changes: dict[str, object], failing: list[str]) -> None:
    seen = experiment(**{"answers": ANSWERS * 6, **changes})
    assert [check.name for check in Checks(seen.checks).failed] == failing


def test_what_was_seen_is_checked_once() -> None:
    names = [check.name for check in experiment().checks]
    assert (names[0], names[-1]) == ("its check", "passing")
    assert "passing" not in [check.name for check in experiment(mended=None).checks], "it is what was seen meanwhile"


# ---- the logs --------------------------------------------------------------------------------------------

CONSUL = """
    2026-11-25T10:59:08.304Z [INFO]  agent.server.serf.lan: serf: EventMemberJoin: server-gcp-traefik-1 172.27.3.3
    2026-11-25T10:59:09.304Z [WARN]  agent: bootstrap_expect > 0: expecting 3 servers
    2026-11-25T10:59:10.100Z [WARN]  agent.server.raft: Election timeout reached, term=4
    2026-11-25T10:59:11.200Z [WARN]  agent.server.raft: Election timeout reached, term=15
    2026-11-25T10:59:12.300Z [INFO]  agent.server: New leader elected: payload=server-gcp-consul-3
    2026-11-25T10:59:13.300Z [INFO]  agent: Synced node info
"""
TRAEFIK = (
    "\x1b[90m2026-11-25T10:59:11Z\x1b[0m \x1b[32mINF\x1b[0m \x1b[1mStarting provider\x1b[0m\n"
    "\x1b[90m2026-11-25T10:59:12Z\x1b[0m \x1b[31mERR\x1b[0m \x1b[1mProvider error\x1b[0m\n"
)


def test_logs_are_read_for_what_they_tell() -> None:
    assert list(telling("h", "consul", CONSUL)) == [
        Said("h", "consul", "[WARN]  agent.server.raft: Election timeout reached, term=4", 2),
        Said("h", "consul", "[INFO]  agent.server: New leader elected: payload=server-gcp-consul-3", 1),
    ]
    assert list(telling("h", "traefik", TRAEFIK)) == [Said("h", "traefik", "ERR Provider error", 1)]
    assert list(telling("h", "consul", "")) == []
