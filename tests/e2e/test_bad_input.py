"""What cannot be is refused in one clear message, before anything is created."""

from __future__ import annotations

import pytest

from tests.e2e.operators import Operator

REFUSED = {
    "a misspelt parameter": (("-p", "consul_server", "3"), 2, ("no parameter called consul_server", "consul_servers?")),
    "a step that is none": (("06_party",), 2, ("no step called 06_party", "05_teardown")),
    "an even number of servers": (("-p", "consul_servers", "4"), 2, ("consul_servers", "odd", "4")),
    "a wrong type": (("-p", "traefiks", "two"), 2, ("traefiks", "'two'")),
    "overlapping networks": (
        ("-p", "gcp_private_subnet", "172.30.3.128/26"),
        2,
        ("gcp_private_subnet", "overlap", "172.30.3.0/24"),
    ),
    "a network too small": (("-p", "aws_network", "172.30.3.0/26"), 2, ("aws_network", "/25")),
    "a bad domain": (("-p", "domain", "not a domain"), 2, ("domain", "exemple.com")),
    "a missing parameter file": (("-f", "no-such-file.yaml"), 2, ("no-such-file.yaml", "No such file")),
    "missing AWS credentials": (("-p", "aws_credentials", "/no/such/file"), 1, ("aws_credentials", "/no/such/file")),
    "missing Google credentials": (("-p", "gcp_credentials", "/no/such/file"), 1, ("gcp_credentials", "/no/such/file")),
    "a zone that is not there": (
        ("-p", "gcp_zones", "[europe-west1-b, europe-west1-z]"),
        1,
        ("gcp_zones", "europe-west1-z"),
    ),
}


@pytest.mark.parametrize(("words", "code", "parts"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_nothing_is_created(
    operator: Operator, words: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    run = operator.run(*words, "-p", "deployment", "refused", deployment="refused")
    assert run.done.returncode == code, run.said
    assert not [part for part in parts if part not in run.said], run.said
    assert "Traceback" not in run.said
    assert operator.nodes("refused-") == []
    if code == 2:
        assert run.folder is None, "a run was begun"


def test_a_step_before_its_time_names_the_one_that_is_missing(operator: Operator) -> None:
    run = operator.run("03", "-p", "deployment", "refused", deployment="refused")
    assert run.done.returncode == 1
    assert "00_provision has not run" in run.said
    assert "run 00_provision first" in run.said
    assert run.record["steps"][0]["outcome"] == "failed"
    # This, and whatever was refused before.
    assert operator.resources("refused") == set()
