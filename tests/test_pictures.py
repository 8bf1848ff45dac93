from __future__ import annotations

import xml.etree.ElementTree as ET

from runbook_lib.pictures import Picture, answer_chart, outage_chart
from runbook_lib.visits import Answer, Outage


def answer(traefik: str, server: str, at: float = 0.0) -> Answer:
    return Answer(traefik, 200 if server else 502, server, 0.01, at, "")


def words(picture: Picture) -> list[str]:
    """All text in the image; fails on an SVG that is not well-formed."""
    root = ET.fromstring(picture._repr_svg_())
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt == repr(picture)
    return ["".join(part.itertext()).strip() for part in root.iter("{http://www.w3.org/2000/svg}text")]


def test_answers_are_counted_by_load_balancer_and_server() -> None:
    given = [answer("t-1", "w-1")] * 3 + [answer("t-1", "w-2")] * 4 + [answer("t-2", "w-1")] + [answer("t-2", "")] * 2
    given.append(Answer("t-2", 0, "", 0.01, 0.0, "refused"))
    picture = answer_chart(given)
    assert picture.alt.endswith("t-1: w-1 3, w-2 4; t-2: w-1 1, HTTP 502 2, no answer 1.")
    assert {"t-1", "t-2", "w-1", "w-2", "HTTP 502", "no answer", "3", "4", "1", "2"} <= set(words(picture))


def test_an_outage_is_told_in_moments_and_failures() -> None:
    given = [answer("t-1", name, float(at)) for at, name in enumerate(["w-1", "w-2", "", "w-2", "w-1"], start=100)]
    picture = outage_chart(Outage("w-1", tuple(given), stopped=101.5, left=102.5, started=103.0, returned=104.0))
    assert "5 requests while w-1 was stopped and started" in picture.alt
    assert "left after 2.5 s" in picture.alt
    assert "1 failed in all" in picture.alt
    assert {"t-1  →  w-1", "t-1  →  w-2", "t-1  →  failed", "stopped", "left", "started", "returned"} <= set(
        words(picture)
    )


def test_charts_of_nothing_are_still_charts() -> None:
    assert words(answer_chart([]))
    assert words(outage_chart(Outage("w-1", (), 1.0, 2.0, 3.0, 4.0)))


def test_the_same_picture_is_the_same_file() -> None:
    given = [answer("t-1", "w-1")]
    assert answer_chart(given).svg == answer_chart(given).svg


def test_words_of_a_picture_cannot_break_out() -> None:
    picture = Picture("<svg xmlns='http://www.w3.org/2000/svg'></svg>", 'a "quoted" <b>')
    assert words(picture) == []
