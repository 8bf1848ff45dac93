"""Command-line options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from .archive.notebooks import outputs

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
