"""An experiment as it might have been: a web server that hung for three seconds, seen through two load balancers."""

from __future__ import annotations

from typing import Any

from runbook_lib.checks import Checks, equal
from runbook_lib.experiment import Experiment, Said
from runbook_lib.visits import Answer


def answer(traefik: str, server: str, at: float, seconds: float = 0.01) -> Answer:
    """What became of a request; one that no server answered failed."""
    return Answer(traefik, 200 if server else 0, server, seconds, at, "")


ANSWERS = (
    answer("t-1", "web-1", 100.0),
    answer("t-2", "web-2", 101.0),
    answer("t-1", "", 102.5, seconds=4.0),
    answer("t-2", "", 103.0, seconds=4.0),
    answer("t-1", "web-2", 103.5),
    answer("t-2", "web-2", 104.0),
    answer("t-1", "web-1", 106.0),
)


def experiment(**changes: Any) -> Experiment:
    """The record, with some of its fields changed."""
    fields: dict[str, Any] = {
        "fault": "web-1 hangs",
        "answers": ANSWERS,
        "injected": 102.0,
        "settled": 103.5,
        "steady": 103.5,
        "mended": 105.0,
        "hand": "SIGCONT",
        "whole": 106.0,
        "during": Checks([equal("its check", "critical", "critical")]),
        "after": Checks([equal("passing", ["web-1"], ["web-1"])]),
        "spared": frozenset({"t-3"}),
        "said": (Said("web-1", "consul", "[WARN] agent: Check is now critical", 3),),
    }
    return Experiment(**{**fields, **changes})
