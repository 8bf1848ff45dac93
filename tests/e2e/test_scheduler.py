"""Three deployments run by a real Airflow: its API server, its scheduler and its workers, in an environment of its own.

One is stopped in Airflow while it runs, one loses its process and is tried again, one is refused; then the first two
are destroyed. What is asserted is read from Airflow's API and from the records.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import yaml

from runbook_lib import keys
from runbook_lib.archive import evidence, history, lock, signing
from runbook_lib.archive.operation import PRIVATE
from runbook_lib.archive.record import RunRecord
from runbook_lib.errors import RecordError
from runbook_lib.lab import host
from runbook_lib.params import Params
from tests.e2e.operators import BIN, CLONE

T = TypeVar("T")
AIRFLOW = CLONE / ".venv-airflow" / "bin" / "airflow"
DAG = "fleet"
SMALL = {"consul_servers": 1, "traefiks": 1, "web_servers": 1}
DAG_FILE = """
from datetime import timedelta
from pathlib import Path

from runbook_lib.schedulers.airflow import fleet

folder = Path({folder!r})
dag = fleet(
    {dag!r},
    sorted((folder / "fleet").glob("*.yaml")),
    runbook=Path({runbook!r}),
    output=folder / "outputs",
    retries=2,
    retry_delay=timedelta(seconds=1),
)
"""


def until(look: Callable[[], T | None], what: str, seconds: float = 600) -> T:
    """What is looked for, when it is there; bounded."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"did not happen: {what}")


