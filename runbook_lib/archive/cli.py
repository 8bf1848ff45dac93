"""The commands that read the archive: ``runbook history``, ``show``, ``diff`` and ``verify``. None of them writes."""

from __future__ import annotations

from pathlib import Path

import click

from .. import console, keys
from ..errors import RecordError
from ..options import OUTPUT
from ..params import Params
from . import comparison, evidence, history, lock, signing
from .operation import PRIVATE

WRONG = 1


@click.command("history")
@click.argument("deployment", required=False)
@OUTPUT
def list_runs(deployment: str | None, output: Path) -> None:
    """List the runs on record, newest first: of one DEPLOYMENT, or of all."""
    unreadable: list[RecordError] = []
    found = history.runs(output, deployment, unreadable=unreadable.append)
    console.history([(record, history.state(record, lock.is_held)) for record in found])
    for error in unreadable:
        console.complain(f"unreadable: {error.resource}: {error.seen}")
    if unreadable:
        raise click.exceptions.Exit(WRONG)


@click.command()
@click.argument("run", default=history.LATEST)
@OUTPUT
def show(run: str, output: Path) -> None:
    """Show one run: how it ended and where, its checks, and the report to read on.

    RUN is its id, the beginning of it, or "latest".
    """
    record = history.find(output, run)
    console.show(record, history.state(record, lock.is_held))


@click.command()
@click.argument("run")
@click.argument("other")
@OUTPUT
def diff(run: str, other: str, output: Path) -> None:
    """Show what differs between two runs: parameters, versions, notebooks, checks, outputs."""
    console.diff(comparison.diff(history.find(output, run), history.find(output, other)))


@click.command()
@click.argument("deployment", default=Params().deployment)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the public key; by default the deployment's own, in the folder of the parameter keys.",
)
@click.option("--keys", "folder", default=Params().keys, help="Folder of the keys, as the parameter keys.")
@click.option("--head", default="", metavar="sha256:…", help="A head that was published: it must be in the ledger.")
@OUTPUT
def verify(deployment: str, key: Path | None, folder: str, head: str, output: Path) -> None:
    """Check that a DEPLOYMENT's records are what was recorded; name the first thing that is not.

    Works offline, with the public key alone. It prints the ledger's head: published where others see it, it shows
    even that the whole archive was replaced by somebody who has the key.
    """
    own = keys.folder(Params(deployment=deployment, keys=folder)) / PRIVATE / signing.PUBLIC
    report = evidence.verify(output / deployment, signing.public_key(key or own), expected_head=head)
    console.evidence(report)
    if not report.intact:
        raise click.exceptions.Exit(WRONG)
