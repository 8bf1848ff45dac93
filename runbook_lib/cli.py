"""The ``runbook`` command. Everything heavy is imported by the subcommand that uses it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console
from .archive.notebooks import CLONE, EVERY, chosen
from .errors import ParameterError, RunbookError, RunFailed
from .options import OUTPUT, PARAMETER_FILES, PARAMETERS, resolve

if TYPE_CHECKING:
    from .jupyter.session import Clouds
    from .params import Params

# jsonschema, which nbformat loads, would compile a grammar at each start, for a format (IRI) that no notebook's schema
# names: two seconds of a processor. It takes the package's absence for leave to go without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

USAGE, FAILED, INTERRUPTED = 2, 1, 130
TERMINATED = 128 + signal.SIGTERM  # as shells have it
LAB_ERRORS = "runbook_lib.lab.errors"
# Commands that are imported when they are asked for: where they are, and what they are called there.
ELSEWHERE = {
    "lab": ("runbook_lib.lab.cli", "lab"),
    "permissions": ("runbook_lib.permissions.cli", "permissions"),
    "history": ("runbook_lib.archive.cli", "list_runs"),
    "show": ("runbook_lib.archive.cli", "show"),
    "diff": ("runbook_lib.archive.cli", "diff"),
    "verify": ("runbook_lib.archive.cli", "verify"),
}


class Runbook(click.Group):
    """The command group: the lab's commands are imported when they are asked for, errors are shown as messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its own commands, those that live with the archive, and the lab's group."""
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of its own, or one that lives elsewhere."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, name = ELSEWHERE[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that says what to do is shown without a traceback."""
        try:
            return super().invoke(ctx)
        except RunbookError as error:
            console.complain(str(error))
            ctx.exit(USAGE if isinstance(error, ParameterError) else FAILED)
        except KeyboardInterrupt:
            console.complain("interrupted")
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if not _from_the_lab(error):
                raise
            console.complain(str(error))
            ctx.exit(FAILED)


@click.group(cls=Runbook, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("multi-cloud-runbook"), prog_name="runbook")
def runbook() -> None:
    """Build, federate, load-balance, test and destroy Consul and Traefik on AWS and GCP."""


