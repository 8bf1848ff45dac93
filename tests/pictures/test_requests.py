from __future__ import annotations

import pytest

from runbook_lib.pictures.outages import fault_chart, outage_chart
from runbook_lib.pictures.requests import answer_chart, request_chart
from runbook_lib.visits import Answer, Outage
from tests.experiments import experiment
from tests.pictures.seen import nothing_is_cut, words


def answer(traefik: str, server: str, at: float = 0.0) -> Answer:
    return Answer(traefik, 200 if server else 502, server, 0.01, at, "")


REFUSED = Answer("t-2", 0, "", 0.01, 0.0, "refused")


def test_answers_are_counted_by_load_balancer_and_server() -> None:
    given = [answer("t-1", "w-1")] * 3 + [answer("t-1", "w-2")] * 4 + [answer("t-2", "w-1")] + [answer("t-2", "")] * 2
    picture = answer_chart([*given, REFUSED])
    assert picture.alt.endswith("t-1: w-1 3, w-2 4; t-2: w-1 1, HTTP 502 2, no answer 1.")
    assert {"t-1", "t-2", "w-1", "w-2", "HTTP 502", "no answer", "3", "4", "1", "2"} <= set(words(picture))


def test_requests_are_shown_over_time_with_failures_marked() -> None:
    given = [
        answer("t-2", "w-1", 104.0),
        answer("t-1", "w-2", 100.0),
        answer("t-1", "", 101.0),
        answer("t-1", "w-2", 102.0),
    ]
    picture = request_chart(given)
    nothing_is_cut(picture)
    assert picture.headline == "4 requests in 4.0 s by load balancer and web server, 1 of them failed."
    assert picture.words == "t-1 → w-2 2; t-1 → HTTP 502 1; t-2 → w-1 1."
    assert {"t-1  →  w-2", "t-1  →  ✗ HTTP 502", "t-2  →  w-1", "2", "1"} <= {
        word.replace("\xa0", " ") for word in words(picture)
    }


def test_an_outage_is_told_in_moments_and_failures() -> None:
    given = [answer("t-1", name, float(at)) for at, name in enumerate(["w-1", "w-2", "", "w-2", "w-1"], start=100)]
    picture = outage_chart(Outage("w-1", tuple(given), stopped=101.5, left=102.5, started=103.0, returned=104.0))
    assert "5 requests while w-1 was stopped and started" in picture.alt
    assert "left after 2.5 s" in picture.alt
    assert "1 failed in all" in picture.alt
    assert {"t-1  →  w-1", "t-1  →  w-2", "t-1  →  failed", "stopped", "left", "started", "returned"} <= set(
        words(picture)
    )


def test_a_fault_is_told_in_moments_and_failures() -> None:
    picture = fault_chart(experiment())
    assert picture.alt == (
        "web-1 hangs: 7 requests, 5 of them since; broken after 2.0 s, steady after 3.5 s, mended after 5.0 s, "
        "whole after 6.0 s. Failed: t-1 1, t-2 1."
    )
    assert {"t-1  →  failed", "t-2  →  web-2", "broken", "steady", "mended", "whole"} <= set(words(picture))
    alone = words(fault_chart(experiment(mended=None, hand="")))
    assert {"broken", "whole"} <= set(alone)
    assert not {"steady", "mended"} & set(alone)


@pytest.mark.parametrize("chart", [answer_chart, request_chart])
def test_charts_of_nothing_are_still_charts(chart: object) -> None:
    assert callable(chart)
    assert words(chart([]))


def test_spans_of_nothing_are_still_charts() -> None:
    assert words(outage_chart(Outage("w-1", (), 1.0, 2.0, 3.0, 4.0)))
    assert words(fault_chart(experiment(answers=())))


def test_the_same_picture_is_the_same_file() -> None:
    given = [answer("t-1", "w-1")]
    assert request_chart(given).svg == request_chart(given).svg
