"""What Consul's words for a failed question mean; the way itself is tried with real agents in ``test_consul``."""

from __future__ import annotations

import pytest

from runbook_lib import consul_agent


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        ("500 rpc error making call: stream closed", True),
        ("500 rpc error making call: EOF", True),
        ("500 rpc error making call: Permission denied", False),
        ("500 No path to datacenter", False),
        ("500 No cluster leader", False),
    ],
)
def test_only_a_connection_that_a_restart_ended_is_asked_again(message: str, broken: bool) -> None:
    assert consul_agent.is_broken_stream(message) is broken
