"""HTML that any page can hold: never wider than the page, in the page's own colours."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence

_CELL = "text-align:left;vertical-align:top;overflow-wrap:anywhere"
_TITLE = "text-align:left;vertical-align:top;white-space:nowrap"  # a few words at most
_SPARED = 14  # characters that a column keeps beside a long one: it wraps, but not to a letter a line
_MARKED = " style='background:rgba(255,170,0,.25);font-weight:bold'"  # translucent: on light pages and on dark ones
_PRE = "max-height:30em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", marked: Collection[int] = ()) -> str:
    """A table.

    Args:
        titles: one a column.
        rows: texts, which are escaped here.
        caption: what it shows.
        marked: numbers of rows to look at first. The mark is for the eye alone: a cell has to say why.
    """
    every = [tuple(titles), *map(tuple, rows)]
    widths = [min(_SPARED, max(map(len, column))) for column in zip(*every, strict=True)]
    head = "".join(
        f"<th scope='col' style='{_TITLE};min-width:{width}ch'>{html.escape(title)}</th>"
        for title, width in zip(titles, widths, strict=True)
    )
    body = "".join(
        f"<tr{_MARKED if number in marked else ''}>"
        + "".join(f"<td style='{_CELL}'>{html.escape(text)}</td>" for text in row)
        + "</tr>"
        for number, row in enumerate(every[1:])
    )
    title = f"<caption style='text-align:left'>{html.escape(caption)}</caption>" if caption else ""
    return (
        f"<div style='max-width:100%;overflow-x:auto'><table>{title}<thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def pre(text: str) -> str:
    """A text as it is, its long lines wrapped; a long one is scrolled."""
    return f"<pre style='{_PRE}'>{html.escape(text)}</pre>"
