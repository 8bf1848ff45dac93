"""The matrix's verdicts; that its packets travel is for tests/e2e, on real networks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from runbook_lib import matrix
from runbook_lib.checks import require
from runbook_lib.errors import CheckFailed, PrerequisiteError
from runbook_lib.matrix import Matrix
from runbook_lib.params import Params
from runbook_lib.pictures.reached import reach_chart
from runbook_lib.reach import VISITOR, Policy, Probe, probes
from tests.pictures.seen import words
from tests.standing import site_of
from tests.test_reach import HOSTS, host

EXPECTED = {one: Policy.of(Params(), HOSTS).passes(one) for one in probes(HOSTS)}
AGREEING = Matrix(HOSTS, EXPECTED, frozenset(one for one, passes in EXPECTED.items() if passes))
OPEN = Probe("aws-web-1", "aws-consul-1", "private", "tcp", 8300)
CLOSED = Probe(VISITOR, "gcp-bastion-2", "public", "tcp", 8500)


def test_agreement() -> None:
    require(matrix.checks(AGREEING))
    text = str(AGREEING)
    assert text.startswith(f"{len(EXPECTED)} probes, {len(AGREEING.arrived)} arrived, 0 mismatches")
    assert "  aws web → aws consul: 8300/tcp, 8301/tcp, 8301/udp" in text.splitlines()
    assert "  visitor → gcp bastion (public address): 22/tcp" in text.splitlines()


@pytest.mark.parametrize(
    ("arrived", "said"),
    [
        (AGREEING.arrived | {CLOSED}, "✗ arrived against the table: visitor → gcp-bastion-2 tcp 8500"),
        (AGREEING.arrived - {OPEN}, "✗ did not arrive: aws-web-1 → aws-consul-1 tcp 8300"),
        (frozenset[Probe](), "✗ did not arrive: aws-web-1 → aws-consul-1 tcp 8300"),
    ],
    ids=["too much", "too little", "nothing"],
)
def test_disagreement_is_named_and_fails(arrived: frozenset[Probe], said: str) -> None:
    seen = replace(AGREEING, arrived=arrived)
    assert f"  {said}" in str(seen).splitlines()
    with pytest.raises(CheckFailed, match=re.escape(said.partition(": ")[2])):
        require(matrix.checks(seen))


def test_the_chart_shows_each_port_and_says_the_same_in_words() -> None:
    picture = reach_chart(AGREEING)
    shown = words(picture)
    assert {"port 22", "port 31337", "aws consul", "gcp bastion, public", "visitor", "dropped"} <= set(shown)
    assert "✗" not in shown
    assert "0 mismatches" in picture.alt
    wrong = reach_chart(replace(AGREEING, arrived=AGREEING.arrived - {OPEN}))
    assert words(wrong).count("✗") == 1
    assert "did not arrive: aws-web-1 → aws-consul-1 tcp 8300" in wrong.alt


def test_without_hosts_there_is_nothing_to_probe() -> None:
    with pytest.raises(PrerequisiteError, match="nothing to probe"):
        matrix.probe(site_of({}))


def test_hosts_are_told_by_cloud_and_role() -> None:
    assert AGREEING.kinds[host("gcp", "web").name] == "gcp web"
    assert AGREEING.kinds[VISITOR] == VISITOR
