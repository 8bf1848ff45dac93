"""What checkers make of Consul's answers and agents' logs."""

from __future__ import annotations

import pytest

from runbook_lib.exercises.resilience import _last_time
from runbook_lib.exercises.serving import Instance, Reply

ALIVE = {"serfHealth": "passing"}


@pytest.mark.parametrize(
    ("checks", "passing", "resting", "own"),
    [
        ({"service:demo": "passing"}, True, False, {"passing"}),
        ({"service:demo": "critical"}, False, False, {"critical"}),
        ({"service:demo": "passing", "_service_maintenance:demo": "critical"}, False, True, {"passing"}),
        ({"service:demo": "passing", "_node_maintenance": "critical"}, False, True, {"passing"}),
        ({"service:demo": "critical", "_node_maintenance": "critical"}, False, True, {"critical"}),
        ({}, True, False, set()),
    ],
)
def test_maintenance_is_told_from_a_check_that_fails(
    checks: dict[str, str], passing: bool, resting: bool, own: set[str]
) -> None:
    one = Instance("server-gcp-test-1", (), ALIVE | checks)
    assert (one.passing, one.in_maintenance, {*one.own.values()}) == (passing, resting, own)


def test_a_node_that_is_away_is_no_failing_check() -> None:
    one = Instance("server-gcp-test-1", (), {"serfHealth": "critical", "service:demo": "passing"})
    assert not one.passing and {*one.own.values()} == {"passing"}


@pytest.mark.parametrize(
    ("reply", "words"), [(Reply(200, "hello"), "200 hello"), (Reply(502, ""), "502"), (Reply(0, ""), "no answer")]
)
def test_a_reply_says_what_a_visitor_got(reply: Reply, words: str) -> None:
    assert str(reply) == words


@pytest.mark.parametrize(
    ("log", "time"),
    [
        ("    2026-11-25T23:25:20.911Z [INFO]  agent.server: cluster leadership acquired\n", "2026-11-25T23:25:20.911"),
        (
            "2026-11-25T23:41:08.234Z [INFO]  agent: Exit code: code=1\n==> a line without a time\n"
            "    2026-11-25T23:41:07.7Z [WARN]  later in the file, but said before\n",
            "2026-11-25T23:41:08.234",
        ),
        ("==> Consul agent running!\n", ""),
        ("", ""),
    ],
)
def test_the_latest_time_of_a_log(log: str, time: str) -> None:
    assert _last_time(log) == time
