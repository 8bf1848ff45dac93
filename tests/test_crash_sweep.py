"""Killed around any call that changes something, and begun again, a run comes to what an uninterrupted one does.

Here some kills by lot; ``make sweep-crashes`` does them all.
"""

from __future__ import annotations

import os

import pytest

from tests.crashes import pool
from tests.crashes.content import Content, Raw, content, differences
from tests.crashes.operators import DEEDS
from tests.crashes.pool import Calls
from tests.crashes.sweep import Outcome

SEED = int(os.environ.get("RUNBOOK_SEED", "20261125"))
KILLS = int(os.environ.get("RUNBOOK_KILLS", "8"))  # of each deed


def vpc(identity: str, name: str = "", state: str = "available") -> dict[str, object]:
    return {"VpcId": identity, "State": state, "Tags": [{"Key": "Name", "Value": name}] if name else []}


def subnet(vpc: str) -> dict[str, object]:
    return {"SubnetId": "subnet-00000001", "VpcId": vpc, "CidrBlock": "10.0.0.0/24", "Tags": []}


RENAMED = [vpc("vpc-44444444", "b"), vpc("vpc-33333333", "a")]
ONE: Raw = {"aws vpcs": [vpc("vpc-11111111", "a"), vpc("vpc-22222222", "b")], "aws subnets": [subnet("vpc-11111111")]}


@pytest.mark.parametrize(
    ("other", "count"),
    [
        # Other identifiers, another order, and what is gone: the same.
        ({"aws vpcs": RENAMED, "aws subnets": [subnet("vpc-33333333")]}, 0),
        ({**ONE, "aws vpcs": [*ONE["aws vpcs"], vpc("vpc-55555555", "c", state="deleted")]}, 0),
        ({**ONE, "aws nat_gateways": []}, 0),
        # Something more, tagged or not; something less; the same in another place.
        ({**ONE, "aws vpcs": [*ONE["aws vpcs"], vpc("vpc-55555555")]}, 1),
        ({**ONE, "aws vpcs": [*ONE["aws vpcs"], vpc("vpc-55555555", "a")]}, 1),
        ({**ONE, "aws subnets": []}, 1),
        ({**ONE, "aws subnets": [subnet("vpc-22222222")]}, 2),
    ],
)
def test_contents_differ_by_what_there_is_and_not_by_what_it_is_called(other: Raw, count: int) -> None:
    known: Content = content(ONE)
    assert len(differences(known, content(other))) == count


@pytest.fixture(scope="module")
def swept() -> tuple[Calls, list[Outcome]]:
    return pool.run(2, KILLS, SEED)


def test_every_kill_happened(swept: tuple[Calls, list[Outcome]]) -> None:
    calls, outcomes = swept
    assert {deed: sum(calls[deed].values()) > 80 for deed in DEEDS} == dict.fromkeys(DEEDS, True)
    assert [outcome.point for outcome in outcomes if not outcome.killed] == []
    assert [sum(outcome.deed == deed for outcome in outcomes) for deed in DEEDS] == [KILLS, KILLS]


def test_the_next_run_makes_both_clouds_as_if_nothing_had_happened(swept: tuple[Calls, list[Outcome]]) -> None:
    assert [outcome for outcome in swept[1] if outcome.faults] == []
