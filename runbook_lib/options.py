"""Command-line options that several commands have, and the parameters that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .archive.notebooks import outputs

if TYPE_CHECKING:
    from .params import Params

PARAMETER_FILES = click.option(
    "-f",
    "--parameters-file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="YAML parameter file; later ones win. Without any, the defaults, which are the lab's.",
)
PARAMETERS = click.option(
    "-p",
    "--parameter",
    "values",
    multiple=True,
    nargs=2,
    metavar="NAME VALUE",
    help="One parameter; wins over the files.",
)
OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=outputs,
    help="Folder for the records; each deployment has its own in it.",
    show_default="the clone's outputs/, or what RUNBOOK_OUTPUT says",
)


def resolve(files: Sequence[Path], values: Sequence[tuple[str, str]], given: Mapping[str, Any] | None = None) -> Params:
    """The parameters that files and single values give.

    Args:
        files: what ``PARAMETER_FILES`` holds.
        values: what ``PARAMETERS`` holds.
        given: all of them together, where they have been read already.

    Raises:
        ParameterError: a file that cannot be read, an unknown name, an unacceptable value.
    """
    from .params import Params
    from .provenance import provenance

    sources = [*map(str, files), *(["command line"] if values else [])]
    known = provenance(files, values)[0] if given is None else given
    return Params.parse(known, source=", ".join(sources) or "defaults")
