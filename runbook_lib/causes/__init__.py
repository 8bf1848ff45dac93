"""Why a check may have seen something else than it expected, and where to look, by the check's name.

What is to be looked at is a line for a cell of the same notebook: it works on real clouds as in the lab, and it only
looks. The table is in ``table``; everything here is pure.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .table import TABLE


@dataclass(frozen=True, slots=True)
class Advice:
    """What to think of, and where to look.

    Args:
        about: names of the checks that it is for.
        causes: what is likely, the likeliest first.
        look: lines of code for a cell of the same notebook.
    """

    about: tuple[str, ...]
    causes: tuple[str, ...]
    look: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{'; '.join(self.about)}: likely causes",
                *(f"  - {cause}" for cause in self.causes),
                "  where to look (a line a cell, in this notebook):",
                *(f"    {line}" for line in self.look),
            ]
        )

    def _repr_html_(self) -> str:
        causes = "".join(f"<li>{html.escape(cause)}</li>" for cause in self.causes)
        return (
            f"<p><b>{html.escape('; '.join(self.about))}</b>: likely causes</p><ul>{causes}</ul>"
            f"<p>Where to look (a line a cell, in this notebook):</p><pre>{html.escape(chr(10).join(self.look))}</pre>"
        )


def advice(names: Iterable[str]) -> tuple[Advice, ...]:
    """Advice for checks of these names, once for all that share it, in the order of the names.

    Where several share it, the lines to paste are for the first. For a name that is not in the table there is none.
    """
    shared: dict[int, list[tuple[str, Mapping[str, str | None]]]] = {}
    for name in names:
        for number, (pattern, _, _) in enumerate(TABLE):
            if match := re.fullmatch(pattern, name):
                shared.setdefault(number, []).append((name, match.groupdict()))
                break
    return tuple(_advice(number, found) for number, found in shared.items())


def _advice(number: int, found: list[tuple[str, Mapping[str, str | None]]]) -> Advice:
    _, causes, look = TABLE[number]
    return Advice(tuple(name for name, _ in found), causes, tuple(_filled(line, found[0][1]) for line in look))


def _filled(line: str, parts: Mapping[str, str | None]) -> str:
    for name, value in parts.items():
        line = line.replace(f"<{name}>", value or "")
    return line
