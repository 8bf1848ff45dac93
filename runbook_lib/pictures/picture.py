"""What a notebook keeps of a picture: the image, and words for whoever does not see it."""

from __future__ import annotations

import html
from urllib.parse import quote

# What may stand in a data: address that is an attribute's value. Leaving blanks and names as they are keeps it short,
# and lets a search, or whoever takes secrets out of records, find words in it.
_SAFE = " !$'()*+,-./:;=?@_~"


class Picture:
    """An SVG image with its text alternative.

    It is shown as HTML, once: an ``image/svg+xml`` output would be given to the reader as an image without any text
    alternative by JupyterLab and by nbconvert, and not at all where a notebook is not trusted. An ``img`` with a
    ``data:`` address passes JupyterLab's sanitizer and the policy of our own pages, runs nothing, and carries its
    alternative. A screen reader reads out the headline, and the rest when its reader unfolds it.

    Args:
        svg: the image.
        headline: what it shows, in a sentence.
        words: all of what it shows, in words; several lines if need be.
    """

    def __init__(self, svg: str, headline: str, words: str = "") -> None:
        self.headline, self.words = headline, words
        label = html.escape(headline, quote=True)
        self.svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)

    @property
    def alt(self) -> str:
        """The headline and everything else, as text."""
        return f"{self.headline} {self.words}".rstrip()

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.words}".rstrip()

    def _repr_html_(self) -> str:
        source = html.escape(f"data:image/svg+xml,{quote(self.svg, safe=_SAFE)}")
        label = html.escape(self.headline, quote=True)
        image = f'<img alt="{label}" src="{source}" style="max-width:100%;height:auto">'
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self.words.splitlines() if line)
        more = f"<details><summary>In words</summary>{lines}</details>" if lines else ""
        return f'<figure style="margin:0">{image}<figcaption>{more}</figcaption></figure>'
