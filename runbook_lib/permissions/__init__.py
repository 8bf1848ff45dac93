"""The least that the credentials must be allowed: as a table, an IAM policy, a GCP role. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..resources import OPTIONAL, STEPS, CloudName
from ..topology.names import role_name
from .table import BESIDES, KINDS, READS, Verb

__all__ = ["CHECK", "NAMES", "Use", "needed", "policy", "role", "uses"]

CHECK = "doctor"
# All that permissions can be asked for: the notebooks, and `runbook doctor -f`.
NAMES = (*STEPS, *OPTIONAL, CHECK)
# Which steps need what is only asked.
_READ_BY: Mapping[str, tuple[str, ...]] = {
    "look": NAMES,
    "check the parameters": ("00_provision", CHECK),
    "read consoles": ("01_bootstrap",),
    "doctor": (CHECK,),
}
# Which kinds a step makes, brings in line and replaces; and which it destroys. ``None`` is every kind.
_MAKES: Mapping[str, tuple[str, ...] | None] = {
    "00_provision": None,
    "01_bootstrap": ("instance",),
    "03_traefik": ("instance",),
    "04_test": ("instance",),
    "06_resilience": None,  # a bastion that it destroyed is made again by 00's plan
}
_DESTROYS: Mapping[str, tuple[str, ...] | None] = {**_MAKES, "05_teardown": None}


@dataclass(frozen=True, slots=True)
class Use:
    """One permission, and what it is for.

    Args:
        cloud: whose it is.
        action: AWS's action or GCP's permission.
        purposes: what needs it, for example ``create vpc``.
        steps: the notebooks that need it.
    """

    cloud: CloudName
    action: str
    purposes: tuple[str, ...]
    steps: tuple[str, ...]


def uses(cloud: CloudName) -> tuple[Use, ...]:
    """Every permission in one cloud with its purposes and steps, in the order of their names."""
    found: dict[str, tuple[list[str], set[str]]] = {}
    for action, purpose, steps in _rows(cloud):
        purposes, of = found.setdefault(action, ([], set()))
        purposes.append(purpose)
        of.update(steps)
    return tuple(
        Use(cloud, action, tuple(dict.fromkeys(purposes)), tuple(name for name in NAMES if name in of))
        for action, (purposes, of) in sorted(found.items())
    )


def needed(cloud: CloudName, steps: Sequence[str] = ()) -> tuple[str, ...]:
    """The permissions that some steps need in one cloud; without any, all of ``NAMES``.

    A step may have to replace what differs from what is wanted, so one that makes a kind may also destroy it.
    """
    wanted = set(steps or NAMES)
    return tuple(use.action for use in uses(cloud) if wanted & {*use.steps})


def policy(deployment: str, steps: Sequence[str] = ()) -> dict[str, Any]:
    """An IAM policy that allows what some steps need.

    IAM's actions are allowed on the deployment's role and instance profile only. EC2's cannot be told apart so simply:
    most of what is described, made or wired together has no name beforehand, so they are allowed on everything.

    Args:
        deployment: name of the deployment, part of the role's name.
        steps: as for ``needed``.
    """
    of_role = [f"arn:aws:iam::*:{kind}/{role_name(deployment)}" for kind in ("role", "instance-profile")]
    groups: dict[str, list[str]] = {}
    for action in needed("aws", steps):
        named = action.startswith("iam:") and action not in READS["aws"]["doctor"]
        groups.setdefault("TheInstancesRole" if named else "Everything", []).append(action)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Action": actions,
                "Resource": of_role if sid == "TheInstancesRole" else "*",
            }
            for sid, actions in groups.items()
        ],
    }


def role(deployment: str, steps: Sequence[str] = ()) -> dict[str, Any]:
    """A custom role, as ``gcloud iam roles create --file`` takes it, that allows what some steps need.

    Args:
        deployment: name of the deployment, for the title.
        steps: as for ``needed``.
    """
    what = ", ".join(steps) or "every step"
    return {
        "title": f"Runbook {deployment}",
        "description": f"The least that {what} of the multi-cloud runbook needs.",
        "stage": "GA",
        "includedPermissions": list(needed("gcp", steps)),
    }


def _rows(cloud: CloudName) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for purpose, actions in READS[cloud].items():
        for action in actions:
            yield action, purpose, _READ_BY[purpose]
    for purpose, actions in BESIDES[cloud].items():
        for action in actions:
            yield action, purpose, tuple(_DESTROYS)
    for kind, verbs in KINDS[cloud].items():
        for verb, actions in verbs.items():
            for action in actions:
                yield action, f"{verb} {kind}", _steps(kind, verb)


def _steps(kind: str, verb: Verb) -> tuple[str, ...]:
    of = _DESTROYS if verb == "destroy" else _MAKES
    return tuple(step for step, kinds in of.items() if kinds is None or kind in kinds)