@runbook.command()
@click.argument("steps", nargs=-1, metavar="[STEP]...")
@PARAMETER_FILES
@PARAMETERS
@click.option("--from", "first", default="", metavar="STEP", help="Begin with this step.")
@click.option("--until", "last", default="", metavar="STEP", help="End with this step.")
@click.option("--only", default="", metavar="STEP", help="This step and no other; the same as naming it.")
@click.option(
    "--resume",
    "resumed",
    is_flag=False,
    flag_value="latest",
    default="",
    metavar="[RUN]",
    help="Go on with a run that did not reach its end, by default the deployment's latest: with its parameters, from "
    "the step that it ended in.",
)
@click.option("--cell-timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="For each cell.")
@click.option("--live", is_flag=True, help="Show what the cells print.")
@OUTPUT
def run(  # noqa: PLR0917 - its options
    steps: Sequence[str],
    files: Sequence[Path],
    values: Sequence[tuple[str, str]],
    first: str,
    last: str,
    only: str,
    resumed: str,
    cell_timeout: float | None,
    live: bool,
    output: Path,
) -> None:
    """Execute the steps' notebooks and keep their record.

    STEP is a notebook's name or number (03_traefik, 03). Without any: all but the teardown and
    06_resilience, and but the test where the parameter "test" is false.
    Stops at the first step that does not succeed.
    """
    from .provenance import provenance

    given, sources = provenance(files, values)
    named, resumes = [*steps, *filter(None, [only])], ""
    if resumed:
        if named or first or last:
            raise ParameterError(
                "a run is to be resumed, and steps are named as well",
                resource="--resume",
                expected="either --resume, or steps",
                seen=" ".join(filter(None, [*named, first, last])),
                remedy="leave out one of them: what is left of a run is known from its record",
            )
        from .archive import history, lock

        before = history.resumable(output, resumed, resolve(files, values, given).deployment, lock.is_held)
        named, kept = history.left(before)
        resumes, given = before.run, {**kept, **given}
        sources = {name: before.sources.get(name, own) if own == "default" else own for name, own in sources.items()}
    params = resolve(files, values, given)
    names = chosen(named, test=params.test, first=first, last=last)

    # Where no notebook is being executed, a request to end is an exception like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))

    from .archive.runner import Job
    from .archive.runner import run as run_job

    with console.Steps(live=live) as progress:
        try:
            job = Job(names, params, given, output.absolute(), None, sources, resumes, cell_timeout)
            record = run_job(job, progress)
        except RunFailed as error:
            console.complain(f"{error.step} {error.seen or 'failed'}\n{error.message}")
            if error.remedy:
                console.complain(f"  what to do:  {error.remedy}")
            console.complain(f"  notebook:    {error.resource}")
            console.complain(f"  to go on:    {_program()} run --resume {_options(files, values)}".rstrip())
            raise click.exceptions.Exit(FAILED) from None
    console.summary(record)
    if "04_test" in names:
        from .archive.kernels import call
        from .around import ways

        console.ways([*call(ways, params, record.folder), *_last_ways(params, files, values)])


@runbook.command("plan")
@click.argument("step", default="")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON document.")
@PARAMETER_FILES
@PARAMETERS
def show_plan(step: str, as_json: bool, files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """Show what a step would create, change, replace and destroy now, why, and the plan's hash (for an approval).

    STEP is a notebook's name or number; without one, all that create. Nothing is changed.
    """
    from .approval import plan_hash
    from .display import show
    from .site import open_site

    resolved = resolve(files, values)
    site = open_site(resolved)
    made = [site.plan(chosen([step])[0])] if step else site.plans()
    recorded = resolved.recorded()
    if as_json:
        plans = [{**one.as_json(), "hash": plan_hash(one, recorded)} for one in made]
        click.echo(json.dumps({"deployment": resolved.deployment, "plans": plans}, indent=2))
        return
    for one in made:
        shown = show(one)
        if one.work:
            console.table(shown.caption, shown.titles, shown.rows)
        else:
            click.echo(shown.caption)
        if one.work or step:
            click.echo(f"plan {plan_hash(one, recorded)}")


@runbook.command()
@click.argument("plan", metavar="HASH")
@click.option("--for", "minutes", type=int, default=60, show_default=True, help="How many minutes it counts.")
@PARAMETER_FILES
@PARAMETERS
def approve(plan: str, minutes: int, files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """Approve a plan beforehand, for a run without anybody there: exactly that plan, until it expires.

    HASH is what `runbook plan STEP` and the refused step show, with the same parameters.
    """
    from .approval import issue

    issued = issue(resolve(files, values), plan, minutes)
    click.echo(f"plan {issued.plan} is approved by {issued.by} until {issued.expires}")


@runbook.command()
@PARAMETER_FILES
@PARAMETERS
def params(files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """List every parameter: its value with these files, and what it is for."""
    from .params import help_lines

    shown = resolve(files, values).recorded()
    rows = [(name, kind, shown[name], text) for name, kind, _, text in help_lines()]
    console.table("Parameters", ("name", "type", "value", "what it is"), rows)


@runbook.command()
@PARAMETER_FILES
@PARAMETERS
def hosts(files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """List the deployment's hosts and their addresses, as the clouds report them now."""
    from .around import hosts_of

    found = hosts_of(resolve(files, values))
    rows = [(h.name, h.cloud, h.role, h.zone, h.private_ip, h.public_ip or "", h.state) for h in found]
    console.table("Hosts", ("name", "cloud", "role", "zone", "private", "public", "state"), rows)


@runbook.command()
@click.argument("name")
@PARAMETER_FILES
@PARAMETERS
def secret(name: str, files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """Show one of the deployment's secrets, for example dashboard-password or consul-token.operator."""
    from .secret_store import open_store

    resolved = resolve(files, values)
    found = open_store(resolved).get(name)
    if found is None:
        raise ParameterError(
            f"{resolved.deployment} has no secret called {name}",
            resource="NAME",
            expected="dashboard-password, consul-token.operator, or another file's name in the secrets folder",
            seen=name,
            remedy="correct the name; secrets are made by 01_bootstrap",
        )
    click.echo(found)


@runbook.command()
@PARAMETER_FILES
@PARAMETERS
def doctor(files: Sequence[Path], values: Sequence[tuple[str, str]]) -> None:
    """Show which tools and kernel abilities are there, and how to get those that are not.

    With parameters (-f, -p), also whether the deployment can be made in its clouds: credentials, parameters,
    permissions, quotas, names. Nothing is changed.
    """
    tools = import_module("runbook_lib.lab.tools")
    missing = console.doctor(tools.report(), tools.abilities())
    if files or values:
        from .doctor import examine

        # On the way to the clouds, what only the lab needs is no matter.
        missing = console.findings(examine(resolve(files, values)))
    raise click.exceptions.Exit(FAILED if missing else 0)


@runbook.command()
@click.argument(
    "notebook", required=False, type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)
)
@click.option("--name", default="", help="Which lab; by default the one that the notebooks' parameters lead to.")
@click.option("--lab/--no-lab", "with_lab", default=True, help="Without a lab: for the real clouds.")
@click.option("--browser/--no-browser", default=None, help="Open one here; by default unless there is no display.")
@click.option("--port", type=int, default=8888, show_default=True, help="On this machine; the next free one if taken.")
@click.option("--keep-lab/--end-lab", "keep", default=None, help="Do not ask when JupyterLab is stopped.")
@click.option("--forget-kernel", is_flag=True, help="Only take back the kernel that JupyterHub was offered.")
def jupyter(  # noqa: PLR0917 - its options
    notebook: Path | None,
    name: str,
    with_lab: bool,
    browser: bool | None,
    port: int,
    keep: bool | None,
    forget_kernel: bool,
) -> None:
    """Start the lab and open JupyterLab on NOTEBOOK, by default the first; or get JupyterHub's own ready for it.

    When JupyterLab is stopped, for example by Ctrl-C, it asks whether the lab stays. It does where nobody can be asked.
    """
    from .jupyter import hub, remote, session
    from .jupyter.server import Desk

    if forget_kernel:
        click.echo(f"removed {gone}" if (gone := hub.forget_kernel()) else "no kernel of this clone is offered")
        return
    opened = notebook or CLONE / "notebooks" / f"{EVERY[0]}.ipynb"
    clouds = _clouds(name) if with_lab else None
    if hub.is_here(os.environ):
        session.at_hub(opened, clouds)
        return
    shown = not remote.is_remote(os.environ, sys.platform) if browser is None else browser
    root = CLONE if opened.is_relative_to(CLONE) else opened.parent
    session.sit(Desk(root, opened, port, shown), clouds, keep)


def _clouds(name: str) -> Clouds:
    """The lab, for a sitting in JupyterLab."""
    from .jupyter.session import Clouds

    host = import_module("runbook_lib.lab.host")
    name = name or host.DEFAULT_NAME

    def up() -> bool:
        try:
            return bool(host.up(name)[1])
        except host.LabError as error:
            error.remedy += f"\n  or, for the real clouds:  {_program()} jupyter --no-lab"
            raise

    option = "" if name == host.DEFAULT_NAME else f" --name {name}"
    return Clouds(f"lab {name}", up, lambda: host.down(name), f"{_program()} lab down{option}")


def _last_ways(params: Params, files: Sequence[Path], values: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Ways to look around that are this command's own, among them into the lab that the parameters lead to, if any."""
    from .params import Params

    program, options = _program(), _options(files, values)
    if params.security == "hardened":
        for what, name in (
            ("the dashboard's password, for the user operator", "dashboard-password"),
            ("a token for Consul's page, which shows nodes and services without", "consul-token.operator"),
        ):
            yield what, f"{program} secret {name} {options}".rstrip()
    teardown = f"{program} run 05_teardown {options}".rstrip()
    host = import_module("runbook_lib.lab.host")
    for found in host.labs():
        if found.alive and found.aws_endpoint == params.aws_endpoint:
            name = "" if found.name == host.DEFAULT_NAME else f" --name {found.name}"
            inside = f"lab exec{name} {params.deployment}-server-gcp-consul-1"
            yield "every instance, with its addresses", f"{program} lab status{name}"
            yield "Consul, asked inside a server", f"{program} {inside} -- consul members"
            yield "a shell inside it", f"{program} {inside} -- bash"
            usual = not name and params == Params()
            teardown = _make("down") if usual else f"{teardown} && {program} lab down{name}"
    yield "to take it all down", teardown


def _options(files: Sequence[Path], values: Sequence[tuple[str, str]]) -> str:
    """The options that give the same parameters again."""
    words = [word for file in files for word in ("-f", str(file))]
    return shlex.join([*words, *(word for pair in values for word in ("-p", *pair))])


def _program() -> str:
    """How this command can be called from where its user is."""
    called = Path(sys.argv[0])
    known = shutil.which("runbook")
    return "runbook" if known and called.exists() and called.samefile(known) else os.path.relpath(called)


def _make(target: str) -> str:
    return f"make {target}" if Path.cwd() == CLONE else f"make -C {shlex.quote(os.path.relpath(CLONE))} {target}"


def _from_the_lab(error: Exception) -> bool:
    module = sys.modules.get(LAB_ERRORS)
    return module is not None and isinstance(error, module.LabError)


def main() -> None:
    """The console script."""
    runbook()


if __name__ == "__main__":
    main()
