"""Requests over time while something was out of order, with the moments that count."""

from __future__ import annotations

from collections.abc import Sequence

from ..experiment import Experiment
from ..visits import Answer, Outage
from . import drawing as d
from .picture import Picture


def outage_chart(seen: Outage) -> Picture:
    """Each request over time, by the web server that answered, while one of them was stopped and started."""
    marks = (("stopped", seen.stopped), ("left", seen.left), ("started", seen.started), ("returned", seen.returned))
    svg, origin = _timeline(seen.answers, marks, special=seen.server)
    failed = sum(not a.ok for a in seen.answers)
    return Picture(
        svg,
        f"{len(seen.answers)} requests while {seen.server} was stopped and started:",
        f"{_spans(marks, origin)}; {failed} failed in all.",
    )


def fault_chart(seen: Experiment) -> Picture:
    """Each request over time, by the web server that answered, while something was broken until all was whole."""
    hand = [("steady", seen.steady), ("mended", seen.mended)] if seen.mended else []
    marks = [("broken", seen.injected), *hand, ("whole", seen.whole)]
    svg, origin = _timeline(seen.answers, marks)
    failed = ", ".join(f"{name} {count}" for name, count in sorted(seen.failed.items())) or "none"
    return Picture(
        svg,
        f"{seen.fault}: {len(seen.answers)} requests, {len(seen.since)} of them since;",
        f"{_spans(marks, origin)}. Failed: {failed}.",
    )


def _timeline(answers: Sequence[Answer], marks: Sequence[tuple[str, float]], special: str = "") -> tuple[str, float]:
    """A drawn row of requests for each load balancer and answering server; and the moment that is its zero."""
    origin = answers[0].at if answers else marks[0][1]
    rows = sorted({(a.traefik, a.server or "failed") for a in answers})
    figure, axes = d.figure(84 + 20 * max(1, len(rows)))
    for place, (traefik, server) in enumerate(rows):
        times = [a.at - origin for a in answers if (a.traefik, a.server or "failed") == (traefik, server)]
        colour = d.BAD if server == "failed" else d.COLOURS["web"] if server == special else d.COLOURS["traefik"]
        axes.scatter(times, [place] * len(times), s=14, color=colour, marker="x" if server == "failed" else "o")
    axes.set_yticks(range(len(rows)), [f"{traefik}  →  {server}" for traefik, server in rows], fontsize=d.SMALL)
    for place, (word, moment) in enumerate(marks):
        axes.axvline(moment - origin, color=d.LINE, linewidth=0.8, linestyle="--")
        # In two rows, as moments may lie close together.
        high = 1.01 + place % 2 * 0.8 / max(3, len(rows))
        axes.annotate(word, (moment - origin, high), xycoords=("data", "axes fraction"), fontsize=d.SMALL, rotation=20)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("seconds", fontsize=d.SMALL)
    return d.svg(figure), origin


def _spans(marks: Sequence[tuple[str, float]], origin: float) -> str:
    return ", ".join(f"{word} after {moment - origin:.1f} s" for word, moment in marks)
