"""Chromium, the distribution's: found, or installed as the lab's tools are. `make test` and `make browser` call this.

Playwright would bring a browser of its own, by a download that not every machine can reach.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from runbook_lib.lab import apt
from runbook_lib.lab.abilities import SYSTEM_PATH
from runbook_lib.lab.errors import LabError

NAMED = "RUNBOOK_CHROMIUM"  # another one, by its path
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")  # without any, a page has no text


def find() -> Path | None:
    """Where it is."""
    names = [name] if (name := os.environ.get(NAMED)) else list(COMMANDS)
    found = (shutil.which(name, path=f"{SYSTEM_PATH}{os.pathsep}{os.environ.get('PATH', '')}") for name in names)
    return next((Path(where) for where in found if where), None)


def missing() -> list[str]:
    """The Debian packages that have to be installed first."""
    return [*([] if find() else ["chromium"]), *([] if FONT.exists() else ["fonts-dejavu-core"])]


def require() -> Path:
    """Where it is.

    Raises:
        LabError: it is missing.
    """
    if (found := find()) is None:
        raise LabError(
            "Chromium is missing: the tests open the notebooks in it",
            remedy=f"make browser, or: {apt.install_hint(missing())}; or let {NAMED} name a Chromium or Chrome",
        )
    return found


@click.command()
def main() -> None:
    """Install what is missing."""
    try:
        if packages := missing():
            click.echo(f"Installing system packages for the tests in a browser: {' '.join(packages)}")
            apt.install(packages)
        require()
    except LabError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m tests.browser.chromium")
