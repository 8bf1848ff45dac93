"""Requests to the load balancers: how many each web server answered, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ..visits import Answer
from . import drawing as d
from .picture import Picture

_ROW = 15.0  # points


def request_chart(answers: Sequence[Answer]) -> Picture:
    """Each request over time: a row for each load balancer and web server, a cross for each that none answered.

    Args:
        answers: requests in any order; of as many load balancers as one likes.
    """
    every = sorted(answers, key=lambda answer: answer.at)
    rows = Counter((a.traefik, _answered_by(a)) for a in every)
    served = {_answered_by(a) for a in every if a.ok}
    order = sorted(rows, key=lambda row: (row[0], row[1] not in served, row[1]))
    shades = {server: d.SHADES[place % len(d.SHADES)] for place, server in enumerate(sorted(served))}
    origin = every[0].at if every else 0.0
    figure, axes = d.figure(62 + _ROW * max(1, len(order)))
    for place, (balancer, server) in enumerate(order):
        times = [a.at - origin for a in every if (a.traefik, _answered_by(a)) == (balancer, server)]
        good = server in served
        axes.scatter(times, [place] * len(times), s=16, color=shades.get(server, d.BAD), marker="o" if good else "x")
        colour = d.INK if good else d.BAD
        axes.annotate(
            f"{len(times)}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            fontsize=d.SMALL,
            va="center",
            color=colour,
        )
    axes.set_yticks(range(len(order)), [_row(*row, row[1] in served) for row in order], fontsize=d.SMALL)
    axes.set_ylim(max(0, len(order) - 1) + 0.6, -0.6)
    for place, (above, below) in enumerate(pairwise(order)):
        if above[0] != below[0]:
            axes.axhline(place + 0.5, color=d.LINE, linewidth=0.6)
    axes.set_xlabel("seconds since the first request; at the right, how many in all", fontsize=d.SMALL)
    failed = sum(not a.ok for a in every)
    seconds = every[-1].at - origin if every else 0.0
    told = "; ".join(f"{balancer} → {server} {rows[balancer, server]}" for balancer, server in order)
    headline = f"{len(every)} requests in {seconds:.1f} s by load balancer and web server, {failed} of them failed."
    return Picture(d.svg(figure), headline, f"{told}." if told else "")


def answer_chart(answers: Sequence[Answer]) -> Picture:
    """How many requests each web server answered behind each load balancer; what no web server answered is grey."""
    count = Counter((a.traefik, _answered_by(a)) for a in answers)
    served = {_answered_by(a) for a in answers if a.ok}
    balancers = sorted({t for t, _ in count})
    servers = sorted({s for _, s in count}, key=lambda s: (s not in served, s))
    figure, axes = d.figure(65 + 38 * max(1, len(balancers)))
    for place, server in enumerate(servers):
        widths = [count[(balancer, server)] for balancer in balancers]
        before = [sum(count[(balancer, other)] for other in servers[:place]) for balancer in balancers]
        colour = d.SHADES[place % len(d.SHADES)] if server in served else d.UNSERVED
        bars = axes.barh(balancers, widths, left=before, color=colour, edgecolor="white", label=server)
        axes.bar_label(
            bars, [str(width) if width else "" for width in widths], label_type="center", color="white", fontsize=d.TEXT
        )
    axes.invert_yaxis()
    axes.set_xlabel("requests", fontsize=d.SMALL)
    if servers:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=d.SMALL)
    alt = "; ".join(f"{t}: {', '.join(f'{s} {count[(t, s)]}' for s in servers if count[(t, s)])}" for t in balancers)
    return Picture(d.svg(figure), "Requests by load balancer and web server.", f"{alt}.")


def _row(balancer: str, server: str, good: bool) -> str:
    return f"{balancer}  →  {'' if good else '✗ '}{server}"


def _answered_by(answer: Answer) -> str:
    return answer.server or (f"HTTP {answer.status}" if answer.status else "no answer")
