"""Judging what the clouds said, without them."""

from __future__ import annotations

import pytest

from runbook_lib import console
from runbook_lib.clouds.aws.survey import principal
from runbook_lib.clouds.survey import ADDRESSES, CPUS, Quota
from runbook_lib.doctor import Finding, demand, judge_names, judge_permissions, judge_quotas
from runbook_lib.params import Params
from runbook_lib.resources import Found
from runbook_lib.topology import Topology, topology


@pytest.fixture
def wanted() -> Topology:
    return topology(Params(deployment="blue"), public_key="ssh-ed25519 none", script=lambda *_: "")


def test_what_stands_already_is_not_asked_for(wanted: Topology) -> None:
    every = demand(wanted, "gcp", {})
    assert (every["network"], every["vpn_tunnel"], every["instance"], every[CPUS], every[ADDRESSES]) == (1, 4, 8, 8, 3)
    bastion = "gcp:instance:blue-bastion-gcp"
    left = demand(wanted, "gcp", {bastion: Found(bastion, "1")})
    assert (left["instance"], left[CPUS], left[ADDRESSES]) == (7, 7, 2)


@pytest.mark.parametrize(("limit", "ok"), [(15, False), (17, False), (18, True)])
def test_a_quota_needs_room_for_all_that_is_missing(wanted: Topology, limit: int, ok: bool) -> None:
    (finding,) = judge_quotas("aws", [Quota("vCPUs", CPUS, limit, used=2, each=2)], wanted, {})
    assert (finding.ok, finding.expected, finding.seen) == (ok, "room for 16 more", f"2 of {limit} used")
    assert ("ask for 18" in finding.remedy) is not ok


def test_a_quota_already_exceeded_is_no_matter_if_nothing_more_is_wanted(wanted: Topology) -> None:
    found = {resource.key: Found(resource.key, "1") for resource in wanted.resources}
    (finding,) = judge_quotas("aws", [Quota("VPCs", "vpc", 5, used=6)], wanted, found)
    assert finding.ok


def test_long_lists_are_cut() -> None:
    finding = judge_permissions("gcp", tuple(f"compute.things.verb{n}" for n in range(9)))
    assert finding.seen.startswith("9 missing: compute.things.verb0, ")
    assert finding.seen.endswith("verb5 and 3 more")
    assert judge_permissions("gcp", ()).ok


def test_free_names_are_well() -> None:
    assert judge_names("aws", ()).ok
    assert judge_names("aws", ("aws:key_pair:blue-operator",)).seen == "others have: aws:key_pair:blue-operator"


@pytest.mark.parametrize(
    ("caller", "asked"),
    [
        ("arn:aws:iam::1:user/me", "arn:aws:iam::1:user/me"),
        ("arn:aws:sts::1:assumed-role/Admin/me@example.com", "arn:aws:iam::1:role/Admin"),
        ("arn:aws-cn:sts::1:assumed-role/Admin/s", "arn:aws-cn:iam::1:role/Admin"),
    ],
)
def test_a_session_is_asked_about_as_its_role(caller: str, asked: str) -> None:
    assert principal(caller) == asked


def test_findings_are_shown_and_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    amiss = console.findings(
        [Finding("aws", "names", "free", "they are", True), Finding("gcp", "names", "free", "not", False, "rename")]
    )
    assert amiss == 1
    good, bad = [line for line in capsys.readouterr().out.splitlines() if "│ names" in line]
    assert "✓" in good
    assert "✗" in bad
    assert "rename" in bad
