"""The one style of all pictures: a page's width, letters, colours, boxes, and how they become an SVG.

A picture stands on a light ground of its own with a border. It is shown as an image, and an image is not told the
theme of the page around it: ``prefers-color-scheme`` follows the reader's system, which JupyterLab's theme, GitHub's
and a page printed on paper do not. So what is legible once is legible everywhere.

No state is told by its colour alone: there is always a sign or a word beside it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ..topology.nodes import Role

# One colour a role, dark enough for white letters and told apart by those who do not see red and green.
COLOURS: Mapping[Role, str] = {"bastion": "#5b5b5b", "consul": "#b3205a", "traefik": "#1668a8", "web": "#2f7d32"}
SHADES = ("#1668a8", "#b35806", "#2f7d32", "#7b3294", "#b3205a", "#5b5b5b")
INK, PALE, LINE, GROUND = "#222222", "#666666", "#8a8f98", "#ffffff"
GOOD, BAD, NEW, UNSERVED = "#1f6f2b", "#b00020", "#8a5a00", "#8a8a8a"
AREA, BAD_AREA, NEW_AREA = "#f4f6f8", "#fdecea", "#fff4d6"

# Lengths are points, of which a page of 900 pixels has 675: 7 points are letters of 9.3 pixels there.
WIDTH = 675.0
SMALL, TEXT, TITLE = 7.0, 7.6, 10.0
LEAD = 9.6  # from one line of small text to the next
MARGIN = 8.0

Align = Literal["left", "center", "right"]


class Canvas:
    """A page's width to draw on, x to the right and y downwards, in points.

    Args:
        height: of the picture.
    """

    def __init__(self, height: float) -> None:
        self.figure, self.axes = figure(height, plain=True)
        self.axes.set_xlim(0, WIDTH)
        self.axes.set_ylim(height, 0)
        self.axes.axis("off")

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = GROUND,
        edge: str = LINE,
        weight: float = 0.8,
        dashed: bool = False,
    ) -> None:
        """Draw a box with round corners."""
        from matplotlib.patches import FancyBboxPatch

        shape = "round,pad=0,rounding_size=3"
        style = (0, (3, 2)) if dashed else "solid"
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), width, height, boxstyle=shape, facecolor=fill, edgecolor=edge, linewidth=weight, linestyle=style
            )
        )

    def bar(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a bar, which has corners and no border, so that a thin one is seen."""
        from matplotlib.patches import Rectangle

        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor="none"))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = SMALL,
        colour: str = INK,
        align: Align = "left",
        bold: bool = False,
    ) -> None:
        """Write one line, its middle at this height."""
        weight = "bold" if bold else "normal"
        self.axes.text(x, y, words, fontsize=size, color=colour, ha=align, va="center", weight=weight)

    def lines(self, x: float, y: float, many: Iterable[str], **how: Any) -> float:
        """Write lines, the first one's middle at this height; where the next would be."""
        for line in many:
            self.text(x, y, line, **how)
            y += LEAD
        return y

    def line(
        self, start: tuple[float, float], end: tuple[float, float], *, colour: str = INK, arrow: str = "-"
    ) -> None:
        """Draw a line, or an arrow as matplotlib writes its style."""
        style = {"arrowstyle": arrow, "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", end, start, arrowprops=style)

    def mark_new(self, x: float, y: float, width: float, height: float) -> None:
        """Draw an outline around what is new, and the word at its corner."""
        self.box(x - 1.5, y - 1.5, width + 3, height + 3, fill="none", edge=NEW, weight=1.6)
        self.box(x + width - 19, y - 6, 18, 9.5, fill=NEW_AREA, edge=NEW)
        self.text(x + width - 10, y - 1.3, "new", colour=NEW, align="center", bold=True)

    def svg(self) -> str:
        """The picture."""
        return svg(self.figure)


def colour_of(role: str) -> str:
    """A role's colour."""
    return next((colour for known, colour in COLOURS.items() if known == role), INK)


def roles(canvas: Canvas, x: float, y: float) -> float:
    """Write which colour is which role; where whatever follows may begin."""
    for role, colour in COLOURS.items():
        canvas.box(x, y - 4, 8, 8, fill=colour, edge=colour)
        canvas.text(x + 12, y, {"web": "web server"}.get(role, role))
        x += 72
    return x


def figure(height: float, rows: int = 0, columns: int = 0, *, plain: bool = False) -> tuple[Any, Any]:
    """A figure of a page's width with its axes, or with an array of them.

    Args:
        height: in points.
        rows: of an array of axes.
        columns: likewise.
        plain: axes that fill the figure, for what has its own places.
    """
    from matplotlib.figure import Figure

    layout: Literal["constrained"] | None = None if plain else "constrained"
    made = Figure(figsize=(WIDTH / 72, height / 72), layout=layout, facecolor=GROUND, edgecolor=LINE, linewidth=1)
    if plain:
        return made, made.add_axes((0, 0, 1, 1))
    if rows:
        return made, made.subplots(rows, columns, squeeze=False)
    axes = made.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    return made, axes


def svg(drawn: Any) -> str:
    """A figure as an SVG that is the same for the same figure."""
    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text: it can be searched, read aloud and copied.
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "runbook"}):
        drawn.savefig(out, format="svg", metadata={"Date": None}, facecolor=GROUND, edgecolor=LINE)
    text = out.getvalue()
    # Line ends and indentation are a tenth of it, and nobody reads it.
    return "".join(line.strip() + ("" if line.strip().endswith(">") else " ") for line in _body(text)).strip()


def wrapped(words: str, width: float, size: float = SMALL) -> list[str]:
    """A text as lines that are not wider than so many points, by a width of letters that is rather too large."""
    import textwrap

    return textwrap.wrap(words, max(8, int(width / (0.58 * size))), break_on_hyphens=False) or [""]


def columns_of(items: Sequence[Any], many: int) -> list[list[Any]]:
    """Items as rows of so many."""
    return [list(items[start : start + many]) for start in range(0, len(items), many)]


def _body(text: str) -> list[str]:
    return text[text.index("<svg") :].splitlines()
