"""``runbook permissions``: what the credentials must be allowed. Asks no cloud."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from .. import console
from ..archive.notebooks import chosen
from ..options import PARAMETER_FILES, PARAMETERS, resolve
from ..resources import CLOUDS, CloudName
from . import CHECK, policy, role, uses


@click.command()
@click.argument("steps", nargs=-1, metavar="[STEP]...")
@click.option("--cloud", type=click.Choice(CLOUDS), help="One cloud only.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("policy", "role", "table")),
    default="table",
    show_default=True,
    help="AWS's policy (JSON), GCP's custom role (YAML), or both clouds as a table.",
)
@PARAMETER_FILES
@PARAMETERS
def permissions(
    steps: Sequence[str], cloud: CloudName | None, form: str, files: Sequence[Path], values: Sequence[tuple[str, str]]
) -> None:
    """Show the least that the credentials must be allowed.

    STEP is a notebook's name or number, or "doctor" for `runbook doctor -f`. Without any: all of these.

    \b
    aws iam create-policy --policy-name runbook --policy-document "$(runbook permissions --format policy)"
    gcloud iam roles create runbook --project PROJECT --file <(runbook permissions --format role)
    """
    of = {"policy": "aws", "role": "gcp"}.get(form, cloud)
    if cloud and of != cloud:
        raise click.UsageError(f"--format {form} is {of.upper() if of else ''}'s; leave out --cloud {cloud}")
    deployment = resolve(files, values).deployment
    books = [step for step in steps if step != CHECK]
    names = [*(chosen(books) if books else ()), *([CHECK] if CHECK in steps else ())]
    if form == "policy":
        click.echo(json.dumps(policy(deployment, names), indent=2))
    elif form == "role":
        click.echo(yaml.safe_dump(role(deployment, names), sort_keys=False), nl=False)
    else:
        rows = [
            (use.action, ", ".join(step[:2] if step[0].isdigit() else step for step in use.steps), use.purposes)
            for one in CLOUDS
            if cloud in (None, one)
            for use in uses(one)
            if not names or {*names} & {*use.steps}
        ]
        console.table("Permissions", ("permission", "steps", "what for"), rows)
