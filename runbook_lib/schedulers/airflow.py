"""Operations on many deployments, run by Apache Airflow 3: one task for each deployment.

Airflow says when, where, how many at once and how often; what is run is ``runbook run``, so the records are those of
every other run. The whole of a DAG file, which is put where Airflow finds its DAGs::

    from pathlib import Path

    from runbook_lib.schedulers.airflow import fleet

    clone = Path("/srv/runbook")
    dag = fleet(
        "consul",
        sorted(Path("/etc/runbook/fleet").glob("*.yaml")),
        runbook=clone / ".venv/bin/runbook",
        output=clone / "outputs",
    )

and ``airflow dags trigger consul`` builds all of them, ``--conf '{"steps": ["05_teardown"]}'`` destroys them.

Airflow's packages and this project's do not fit into one environment. Airflow's needs this clone on its PYTHONPATH and
none of its dependencies; the tasks call ``runbook`` by its path. Each worker needs the clone with its ``.venv``, the
parameter files, the folder of the keys, and the folder of the records, all at the same paths. The records' locks are
flock's: several workers need a file system where these hold between machines, as NFS 4 does.

Why it is built like this:

- One task is one operation, not one step: the ledger, the report and ``runbook history`` are by operation, and which
  step was reached is in the record. Five tasks would be five records of one thing.
- A retry goes on where the attempt before ended (``runbook run --resume``); the new record ``resumes`` the old one. If
  that attempt outlived its worker, the retry waits for it, and has nothing to do if it succeeds. A task that is cleared
  after the DAG's run has ended begins anew: every step can be run twice.
- Refused parameters (exit status 2) fail at once, without a retry.
- A DAG has one run at a time, and a run one task for each deployment: so no deployment has two operations at once.
  Building and destroying are therefore the same DAG with other ``steps``. A task also waits for a run that was begun by
  hand, or is cleaning up after it was stopped. Whoever wants deployments that do not wait for each other calls
  ``fleet`` for each.
- There is a task for each file, not a mapped one: so it is named after its deployment wherever Airflow shows it.
- A task that is stopped passes SIGTERM on, and the record ends as "terminated". Airflow gives a stopped task 5 s; the
  command is a session of its own and outlives that until the cell has cleaned up and the record is written.
- Airflow's operator for papermill is not used: it cannot choose the engine that keeps the records.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# In an environment of its own: see above.
from airflow.sdk import DAG, BaseOperator, Param  # type: ignore[import-not-found]
from airflow.sdk.exceptions import AirflowException, AirflowFailException  # type: ignore[import-not-found]

from . import attempt

LOOK_EVERY = 0.5  # seconds between two looks at what the command printed


class RunbookOperator(BaseOperator):
    """One operation on one deployment, as ``runbook run`` does it.

    Args:
        deployment: its name, as its parameter file has it.
        file: its parameter file.
        runbook: this project's ``runbook``, in its own environment.
        records: folder for them; each deployment has its own in it.
        options: as for every operator.
    """

    def __init__(self, *, deployment: str, file: str, runbook: str, records: str, **options: Any) -> None:
        super().__init__(**options)
        self.deployment, self.file, self.runbook, self.records = deployment, file, runbook, records
        self._process: subprocess.Popen[bytes] | None = None

    def execute(self, context: Any) -> str:
        """Run or resume it.

        Returns:
            The folder of its record, which Airflow keeps as the task's XCom.

        Raises:
            AirflowFailException: it was refused.
            AirflowException: it did not reach its end.
        """
        records, since = Path(self.records), context["dag_run"].start_date
        self._await_others(records)
        before = attempt.earlier(records, self.deployment, since)
        if before and before.outcome == "succeeded":
            self.log.info("The attempt before has succeeded: %s", before.folder)
            return str(before.folder)
        steps = context["params"]["steps"]
        words = attempt.command(Path(self.runbook), Path(self.file), records, steps, before)
        now = datetime.now(UTC)  # this machine's clock, as in the record's id
        status = self._run(words)
        record = attempt.earlier(records, self.deployment, now)
        told = f"{self.deployment}: runbook ended with {status}; {record.folder if record else 'nothing was begun'}"
        if status == attempt.REFUSED:
            raise AirflowFailException(told)
        if status or not record:
            raise AirflowException(told)
        return str(record.folder)

    def on_kill(self) -> None:
        """Airflow stops the task: so does the command. ``execute`` goes on until it has written its record."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)

    def _await_others(self, records: Path) -> None:
        told = ""
        while run := attempt.going_on(records, self.deployment):
            if run != told:
                self.log.info("Waiting for run %s of %s, which is going on", run, self.deployment)
                told = run
            time.sleep(LOOK_EVERY)

    def _run(self, words: Sequence[str]) -> int:
        environment = attempt.environment(os.environ, "AIRFLOW")
        with tempfile.NamedTemporaryFile() as printed, attempt.Follower(printed.name) as follower:
            self._process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status = None
            while status is None:
                time.sleep(LOOK_EVERY)
                status = self._process.poll()
                for line in follower.lines(last=status is not None):
                    self.log.info("%s", line)
        return status


def fleet(
    dag_id: str,
    files: Sequence[Path],
    *,
    runbook: Path,
    output: Path,
    retries: int = 1,
    retry_delay: timedelta = timedelta(minutes=5),
    **options: Any,
) -> DAG:
    """A DAG with a task for each deployment.

    Its one parameter, ``steps``, lists the steps to run; without any, all but the teardown.

    Args:
        dag_id: what Airflow calls it.
        files: a parameter file for each deployment, which it names.
        runbook: this project's ``runbook``, in its own environment.
        output: folder for the records; each deployment has its own in it.
        retries: how often an operation that did not reach its end is gone on with.
        retry_delay: how long after.
        options: as for ``DAG``, for example ``schedule`` (none by default), ``max_active_tasks`` (how many deployments
            at once) or ``default_args`` (for example ``{"queue": …}``, which workers).

    Raises:
        ParameterError: a file names no deployment, or the same one as another.
    """
    steps = Param([], type="array", items={"type": "string"}, description="Names or numbers; none: all but teardown.")
    options = {"schedule": None, "catchup": False, **options, "max_active_runs": 1, "params": {"steps": steps}}
    dag = DAG(dag_id, **options)
    for deployment, file in attempt.fleet_of(files).items():
        RunbookOperator(
            task_id=deployment,
            dag=dag,
            deployment=deployment,
            file=str(file),
            runbook=str(runbook),
            records=str(output),
            retries=retries,
            retry_delay=retry_delay,
        )
    return dag
