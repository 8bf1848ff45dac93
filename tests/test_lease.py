"""One operator at a time: processes that meet at one emulated AWS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook_lib import wait
from runbook_lib.archive import origin
from runbook_lib.clouds import aws
from runbook_lib.errors import LockError
from runbook_lib.lab.calls import Answer, Call, HangUp, Serve
from runbook_lib.lease import held, lease_of, life
from runbook_lib.params import Params
from runbook_lib.site import Site, open_site
from tests.clouds.conftest import World, gcp_lab, served  # noqa: F401 - a fixture

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOGsz/gDYt0aHmeVEmOZ2G8Y8TQJgqPrsDDQqxG5Y09r operator"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# Another operator: opens the deployment and applies a step, with a lease of its own.
OPERATOR = """
import json, sys
from runbook_lib.params import Params
from runbook_lib.provision import apply
from runbook_lib.site import open_site
site = open_site(Params(**json.loads(sys.argv[1])))
plan = site.plan("00_provision")
with site.alone(plan.step, seconds=float(sys.argv[2])):
    apply(plan, site.clouds)
"""
# One that holds the lock and does nothing.
# What a shell starts in the background ignores Ctrl-C, and hands that on.
IDLER = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from runbook_lib.clouds import aws
from runbook_lib.lease import held
from runbook_lib.params import Params
with held(aws.connect(Params(**json.loads(sys.argv[1]))).lock, "00_provision", sys.argv[2], seconds=float(sys.argv[3])):
    print("held", flush=True)
    time.sleep(600)
"""


