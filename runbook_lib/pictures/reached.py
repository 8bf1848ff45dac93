"""What reached what: the probes of all ports between all hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..matrix import Matrix
from ..reach import Probe
from . import drawing as d
from .picture import Picture

# A cell's marks are bits: nothing was sent, it was sent and dropped, TCP or UDP arrived, not as it should be.
_EMPTY, _SENT, _TCP, _UDP, _WRONG = 0, 1, 2, 4, 8
_MARKS: Mapping[str, tuple[int, str]] = {
    "not sent": (_EMPTY, "#ffffff"),
    "dropped": (_SENT, "#e4e4e4"),
    "TCP arrived": (_SENT | _TCP, "#8cbfe6"),
    "UDP arrived": (_SENT | _UDP, "#f3b562"),
    "both arrived": (_SENT | _TCP | _UDP, "#1668a8"),
    "mismatch": (_SENT | _WRONG, d.BAD),
}


def reach_chart(matrix: Matrix) -> Picture:
    """What reached what: a panel a port, a row a kind of sender, a column a kind of receiver; mismatches are red."""
    kinds = matrix.kinds
    senders = sorted({kinds[probe.source] for probe in matrix.expected})
    receivers = sorted({_receiver(kinds, probe) for probe in matrix.expected})
    ports = list(dict.fromkeys(probe.port for probe in matrix.expected))
    wide = min(4, len(ports))
    tall = -(-len(ports) // wide)
    figure, panels = d.figure(115 + 150 * tall, tall, wide)
    for place, (axes, port) in enumerate(zip(panels.flat, ports, strict=False)):
        grid = [[_EMPTY] * len(receivers) for _ in senders]
        for probe in (one for one in matrix.expected if one.port == port):
            row, column = senders.index(kinds[probe.source]), receivers.index(_receiver(kinds, probe))
            grid[row][column] |= _mark(matrix, probe)
        _panel(axes, grid)
        axes.set_title(f"port {port}", fontsize=d.TEXT)
        # Names stand at the outer panels alone.
        left, last = place % wide == 0, place + wide >= len(ports)
        axes.set_yticks(_middles(senders) if left else [], senders if left else [], fontsize=d.SMALL)
        axes.set_xticks(_middles(receivers) if last else [], receivers if last else [], fontsize=d.SMALL, rotation=90)
    for axes in list(panels.flat)[len(ports) :]:
        axes.axis("off")
    figure.legend(handles=_legend(), loc="outside upper center", ncols=6, frameon=False, fontsize=d.SMALL)
    figure.supxlabel("sent to", fontsize=d.TEXT)
    figure.supylabel("sent from", fontsize=d.TEXT)
    return Picture(d.svg(figure), "Packets by kind of host.", f"{'; '.join(map(str.strip, str(matrix).splitlines()))}.")


def _receiver(kinds: Mapping[str, str], probe: Probe) -> str:
    return kinds[probe.to] + (", public" if probe.way == "public" else "")


def _mark(matrix: Matrix, probe: Probe) -> int:
    arrived = probe in matrix.arrived
    seen = (_TCP if probe.protocol == "tcp" else _UDP) if arrived else _EMPTY
    return _SENT | seen | (_WRONG if arrived != matrix.expected[probe] else _EMPTY)


def _panel(axes: Any, grid: Sequence[Sequence[int]]) -> None:
    from matplotlib.colors import ListedColormap

    order = [bits for bits, _ in _MARKS.values()]
    shown = [[len(order) - 1 if bits & _WRONG else order.index(bits) for bits in row] for row in grid]
    colours = ListedColormap([colour for _, colour in _MARKS.values()])
    axes.pcolormesh(shown, cmap=colours, vmin=-0.5, vmax=len(order) - 0.5, edgecolors="white", linewidth=0.8)
    for row, marks in enumerate(shown):
        for column, mark in enumerate(marks):
            if mark == len(order) - 1:  # a red cell is told by its sign, too
                axes.text(column + 0.5, row + 0.5, "✗", ha="center", va="center", fontsize=d.SMALL, color="white")
    axes.invert_yaxis()


def _middles(cells: Sequence[str]) -> list[float]:
    return [place + 0.5 for place in range(len(cells))]


def _legend() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=colour, edgecolor="#bbbbbb", label=name) for name, (_, colour) in _MARKS.items()]