class Fleet:
    """An Airflow, the lab that its tasks work in, and the records that they leave.

    Args:
        folder: where everything is: Airflow's home, the parameter files, the keys and the records.
    """

    lab: host.Lab

    def __init__(self, folder: Path) -> None:
        self.folder, self.outputs = folder, folder / "outputs"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_"))
        }
        self.environment = {
            **own,
            "PYTHONPATH": str(CLONE),
            "RUNBOOK_OUTPUT": str(self.outputs),  # all that is started can be known by it
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
        self._api = requests.Session()

    def write(self, lab: host.Lab) -> None:
        """The parameter files for a lab, and the DAG's."""
        self.lab, home = lab, Path(lab.home)
        common = {
            "aws_endpoint": lab.aws_endpoint,
            "aws_credentials": str(home / "aws-credentials"),
            "gcp_endpoint": lab.gcp_endpoint,
            "gcp_credentials": str(home / "gcp-credentials.json"),
            "internet_proxy": lab.internet_proxy,
            "keys": str(self.folder / "keys"),
            **SMALL,
        }
        (self.folder / "fleet").mkdir()
        for name, own in {"north": {}, "south": {}, "odd": {"consul_servers": 2}}.items():
            text = yaml.safe_dump({"deployment": name, **common, **own})
            (self.folder / "fleet" / f"{name}.yaml").write_text(text)
        dags = self.folder / "airflow" / "dags"
        dags.mkdir(parents=True)
        text = DAG_FILE.format(folder=str(self.folder), dag=DAG, runbook=str(BIN / "runbook"))
        (dags / "fleet.py").write_text(text)

    def airflow(self, *words: str) -> subprocess.Popen[bytes]:
        """A process of Airflow's, with what it starts in a group of its own."""
        with (self.folder / f"{words[0]}.log").open("wb") as log:
            return subprocess.Popen(
                [AIRFLOW, *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def expect(self, process: subprocess.Popen[bytes]) -> None:
        """The success of a command of Airflow's."""
        words = process.args
        assert isinstance(words, list)
        assert process.wait(600) == 0, (self.folder / f"{words[1]}.log").read_text()

    def enter(self) -> bool:
        """Whether its API lets us in."""
        with suppress(requests.RequestException):
            answer = self._api.get(f"{self.url}/auth/token", timeout=10)
            if answer.ok:
                self._api.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                return True
        return False

    def ask(self, method: str, path: str = "", **content: Any) -> Any:
        """One request to its API about the DAG's runs."""
        url = f"{self.url}/api/v2/dags/{DAG}/dagRuns{path}"
        answer = self._api.request(method, url, json=content or None, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}; logs in {self.folder}"
        return answer.json()

    def trigger(self, *steps: str) -> str:
        """Begin a run of the DAG; gives its id."""
        return str(self.ask("POST", logical_date=None, conf={"steps": steps})["dag_run_id"])

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """The tasks of an ended run, by deployment."""
        until(lambda: self.ask("GET", f"/{run}")["state"] in ("success", "failed"), "the end of the DAG's run")
        return {task["task_id"]: task for task in self.ask("GET", f"/{run}/taskInstances")["task_instances"]}

    def stop(self, run: str, deployment: str) -> None:
        """Mark a task as failed while it runs, as somebody does in Airflow's pages."""
        self.ask("PATCH", f"/{run}/taskInstances/{deployment}", new_state="failed")

    def log(self, run: str, deployment: str) -> str:
        """What a task has told so far."""
        folder = self.folder / "airflow" / "logs" / f"dag_id={DAG}" / f"run_id={run}" / f"task_id={deployment}"
        return "".join(file.read_text() for file in folder.glob("*"))

    def records(self, deployment: str) -> list[RunRecord]:
        """Of a deployment, oldest first."""
        return [RunRecord.read(folder) for folder in history.folders(self.outputs, deployment)]

    def at_work(self, deployment: str) -> RunRecord:
        """Its record, once it has begun to create things."""

        def look() -> RunRecord | None:
            with suppress(RecordError):  # not written yet
                for record in self.records(deployment)[-1:]:
                    cells = [cell for step in record.steps for cell in step.cells]
                    if any(cell.heading == "Apply the plan" and cell.outcome != "pending" for cell in cells):
                        return record
            return None

        return until(look, f"{deployment} at work")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    assert AIRFLOW.exists(), "there is no Airflow: `make test` installs it, or make .venv-airflow/.installed"
    name = f"e2e-{os.getpid()}-fleet"
    with ExitStack() as ending:
        found = Fleet(tmp_path_factory.mktemp("fleet"))
        migration = found.airflow("db", "migrate")
        ending.callback(host.down, name)
        ending.callback(sweep, found.outputs)
        ending.callback(end, migration)
        found.write(host.up(name)[0])
        found.expect(migration)
        for words in (["api-server"], ["scheduler", "--skip-serve-logs"]):
            ending.callback(end, found.airflow(*words))
        found.expect(found.airflow("dag-processor", "--num-runs", "1"))
        until(found.enter, "Airflow's API to answer")
        yield found


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of Airflow's and those beside it; all it has to keep is in a folder that nobody needs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def sweep(outputs: Path) -> None:
    """End what a test that failed has left: tasks and their commands, which are in groups of their own."""
    mark = f"RUNBOOK_OUTPUT={outputs}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


@pytest.fixture(scope="module")
def built(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """The tasks of a run that builds; what is done to two of them is done while they work."""
    run = fleet.trigger("00_provision")
    os.kill(int(fleet.at_work("south").identity["pid"]), signal.SIGKILL)
    fleet.at_work("north")
    fleet.stop(run, "north")
    return fleet.tasks(run)


@pytest.fixture(scope="module")
def destroyed(fleet: Fleet, built: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks of the run that destroys what the other built."""
    with lock.hold(fleet.records("north")[-1].folder):  # as if that run were still going on
        run = fleet.trigger("05")
        until(
            lambda: f"Waiting for run {fleet.records('north')[-1].run}" in fleet.log(run, "north"), "a task that waits"
        )
    return fleet.tasks(run)


def test_a_refused_deployment_fails_without_a_retry(fleet: Fleet, built: dict[str, dict[str, Any]]) -> None:
    assert (built["odd"]["state"], built["odd"]["try_number"]) == ("failed", 1)
    assert fleet.records("odd") == []


def test_a_task_that_is_stopped_leaves_a_record_that_says_so(fleet: Fleet, built: dict[str, dict[str, Any]]) -> None:
    assert (built["north"]["state"], built["north"]["try_number"]) == ("failed", 1)
    until(lambda: fleet.records("north")[0].ended, "north's record to be closed")
    record = fleet.records("north")[0]
    assert record.outcome == "terminated"
    assert record.steps[0].message.startswith("told to end (SIGTERM)")


def test_a_retry_goes_on_with_the_attempt_before(fleet: Fleet, built: dict[str, dict[str, Any]]) -> None:
    assert (built["south"]["state"], built["south"]["try_number"]) == ("success", 2)
    first, second = fleet.records("south")[:2]
    assert (first.outcome, first.resumes) == ("killed", "")
    assert (second.outcome, second.resumes) == ("succeeded", first.run)


def test_the_next_run_of_the_dag_begins_anew(fleet: Fleet, destroyed: dict[str, dict[str, Any]]) -> None:
    assert {name: task["state"] for name, task in destroyed.items()} == {
        "north": "success",
        "south": "success",
        "odd": "failed",
    }
    for name in ("north", "south"):
        last = fleet.records(name)[-1]
        assert ([step.step for step in last.steps], last.resumes) == (["05_teardown"], "")
        assert last.outcome == "succeeded"
    assert fleet.lab.nodes() == []


def test_the_records_are_those_of_every_other_run(fleet: Fleet, destroyed: dict[str, dict[str, Any]]) -> None:
    for name in ("north", "south"):
        for record in fleet.records(name):
            assert record.kind == "run"
            assert record.identity["command"].startswith("runbook run ")
            assert "apache-airflow" not in record.versions
            assert record.sources["deployment"] == str(fleet.folder / "fleet" / f"{name}.yaml")
            step = record.steps[0].step
            files = {file.name for file in record.folder.iterdir()}
            assert files == {"run.json", "index.html", f"{step}.ipynb", f"{step}.html"}
        own = keys.folder(Params(deployment=name, keys=str(fleet.folder / "keys"))) / PRIVATE / signing.PUBLIC
        report = evidence.verify(fleet.outputs / name, signing.public_key(own))
        assert report.intact, report.first
        assert report.runs == len(fleet.records(name))


def test_airflow_names_the_record_and_shows_what_was_printed(
    fleet: Fleet, destroyed: dict[str, dict[str, Any]]
) -> None:
    run = destroyed["south"]["dag_run_id"]
    value = fleet.ask("GET", f"/{run}/taskInstances/south/xcomEntries/return_value")["value"]
    assert Path(value) == fleet.records("south")[-1].folder
    assert "05_teardown" in fleet.log(run, "south")
