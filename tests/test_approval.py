"""A yes to exactly one plan: asked for, issued beforehand, or missing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from runbook_lib.approval import LONGEST, issue, plan_hash, prompt, require
from runbook_lib.errors import ApprovalError, ParameterError, RunbookError
from runbook_lib.params import Params
from runbook_lib.plan import Plan, plan
from runbook_lib.resources import Found
from runbook_lib.topology import topology
from tests.conftest import Recorder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return Params(keys=str(tmp_path / "keys"), approval="required")


def first(params: Params, found: dict[str, Found] | None = None) -> Plan:
    wanted = topology(params, public_key="ssh-ed25519 AAAA", script=lambda p, cloud, role, name: name)
    return plan(wanted, found or {}, "00_provision")


def digest(params: Params, made: Plan | None = None) -> str:
    return plan_hash(made or first(params), params.recorded())


def nobody(question: str) -> None:
    return None


def approval_file(params: Params) -> Path:
    return Path(params.keys) / "demo" / "approvals" / f"{digest(params)}.json"


# ---- the hash ----------------------------------------------------------------------------------------------


def test_the_same_plan_made_anew_has_the_same_hash(params: Params) -> None:
    assert digest(params) == digest(params.model_copy())
    made = first(params)
    assert digest(params, replace(made, actions=tuple(reversed(made.actions)))) == digest(params)


def test_another_deed_parameter_or_step_is_another_plan(params: Params) -> None:
    made = first(params)
    vpc = Found("aws:vpc:demo-vpc", "vpc-1")
    other = Found("aws:vpc:demo-vpc#vpc-2", "vpc-2")
    hashes = {
        digest(params),
        digest(params.model_copy(update={"aws_instance_type": "t3.large"})),
        digest(params, replace(made, step="05_teardown")),
        digest(params, replace(made, actions=made.actions[:-1])),
        digest(params, replace(made, actions=(replace(made.actions[0], verb="destroy"), *made.actions[1:]))),
        digest(params, replace(made, actions=(replace(made.actions[0], changes=("cidr",)), *made.actions[1:]))),
        digest(params, first(params, {other.key: other})),
        digest(params, first(params, {other.key: replace(other, id="vpc-3")})),
        digest(params, first(params, {vpc.key: vpc})),
    }
    assert len(hashes) == 9


# ---- issued beforehand -------------------------------------------------------------------------------------


def test_an_issued_approval_lets_exactly_its_plan_through_and_is_told(params: Params, recorder: Recorder) -> None:
    issued = issue(params, digest(params), 60, now=NOW)
    assert require(params, first(params), ask=nobody, now=NOW + timedelta(minutes=59)) == issued
    assert require(params, first(params), ask=nobody, now=NOW) == issued, "it counts until it expires"
    assert (issued.way, issued.expires) == ("issued", "2026-01-02T04:04:05+00:00")
    assert [event["kind"] for event in recorder.take()] == ["approval"] * 2
    assert recorder.take()[0]["plan"] == digest(params)
    with pytest.raises(ApprovalError, match="needs an approval"):
        require(params.model_copy(update={"traefiks": 3}), first(params), ask=nobody, now=NOW)


def test_its_file_is_its_owner_s(params: Params) -> None:
    issue(params, digest(params), 60)
    assert approval_file(params).stat().st_mode & 0o777 == 0o600
    assert approval_file(params).parent.stat().st_mode & 0o777 == 0o700


def test_a_later_approval_takes_the_place_of_an_expired_one(params: Params) -> None:
    issue(params, digest(params), 1, now=NOW - timedelta(days=1))
    issue(params, digest(params), 1, now=NOW)
    assert require(params, first(params), ask=nobody, now=NOW).way == "issued"


def test_without_one_the_error_says_what_is_planned_and_how_to_approve_it(params: Params) -> None:
    made = first(params)
    with pytest.raises(ApprovalError) as refused:
        require(params, made, ask=nobody, now=NOW)
    told = str(refused.value)
    assert f"the plan of 00_provision needs an approval: {len(made.work)} to create" in told
    assert f"runbook approve {digest(params)} -f" in told
    assert "another plan" in refused.value.remedy


@pytest.mark.parametrize(
    ("issued", "minutes", "said"),
    [
        (NOW - timedelta(minutes=60), 60, "an approval until 2026-01-02T03:04:05"),
        (NOW - timedelta(days=3), 60, "an approval until"),
        (NOW + timedelta(minutes=10), 60, "dated in the future"),
    ],
)
def test_an_approval_that_does_not_count_now_is_refused(
    params: Params, issued: datetime, minutes: int, said: str
) -> None:
    issue(params, digest(params), minutes, now=issued)
    with pytest.raises(ApprovalError) as refused:
        require(params, first(params), ask=nobody, now=NOW)
    assert said in str(refused.value.seen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plan": "0" * 64}, f"an approval of plan {'0' * 64} of demo"),
        ({"deployment": "other"}, "of other"),
        ({"expires": "2027-01-02T03:04:05+00:00"}, "an approval until 2027"),
        ({"expires": ""}, "not an approval"),
        ({"expires": "2026-01-02T04:04:05"}, "not an approval"),
        ({"way": "prompt"}, "not an approval"),
        ({"more": 1}, "not an approval"),
        ({"at": None}, "not an approval"),
        ({"by": 7}, "not an approval"),
    ],
)
def test_an_approval_that_was_changed_is_refused(params: Params, change: dict[str, Any], said: str) -> None:
    issue(params, digest(params), 60, now=NOW)
    file = approval_file(params)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ApprovalError) as refused:
        require(params, first(params), ask=nobody, now=NOW)
    assert said in str(refused.value.seen)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "7"])
def test_a_damaged_file_is_refused(params: Params, content: str) -> None:
    issue(params, digest(params), 60, now=NOW)
    approval_file(params).write_text(content)
    with pytest.raises(ApprovalError, match="not an approval"):
        require(params, first(params), ask=nobody, now=NOW)


def test_a_file_that_others_can_read_or_write_is_refused(params: Params) -> None:
    issue(params, digest(params), 60, now=NOW)
    approval_file(params).chmod(0o666)
    with pytest.raises(ApprovalError) as refused:
        require(params, first(params), ask=nobody, now=NOW)
    assert "mode 666" in str(refused.value.seen)
    assert "chmod 600" in refused.value.remedy


@pytest.mark.parametrize(
    ("plan", "minutes"), [("abc", 60), ("../" + "0" * 61, 60), ("0" * 64, 0), ("0" * 64, LONGEST + 1)]
)
def test_what_cannot_be_issued_is_refused(params: Params, plan: str, minutes: int) -> None:
    with pytest.raises(ParameterError):
        issue(params, plan, minutes)


def test_a_folder_that_cannot_be_written_is_named(params: Params) -> None:
    Path(params.keys).mkdir()
    (Path(params.keys) / "demo").write_text("a file where the folder should be")
    with pytest.raises(RunbookError, match="approval cannot be written"):
        issue(params, "0" * 64, 60)


# ---- asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["yes", " YES\n"])
def test_a_yes_at_the_prompt_is_an_approval(params: Params, recorder: Recorder, answer: str) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return answer

    approval = require(params, first(params), ask=ask, now=NOW)
    assert (approval.way, approval.plan) == ("prompt", digest(params))
    assert "to create" in asked[0]
    (told,) = recorder.take()
    assert (told["kind"], told["way"], told["by"]) == ("approval", "prompt", approval.by)


@pytest.mark.parametrize("answer", ["", "y", "no", "yes please"])
def test_anything_else_is_none(params: Params, recorder: Recorder, answer: str) -> None:
    with pytest.raises(ApprovalError, match="was not approved"):
        require(params, first(params), ask=lambda _: answer, now=NOW)
    assert recorder.take() == []


def test_whoever_issued_one_is_not_asked_again(params: Params) -> None:
    issue(params, digest(params), 60, now=NOW)
    assert require(params, first(params), ask=lambda _: pytest.fail("asked"), now=NOW).way == "issued"


def test_nobody_is_asked_where_nobody_sits() -> None:
    assert prompt("? ") is None


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(env={**os.environ})
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(("allowed", "printed"), [(True, "'yes'"), (False, "None")])
def test_a_kernel_asks_if_its_front_end_can_answer(kernel: Any, allowed: bool, printed: str) -> None:
    outputs: list[str] = []

    def hook(message: Any) -> None:
        if message["msg_type"] == "stream":
            outputs.append(message["content"]["text"])

    kernel.execute_interactive(
        "from runbook_lib.approval import prompt\nprint(repr(prompt('? ')))",
        allow_stdin=allowed,
        stdin_hook=lambda message: kernel.input("yes"),
        output_hook=hook,
        timeout=60,
    )
    assert "".join(outputs).strip().endswith(printed)
