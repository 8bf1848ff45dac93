"""``runbook lab``: the lab's command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click

from . import counts, faults, host
from .api_faults import schedule
from .model import MIRROR_NAME
from .vpn import control

_name = click.option("--name", default=host.DEFAULT_NAME, show_default=True, help="which lab")
_tunnel = click.option("--tunnel", type=click.IntRange(min=1), help="which one; all of them without")
_endpoint = click.option("--endpoint", help="instead of the name: the lab's AWS endpoint, as parameter files have it")
_KINDS = "\n".join(
    f"{f'{name} {kind.target.upper()}':<13} {kind.does}; what ends it: {kind.ends}"
    for name, kind in faults.KINDS.items()
)


@click.group()
def lab() -> None:
    """Two clouds on this machine: emulated control APIs, everything behind them real."""


@lab.command()
@_name
@click.option(
    "--latencies",
    type=click.FloatRange(min=0, min_open=True),
    help="let the clouds' APIs take as long as the real ones are known to, times this",
)
@click.option("--faults", "seed", type=int, help="let the clouds' APIs err towards you, by this number's schedule")
def up(name: str, latencies: float | None, seed: int | None) -> None:
    """Start the lab (or find it up)."""
    click.echo(f"lab {name}: starting", err=True)
    began = time.monotonic()
    found, fresh = host.up(name, {**host.DEFAULTS, "latencies": latencies or 0.0, "faults": seed})
    if (latencies or seed is not None) and not fresh:
        click.echo(f"lab {name}: its APIs stay as they were; runbook lab down first changes them", err=True)
    click.echo(f"lab {name}: {f'up after {time.monotonic() - began:.1f} s' if fresh else 'was up already'}", err=True)
    if fresh and seed is not None:
        for strike in schedule.draw(seed):
            click.echo(f"fault           {strike.cloud}: {strike}")
    _print_endpoints(found)


@lab.command()
@_name
def down(name: str) -> None:
    """End the lab; nothing of it is left."""
    click.echo(f"lab {name}: {'ended' if host.down(name) else 'was not up'}", err=True)


@lab.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="for programs")
def status(name: str, as_json: bool) -> None:
    """Endpoints and instances."""
    found = host.find(name)
    nodes = [{k: v for k, v in node.items() if k not in ("pid", "console")} for node in found.nodes()]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "name": found.name,
                    "aws_endpoint": found.aws_endpoint,
                    "gcp_endpoint": found.gcp_endpoint,
                    "internet_proxy": found.internet_proxy,
                    "vpn": found.vpn,
                    "nodes": nodes,
                },
                indent=2,
            )
        )
        return
    _print_endpoints(found)
    columns = ("name", "cloud", "zone", "private_ip", "public_ip", "state")
    rows = [columns, *[tuple(str(node[c] or "-") for c in columns) for node in nodes]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows if nodes else []:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@lab.command(name="list")
def list_labs() -> None:
    """Labs of this user, also those that died."""
    for found in host.labs():
        click.echo(f"{found.name}  {'up' if found.alive else 'died; runbook lab down clears it'}")


@lab.command()
@_name
@click.option("--bare", is_flag=True, help="with images that lack Consul and Traefik, which come from the lab's mirror")
def params(name: str, bare: bool) -> None:
    """The lines of a parameter file that lead the notebooks to this lab (for labs of other names)."""
    found = host.find(name)
    home = Path(found.home)
    click.echo(f"aws_endpoint: {found.aws_endpoint}\naws_credentials: {home / 'aws-credentials'}")
    click.echo(f"gcp_endpoint: {found.gcp_endpoint}\ngcp_credentials: {home / 'gcp-credentials.json'}")
    click.echo(f"internet_proxy: {found.internet_proxy}")
    if bare:
        click.echo('aws_image: "debian-12-bare-amd64-*"')
        click.echo("gcp_image: projects/debian-cloud/global/images/family/debian-12-bare")
        click.echo(f"release_mirror: https://{MIRROR_NAME}")
        for archive in found.releases():
            click.echo(f'{archive.program}_version: "{archive.version}"\n{archive.program}_sha256: "{archive.sha256}"')


@lab.command()
@_name
@click.option("--aws-policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="IAM policy, JSON")
@click.option("--gcp-role", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="custom role, YAML")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def credentials(name: str, aws_policy: Path | None, gcp_role: Path | None, folder: Path) -> None:
    """Credentials of somebody who may do less than the operator, as files in FOLDER.

    A cloud whose policy or role is not given is left out. Prints the parameter file's lines for them.
    """
    from . import restricted

    for line in restricted.write(host.find(name), aws_policy, gcp_role, folder):
        click.echo(line)


@lab.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="for programs")
def calls(name: str, as_json: bool) -> None:
    """How many calls changed something, or were to, since the lab started: by cloud and action."""
    tally = counts.read(host.find(name).home)
    if as_json:
        click.echo(json.dumps(tally, indent=2, sort_keys=True))
        return
    for cloud, actions in sorted(tally.items()):
        for action, count in sorted(actions.items()):
            click.echo(f"{cloud}  {count:5}  {action}")
    click.echo(f"{counts.total(tally)} calls")


@lab.command(name="exec", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run a command inside an instance, as its root: runbook lab exec NODE -- CMD..."""
    found = host.find(name)
    words = [*found.enter(found.node(node)), *command]
    os.execvp(words[0], words)


