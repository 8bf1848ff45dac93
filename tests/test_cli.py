from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner, Result

import runbook_lib.archive.notebooks as places
from runbook_lib import cli, credentials
from runbook_lib.errors import CloudError, ParameterError
from runbook_lib.params import Params

STEP = "05_teardown"


@pytest.fixture
def invoke() -> Callable[..., Result]:
    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.runbook, words)

    return run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, as keys are made there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A clone with one notebook, for ``STEP``; gives the folder of its records."""

    def make(code: str) -> Path:
        (tmp_path / "notebooks").mkdir()
        parameters = nbformat.v4.new_code_cell(
            'deployment = "demo"\nconsul_version = ""', metadata={"tags": ["parameters"]}
        )
        book = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(code)])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, tmp_path / "notebooks" / f"{STEP}.ipynb")
        monkeypatch.setattr(places, "CLONE", tmp_path)
        return tmp_path / "records"

    return make


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "07"), "there is no step called 07"),
        (("run", "-p", "web_server", "3"), "web_servers?"),
        (("run", "-p", "consul_servers", "2"), "an odd number"),
        (("run", "-p", "gcp_private_subnet", "172.30.3.0/24"), "overlap"),
        (("run", "-f", "missing.yaml"), "missing.yaml"),
        (("params", "-p", "deployment", "007"), "deployment"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_run(
    invoke: Callable[..., Result], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    output = ("--output", str(tmp_path / "outputs")) if words[0] == "run" else ()
    result = invoke(*words, *output)
    assert result.exit_code == cli.USAGE
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert not (tmp_path / "outputs").exists()


def test_a_run_says_where_its_record_is(invoke: Callable[..., Result], clone: Callable[[str], Path]) -> None:
    records = clone("print(deployment, consul_version)")
    result = invoke("run", STEP, "-p", "deployment", "blue", "-p", "consul_version", "1.9.0", "--output", str(records))
    assert result.exit_code == 0, result.output
    (folder,) = (records / "blue" / "runs").iterdir()
    assert str(folder) in result.stdout
    assert "✓ 05_teardown" in result.stderr
    printed = nbformat.read(folder / f"{STEP}.ipynb", as_version=4).cells[-1].outputs[0].text
    assert printed == "blue 1.9.0\n"
    assert json.loads((folder / "run.json").read_text())["parameters"]["deployment"] == "blue"


def test_a_secret_is_shown_to_who_asks_for_it(invoke: Callable[..., Result], tmp_path: Path) -> None:
    keys = ("-p", "keys", str(tmp_path))
    missing = invoke("secret", "dashboard-password", *keys)
    assert missing.exit_code == cli.USAGE
    assert "demo has no secret called dashboard-password" in missing.stderr
    held = credentials.of(Params(keys=str(tmp_path)))
    assert held is not None
    assert invoke("secret", "dashboard-password", *keys).stdout == f"{held.dashboard_password}\n"


def test_a_failed_step_shows_its_message_and_its_notebook(
    invoke: Callable[..., Result], clone: Callable[[str], Path]
) -> None:
    records = clone("from runbook_lib.errors import CloudError\nraise CloudError('AWS refused', remedy='ask for more')")
    result = invoke("run", STEP, "--output", str(records))
    assert result.exit_code == cli.FAILED
    (folder,) = (records / "demo" / "runs").iterdir()
    for part in ("✗ 05_teardown", "AWS refused\n  what to do:  ask for more\n", str(folder / f"{STEP}.ipynb")):
        assert part in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [(ParameterError("no"), cli.USAGE), (CloudError("no"), cli.FAILED), (KeyboardInterrupt(), cli.INTERRUPTED)],
)
def test_errors_become_exit_codes(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(_group_that_raises(error), ["fail"])
    assert result.exit_code == code
    assert result.stderr.strip() in ("no", "interrupted")


def test_the_lab_s_errors_are_messages_too() -> None:
    from runbook_lib.lab.errors import LabError

    result = CliRunner().invoke(_group_that_raises(LabError("no lab", remedy="start it")), ["fail"])
    assert result.exit_code == cli.FAILED
    assert result.stderr == "no lab\n  what to do:  start it\n"


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    result = CliRunner().invoke(_group_that_raises(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def _group_that_raises(error: BaseException) -> cli.Runbook:
    group = cli.Runbook("test")

    @group.command()
    def fail() -> None:
        raise error

    return group


def test_params_lists_every_parameter(invoke: Callable[..., Result]) -> None:
    result = invoke("params", "-p", "web_servers", "7")
    assert result.exit_code == 0
    cells = {
        line.split("│")[1].strip(): line.split("│")[3].strip() for line in result.stdout.splitlines() if "│" in line
    }
    assert set(Params.model_fields) <= set(cells)
    assert cells["web_servers"] == "7"


def test_doctor_shows_every_tool_and_ability(invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    from runbook_lib.lab import tools

    monkeypatch.setenv("COLUMNS", "200")  # so that no name is broken
    result = invoke("doctor")
    able = tools.abilities()
    names = [*(tool.name for tool in tools.find()), *(ability.name for ability in able)]
    assert len(names) > 10
    for name in names:
        assert f" {name} " in result.stdout
    missing = bool(tools.missing()) or any(ability.essential and not ability.ok for ability in able)
    assert result.exit_code == (cli.FAILED if missing else 0)


def test_help_knows_every_command(invoke: Callable[..., Result]) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for command in ("run", "params", "hosts", "doctor", "lab"):
        assert f"\n  {command} " in result.stdout


def test_help_and_version_load_nothing_heavy() -> None:
    script = "import runbook_lib.cli, sys; print(*[m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "google", "papermill", "asyncssh", "matplotlib", "moto", "pydantic"} & set(loaded)
