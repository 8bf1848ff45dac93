"""Calls that change something are counted by action; questions and dry runs are not."""

from __future__ import annotations

import json
from pathlib import Path

from runbook_lib.lab.calls import Answer, Call
from runbook_lib.lab.counts import REPORT, Counts, Tally, read, total

CALLS = (
    Call("aws", "ec2:CreateVpc", writes=True, body=b"Action=CreateVpc&CidrBlock=10.0.0.0/16"),
    Call("aws", "ec2:CreateVpc", writes=True, body=b"Action=CreateVpc&CidrBlock=10.1.0.0/16"),
    Call("aws", "ec2:RunInstances", writes=True, body=b"Action=RunInstances&DryRun=true"),
    Call("aws", "ec2:DescribeVpcs", writes=False),
    Call("gcp", "compute.networks.insert", writes=True),
    Call("gcp", "compute.networks.get", writes=False),
)


def test_mutating_calls_are_counted_and_told_before_they_are_answered(tmp_path: Path) -> None:
    assert total(read(tmp_path)) == 0

    def report(tally: Tally) -> None:
        (tmp_path / REPORT).write_text(json.dumps(tally))

    counts, told = Counts(report), []

    def serve() -> Answer:
        told.append(total(read(tmp_path)))
        return Answer("200 OK", (), b"")

    for call in CALLS:
        assert counts(call, serve).status == "200 OK"
    assert told == [1, 2, 2, 2, 3, 3]
    assert counts.tally == read(tmp_path) == {"aws": {"ec2:CreateVpc": 2}, "gcp": {"compute.networks.insert": 1}}
    assert (counts.total(), counts.total("aws"), counts.total("gcp")) == (3, 2, 1)
