"""One sitting: the clouds are there, JupyterLab is open until it is stopped, and then the clouds stay or go."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import PrerequisiteError
from . import hub, remote
from .server import Desk, Server, require, serving

KEEP, END, BACK = "keep", "end", "back"
TERMINATED = 128 + signal.SIGTERM  # as shells have it


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds on this machine, started for the sitting.

    Args:
        name: what they are called in messages.
        up: starts them, or finds them up; tells whether it started them.
        down: ends them.
        to_end: the command that does so later.
    """

    name: str
    up: Callable[[], bool]
    down: Callable[[], object]
    to_end: str


def sit(desk: Desk, clouds: Clouds | None, keep: bool | None) -> None:
    """Start the clouds, open JupyterLab, wait until it is stopped, and let the clouds stay or go.

    It is stopped by Ctrl-C, SIGTERM, SIGHUP, or "Shut Down" in JupyterLab's File menu. On a terminal it is then asked
    whether the clouds stay. They do unless somebody says otherwise: what stands in them took minutes to build.

    Args:
        desk: what is served.
        clouds: what is started first; None for none.
        keep: whether the clouds stay; None asks, and keeps them where nobody can be asked.

    Raises:
        PrerequisiteError: JupyterLab is missing, does not start, or ended without being told to.
    """
    require()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda *_: sys.exit(TERMINATED))
    if clouds:
        _start(clouds)
    answer = KEEP  # nobody is asked after an error, or where it was told to end
    try:
        with ExitStack() as stack:
            with busy("JupyterLab: starting"):
                server = stack.enter_context(serving(desk))
            _tell(server)
            answer = _wait(server, asks=clouds is not None and keep is None)
    finally:
        # Whatever stopped it, JupyterLab and its kernels are gone by now.
        if clouds:
            _part(clouds, keep if keep is not None else _stays(answer, clouds))


def at_hub(notebook: Path, clouds: Clouds | None) -> None:
    """Start the clouds, offer the Hub's own JupyterLab a kernel, and say what to open there."""
    if clouds:
        _start(clouds)
    hub.offer_kernel()
    path = hub.page(os.environ, notebook)
    click.echo(f"JupyterHub's JupyterLab is running already. Open in it, with the kernel “{hub.SHOWN}” (top right):")
    click.echo(f"  {notebook}")
    if path:
        click.echo(f"  which is at the Hub's address, {path}")
    if clouds:
        click.echo(f"{clouds.name} stays up; to end it:  {clouds.to_end}")
    click.echo("To take the kernel away again:  runbook jupyter --forget-kernel")


def _start(clouds: Clouds) -> None:
    began = time.monotonic()
    with busy(f"{clouds.name}: starting"):
        fresh = clouds.up()
    click.echo(
        f"{clouds.name}: {f'up after {time.monotonic() - began:.1f} s' if fresh else 'was up already'}", err=True
    )


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Say that something is being done for as long as the block runs: with a clock on a terminal, else once."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        console.print(what, markup=False, soft_wrap=True)
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def _tell(server: Server) -> None:
    """Where JupyterLab is, and how to get there from another computer."""
    away = not server.desk.browser and remote.is_remote(os.environ, sys.platform)
    if away:
        command = remote.tunnel(os.environ, server.port, socket.gethostname())
        click.echo("There is no browser here. In a terminal of your own computer, which stays open:")
        click.echo(f"\n    {command}\n")
        click.echo("Then, in the browser there:")
    else:
        click.echo("JupyterLab is at")
    click.echo(f"\n    {server.url}\n")
    click.echo("Stop it here with Ctrl-C, or there with File > Shut Down.")


def _wait(server: Server, *, asks: bool) -> str:
    """Wait until the server ended or somebody wants it to; their answer about the clouds, if they were asked."""
    while True:
        try:
            status = server.process.wait()
        except KeyboardInterrupt:
            if not asks or not sys.stdin.isatty():
                return ""
            answer = _ask("Stop JupyterLab, and keep the lab or end it? Or go back?", KEEP, END, BACK)
            if answer != BACK:
                return answer
        else:
            if status:
                raise PrerequisiteError(
                    "JupyterLab ended without being told to",
                    resource=f"JupyterLab's server, process {server.process.pid}",
                    expected="that it runs until it is shut down",
                    seen="\n    ".join([f"exit status {status}", *server.said]),
                    remedy="start it again: what was built is found as it was",
                )
            return ""


def _stays(answer: str, clouds: Clouds) -> bool:
    """Whether the clouds stay: as somebody said, or says now."""
    if not answer and sys.stdin.isatty():
        answer = _ask(f"JupyterLab has ended. Keep {clouds.name} or end it?", KEEP, END)
    return answer != END


def _ask(question: str, *answers: str) -> str:
    """One of the answers, of which the first letter is enough; the first one if nobody says anything."""
    short = {answer[0]: answer for answer in answers}
    try:
        said = click.prompt(
            f"\n{question} ({'/'.join(answers)})",
            default=answers[0],
            type=click.Choice([*answers, *short]),
            show_choices=False,
        )
    except click.Abort:  # Ctrl-C once more, or the end of input
        return answers[0]
    return short.get(said, said)


def _part(clouds: Clouds, stays: bool) -> None:
    if stays:
        click.echo(f"{clouds.name} stays up; to end it:  {clouds.to_end}", err=True)
        return
    clouds.down()
    click.echo(f"{clouds.name}: ended", err=True)