@lab.command()
@_name
@click.option("-f", "--follow", is_flag=True, help="go on as more is written")
@click.argument("node")
def logs(name: str, follow: bool, node: str) -> None:
    """An instance's console output."""
    console = host.find(name).node(node)["console"]
    if follow:
        sys.exit(subprocess.call(["tail", "-n", "+1", "-f", console]))
    click.echo(Path(console).read_text(errors="replace"), nl=False)


@lab.group(invoke_without_command=True)
@_name
@click.pass_context
def vpn(context: click.Context, name: str) -> None:
    """How the VPN's tunnels are; `down` cuts them, `up` heals them."""
    if context.invoked_subcommand is not None:
        return
    found = host.find(name)
    click.echo(found.vpn)
    for row in control.tunnels(found):
        ends = "  ".join(f"{c}: {'up' if row[f'{c}_up'] else 'down'}" for c in ("aws", "gcp"))
        cut = "  cut here" if row["cut"] else ""
        click.echo(f"tunnel {row['tunnel']}  {row['aws']} - {row['gcp']}  {ends}  {row['detail']}{cut}")
    for cloud, packets in control.counters(found).items():
        click.echo(f"{cloud}: packets sent {packets['sent']}, received {packets['received']}")


@vpn.command(name="down")
@_name
@_tunnel
def vpn_down(name: str, tunnel: int | None) -> None:
    """Cut tunnels: no IKE and no ESP passes between their ends, and the daemons find out by themselves."""
    _tell("cut", control.change(host.find(name), down=True, tunnel=tunnel))


@vpn.command(name="up")
@_name
@_tunnel
def vpn_up(name: str, tunnel: int | None) -> None:
    """Heal tunnels that were cut."""
    _tell("healed", control.change(host.find(name), down=False, tunnel=tunnel))


def _tell(what: str, numbers: list[int]) -> None:
    click.echo(f"tunnel{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: {what}", err=True)


@lab.command(help=f"Break something for real.\n\n\b\n{_KINDS}")
@_name
@_endpoint
@click.argument("kind")
@click.argument("target", default="")
def fault(name: str, endpoint: str | None, kind: str, target: str) -> None:
    found = host.find(name) if endpoint is None else host.at(endpoint)
    click.echo(faults.inject(found, kind, target))


@lab.command()
@_name
@_endpoint
@click.argument("kind")
@click.argument("target", default="")
def heal(name: str, endpoint: str | None, kind: str, target: str) -> None:
    """Mend what "fault" with the same words broke."""
    found = host.find(name) if endpoint is None else host.at(endpoint)
    click.echo(faults.heal(found, kind, target))


def _print_endpoints(found: host.Lab) -> None:
    click.echo(f"aws_endpoint    {found.aws_endpoint}")
    click.echo(f"gcp_endpoint    {found.gcp_endpoint}")
    click.echo(f"internet_proxy  {found.internet_proxy}")
    click.echo(f"vpn             {found.vpn}")
