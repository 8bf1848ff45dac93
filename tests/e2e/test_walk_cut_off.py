"""What stands after the walk while the VPN is cut: nothing crosses, each side goes on, and both meet again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.operators import Operator
from tests.e2e.records import Run

CENTERS = {"aws": "us-west-2", "gcp": "europe-west1"}


def eventually(look: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Bounded waiting; what is asserted is that it happens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if look():
            return
        time.sleep(0.5)
    pytest.fail(f"did not happen: {what}")


@pytest.fixture(scope="class")
def cut(walk: Run, operator: Operator) -> Iterator[None]:
    done = operator.runbook("lab", "vpn", "down", "--name", operator.lab.name)
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        done = operator.runbook("lab", "vpn", "up", "--name", operator.lab.name)
        assert done.returncode == 0, done.stderr


def across(operator: Operator, cloud: str) -> bool:
    """Whether a server gets an answer from the other datacenter."""
    other = CENTERS["gcp" if cloud == "aws" else "aws"]
    url = f"http://127.0.0.1:8500/v1/catalog/service/consul?dc={other}"
    ask = f"curl -s --max-time 2 -o /dev/null -w '%{{http_code}}' '{url}'"
    return operator.inside(f"server-{cloud}-consul-1", ask).stdout == "200"


def alive(operator: Operator, cloud: str) -> int:
    text = operator.asked(f"server-{cloud}-consul-1", "consul members -wan")
    return sum(line.split()[2] == "alive" for line in text.splitlines()[1:])


@pytest.mark.usefixtures("cut")
class TestCut:
    def test_no_question_crosses(self, operator: Operator) -> None:
        for cloud in CENTERS:
            eventually(lambda cloud=cloud: not across(operator, cloud), f"{cloud} to be cut off")  # type: ignore[misc]

    @pytest.mark.parametrize("cloud", CENTERS)
    def test_each_side_goes_on_with_its_own_web_servers(self, operator: Operator, cloud: str) -> None:
        for node in operator.nodes(f"server-{cloud}-traefik-"):
            pages: set[str] = set()

            def both(url: str = f"http://{node['public_ip']}/", pages: set[str] = pages) -> bool:
                page = operator.visit(url, "-H", "Host: demo.exemple.com").stdout.strip()
                pages |= {page} if page.startswith("welcome to webserver") else set()
                return len(pages) == 2

            eventually(both, f"{node['name']} to lead to both web servers of {cloud}")


def test_the_two_sides_meet_again(walk: Run, operator: Operator) -> None:
    """Runs after the cut, whose fixture has healed it."""
    for cloud in CENTERS:
        eventually(lambda cloud=cloud: across(operator, cloud), f"{cloud} to ask across again")  # type: ignore[misc]
        eventually(lambda cloud=cloud: alive(operator, cloud) == 6, f"six servers alive in {cloud}'s view")  # type: ignore[misc]