class Gate:
    """Writes down the calls that change something, and holds one of them back."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hold = self.cut = ""
        self.there, self.go = threading.Event(), threading.Event()

    def __call__(self, call: Call, serve: Serve) -> Answer:
        if call.writes:
            self.calls.append(call.action)
        if call.action == self.hold:
            self.hold = ""
            self.there.set()
            assert self.go.wait(300)
        answer = serve()
        if call.action == self.cut:
            self.cut = ""
            raise HangUp
        return answer


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def params(gate: Gate, gcp_lab: Any, tmp_path: Path) -> Iterator[Params]:  # noqa: F811
    pytest.importorskip("moto")
    from runbook_lib.lab.ec2 import Ec2

    world = World()
    emulator = Ec2(world, "us-west-2", settle=0.05)
    credentials = tmp_path / "aws-credentials"
    credentials.write_text(emulator.operator_credentials())
    with served(emulator, world, gate) as url:
        yield Params(
            aws_endpoint=url,
            aws_credentials=str(credentials),
            gcp_endpoint=gcp_lab.url,
            gcp_credentials=gcp_lab.credentials,
            keys=str(tmp_path / "keys"),
            timeout=30,
        )


@contextmanager
def operator(script: str, params: Params, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process; it is ended with the block if it has not ended before."""
    command = [sys.executable, "-c", script, json.dumps(params.model_dump(mode="json")), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def reached(gate: Gate, other: subprocess.Popen[str]) -> None:
    """Wait until another process is held back at the gate."""
    wait.until(lambda: gate.there.is_set() or other.poll() is not None, bool, what="the other to come", timeout=300)
    assert gate.there.is_set(), other.communicate()


def key_pairs(site: Site) -> list[str]:
    """Names of all key pairs, as the API has them."""
    return [pair["KeyName"] for pair in site.clouds.aws._account.ec2.describe_key_pairs()["KeyPairs"]]  # type: ignore[attr-defined]


def vpcs(site: Site) -> list[str]:
    return [vpc["VpcId"] for vpc in site.clouds.aws._account.ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]  # type: ignore[attr-defined]


# ---- several processes -----------------------------------------------------------------------------------------


def test_while_one_works_another_is_told_who_and_since_when(params: Params, gate: Gate) -> None:
    gate.hold = "ec2:CreateVpc"
    site = open_site(params)
    plan = site.plan("00_provision")
    with operator(OPERATOR, params, "600") as other:
        reached(gate, other)
        with pytest.raises(LockError, match="demo is being changed by somebody else") as raised:
            site.apply(plan)
        told = str(raised.value)
        assert str(origin.identity()["host"]) in told
        assert "in 00_provision since 20" in told
        assert "run the step again when that has ended" in told
        assert site.left()[-1] == "aws:key_pair:demo-lock", "somebody is at work: something is left"
        gate.go.set()
        assert other.wait(300) == 0, other.communicate()
    assert gate.calls.count("ec2:CreateVpc") == 1

    with pytest.raises(Exception, match="out of date") as outdated:
        site.apply(plan)
    assert "to create aws:" in str(outdated.value)
    assert gate.calls.count("ec2:CreateVpc") == 1
    count = len(gate.calls)
    assert site.apply(site.plan("00_provision")).created == 0
    assert len(gate.calls) == count, "where there is nothing to do, not even a lock is put up"
    assert key_pairs(site) == ["demo-operator"]


def test_who_was_killed_is_followed_at_once_and_leaves_no_lock(params: Params, gate: Gate) -> None:
    gate.hold = "ec2:CreateVpc"
    with operator(OPERATOR, params, "600") as other:
        reached(gate, other)
        other.send_signal(signal.SIGKILL)
        other.wait(300)
        gate.go.set()
    site = open_site(params)
    wait.until(lambda: vpcs(site), bool, what="the call that was under way", timeout=120)
    assert "demo-lock" in key_pairs(site)
    site.apply(site.plan("00_provision"))
    assert site.plan("00_provision").work == ()
    assert len(vpcs(site)) == 1
    assert key_pairs(site) == ["demo-operator"]


def test_who_stood_still_for_too_long_does_nothing_more(params: Params, gate: Gate) -> None:
    gate.hold = "ec2:CreateVpc"
    with operator(OPERATOR, params, "12") as other:
        reached(gate, other)
        # All else that needs no VPC is done by then: what was on its way could not be called back.
        last = Counter({"ec2:ImportKeyPair": 2, "ec2:AllocateAddress": 1, "ec2:CreateCustomerGateway": 2})
        last["iam:AddRoleToInstanceProfile"] = 1
        wait.until(lambda: Counter(gate.calls), lambda seen: last <= seen, what="the others", timeout=120)
        other.send_signal(signal.SIGSTOP)
        gate.go.set()  # what it had asked for is done, and answered
        site = open_site(params)

        def take_over() -> bool:
            return site.apply(site.plan("00_provision")).created > 0

        # Refused as long as the other might be alive.
        wait.until(take_over, bool, what="the lock to run out", timeout=300, tolerate=(LockError,))
        count = len(gate.calls)
        other.send_signal(signal.SIGCONT)
        assert other.wait(300) == 1
        assert "no longer yours to change" in other.communicate()[1]
        assert set(gate.calls[count:]) <= {"ec2:DeleteKeyPair"}, "it may clear its own lock away, by its id"
    assert site.plan("00_provision").work == ()
    assert len(vpcs(site)) == 1
    assert key_pairs(site) == ["demo-operator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_ended_or_interrupted_takes_the_lock_down(params: Params, number: signal.Signals) -> None:
    lock = aws.connect(params).lock
    with operator(IDLER, params, KEY, "60") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        posted = lock.look()
        assert posted is not None
        assert origin.process_ended(posted.facts["Process"]) is False
        other.send_signal(number)
        assert other.wait(300) == -number
        assert origin.process_ended(posted.facts["Process"]) is True
    assert lock.look() is None


def test_a_lock_whose_answer_never_came_is_ones_own(params: Params, gate: Gate) -> None:
    gate.cut = "ec2:ImportKeyPair"
    lock = aws.connect(params).lock
    with held(lock, "00_provision", KEY) as lease:
        lease.check()
        assert gate.cut == ""
    assert lock.look() is None


# ---- one lock --------------------------------------------------------------------------------------------------


def test_of_many_who_find_a_stale_lock_one_gets_it(params: Params, gate: Gate) -> None:
    stale = {"Holder": "somebody@gone", "Step": "00_provision", "Lease": "1", "Renewed": "2020-01-01T00:00:00+00:00"}
    assert aws.connect(params).lock.post(KEY, stale)
    together, done = threading.Barrier(8), threading.Barrier(8)
    told: list[str] = []

    def take(number: int) -> str:
        lock = aws.connect(params).lock
        together.wait(300)
        try:
            with held(lock, f"taker {number}", KEY, tell=told.append) as lease:
                done.wait(300)
                lease.check()
                posted = lock.look()
                assert posted is not None
                return posted.facts["Step"]
        except LockError as error:
            done.wait(300)
            return str(error.message)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(take, range(8)))
    refused = "demo is being changed by somebody else"
    (winner,) = [number for number, result in enumerate(results) if result != refused]
    assert results[winner] == f"taker {winner}"
    assert any("taking over from somebody@gone, in 00_provision" in line for line in told)
    assert aws.connect(params).lock.look() is None


def test_a_holder_whose_clock_is_wrong_is_seen_to_live(params: Params) -> None:
    lock = aws.connect(params).lock
    slow = {"Holder": "somebody@far", "Step": "00_provision", "Lease": "6", "Renewed": "2020-01-01T00:00:00+00:00"}
    id = lock.post(KEY, slow)
    assert id
    end = threading.Event()

    def renew() -> None:
        for second in range(1, 60):
            if end.wait(0.3):
                return
            lock.renew(id, {**slow, "Renewed": f"2020-01-01T00:00:{second:02}+00:00"})

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(LockError, match="somebody@far"), held(lock, "01_bootstrap", KEY, tell=lambda _: None):
            pass
    finally:
        end.set()
        thread.join()
    posted = lock.look()
    assert posted is not None
    assert posted.id == id


def test_a_lock_that_somebody_removed_is_lost_and_its_successor_stays(params: Params) -> None:
    lock = aws.connect(params).lock
    with held(lock, "00_provision", KEY, seconds=6) as lease:
        posted = lock.look()
        assert posted is not None
        lock.remove(posted.id)
        assert (other := lock.post(KEY, {"Holder": "another@here"}))

        def lost() -> str:
            try:
                lease.check()
            except LockError as error:
                return str(error.seen)
            return ""

        assert "taken over or removed" in wait.until(lost, bool, what="the loss to be noticed", timeout=120)
    posted = lock.look()
    assert posted is not None
    assert (posted.id, posted.facts["Holder"]) == (other, "another@here")


def test_the_lock_is_renewed_and_says_what_is_done(params: Params) -> None:
    lock = aws.connect(params).lock
    with held(lock, "03_traefik", KEY, seconds=6):
        first = lock.look()
        assert first is not None
        assert (first.facts["Deployment"], first.facts["Step"], lease_of(first.facts)) == ("demo", "03_traefik", 6)
        later = wait.until(lock.look, lambda now: now != first, what="a renewal", timeout=120)
        assert later is not None
        assert {name for name in first.facts if first.facts[name] != later.facts[name]} == {"Renewed"}


# ---- judging ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "ended", "expected"),
    [
        ({"Renewed": "2026-01-01T11:59:30+00:00", "Lease": "60"}, False, "alive"),
        ({"Renewed": "2026-01-01T11:58:30+00:00", "Lease": "60"}, False, "silent"),
        ({"Renewed": "2026-01-01T11:58:30+00:00", "Lease": "120"}, False, "alive"),
        ({"Renewed": "2026-01-01T12:00:30+00:00", "Lease": "60"}, False, "alive"),
        # A clock that far ahead tells nothing: it is watched.
        ({"Renewed": "2026-01-01T12:30:00+00:00", "Lease": "60"}, False, "silent"),
        ({"Renewed": "2026-01-01T11:59:59+00:00", "Lease": "60"}, True, "dead"),
        ({"Renewed": "yesterday", "Lease": "a while"}, False, "silent"),
        ({"Renewed": "2026-01-01T11:59:59"}, False, "silent"),
        ({}, False, "silent"),
    ],
)
def test_a_holder_is_judged_at_first_sight(facts: dict[str, str], ended: bool, expected: str) -> None:
    judge: Callable[[str], bool] = lambda process: ended  # noqa: E731 - a table's word
    assert life(facts, NOON, judge) == expected
    assert life({**facts, "Renewed": (NOON - timedelta(days=1)).isoformat()}, NOON, judge) != "alive"


@pytest.mark.parametrize("known", ["", "a/b/c/d", "//1/1", "other/{pid}/1/1"])
def test_a_process_of_elsewhere_is_not_known_to_have_ended(known: str) -> None:
    assert origin.process_ended(known.format(pid=os.getpid())) is False


def test_a_number_that_another_process_has_now_is_no_sign_of_life() -> None:
    boot, world, number, start = origin.process().split("/")
    assert origin.process_ended(f"{boot}/{world}/{number}/{int(start) - 1}") is True
