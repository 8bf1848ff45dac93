"""The policy and the role are what the table says. That the table is right is tests/clouds/test_permissions.py's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from runbook_lib import cli
from runbook_lib.params import Params
from runbook_lib.permissions import NAMES, needed, policy, role, uses
from runbook_lib.permissions.table import BESIDES, KINDS, READS
from runbook_lib.resources import CLOUDS, STEPS
from runbook_lib.topology import topology

LARGEST = 6144  # characters of a managed policy without white space, IAM's quota
MOST = 3000  # permissions of a custom role, GCP's quota


@pytest.fixture
def invoke() -> Callable[..., Result]:
    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.runbook, ("permissions", *words))

    return run


def test_the_table_knows_every_kind_and_no_other() -> None:
    wanted = topology(Params(), public_key="ssh-ed25519 none", script=lambda *_: "")
    for cloud in CLOUDS:
        assert {r.kind for r in wanted.resources if r.cloud == cloud} == KINDS[cloud].keys()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_may_make_what_it_makes_and_little_else(step: str) -> None:
    wanted = topology(Params(), public_key="ssh-ed25519 none", script=lambda *_: "")
    for cloud in CLOUDS:
        kinds = {r.kind for r in wanted.step(step) if r.cloud == cloud}
        created = {action for kind in kinds for action in KINDS[cloud][kind]["create"]}
        may = set(needed(cloud, [step]))
        assert created <= may
        strange = {a for kind, verbs in KINDS[cloud].items() if kind not in kinds for a in verbs["create"]} - created
        # What another verb, a look or any change at all needs as well is no surplus.
        common = {a for verbs in KINDS[cloud].values() for verb in ("change", "destroy") for a in verbs.get(verb, ())}
        besides = {a for purposes in (READS, BESIDES) for some in purposes[cloud].values() for a in some}
        assert not (may & strange) - common - besides


def test_all_together_need_what_each_needs() -> None:
    for cloud in CLOUDS:
        assert set(needed(cloud)) == {action for name in NAMES for action in needed(cloud, [name])}
        assert [use.action for use in uses(cloud)] == sorted(needed(cloud))


def test_the_policy_allows_iam_s_actions_on_the_deployment_s_role_only() -> None:
    document = policy("blue")
    everything, of_role = document["Statement"]
    assert everything["Resource"] == "*"
    assert [action for action in everything["Action"] if action.startswith("iam:")] == ["iam:SimulatePrincipalPolicy"]
    assert all(action.startswith("iam:") for action in of_role["Action"])
    assert of_role["Resource"] == [
        "arn:aws:iam::*:role/blue-ec2-describe-instances",
        "arn:aws:iam::*:instance-profile/blue-ec2-describe-instances",
    ]
    assert sorted([*everything["Action"], *of_role["Action"]]) == list(needed("aws"))


def test_policy_and_role_keep_to_the_clouds_quotas() -> None:
    assert len("".join(json.dumps(policy("d" * 30)).split())) <= LARGEST
    assert len(role("blue")["includedPermissions"]) <= MOST


def test_looking_alone_changes_nothing() -> None:
    for cloud in CLOUDS:
        for action in needed(cloud, ["02_federate"]):
            assert action.partition(":")[2].startswith(("Describe", "Get")) or action.endswith((".list", ".get"))


def test_the_command_prints_what_the_clouds_tools_take(invoke: Callable[..., Result]) -> None:
    assert json.loads(invoke("--format", "policy", "-p", "deployment", "blue").stdout) == policy("blue")
    assert yaml.safe_load(invoke("05", "--format", "role").stdout) == role("demo", ["05_teardown"])


def test_the_command_s_table_is_of_the_steps_and_cloud_asked_for(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = invoke("doctor", "--cloud", "aws").stdout
    listed = {line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")}
    assert listed == set(needed("aws", ["doctor"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [(("07",), "there is no step called 07"), (("--format", "role", "--cloud", "aws"), "leave out --cloud aws")],
)
def test_wrong_words_are_one_message(invoke: Callable[..., Result], words: tuple[str, ...], message: Any) -> None:
    result = invoke(*words)
    assert result.exit_code == cli.USAGE
    assert message in result.stderr
    assert result.stdout == ""
