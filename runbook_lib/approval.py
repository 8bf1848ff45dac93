"""Somebody's yes before anything is created or destroyed: asked for in JupyterLab, issued beforehand elsewhere.

An approval is for one plan, known by its hash, and counts until it expires. One that was issued beforehand is a file
in ``<params.keys>/<deployment>/approvals``, mode 0600. It is not signed: whoever can write there could also read a
key beside it, and has the operator's SSH key anyway.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from . import events, keys, private_files
from .archive import origin
from .errors import ApprovalError, ParameterError, PrerequisiteError
from .params import Params
from .plan import Plan

LONGEST = 7 * 24 * 60  # minutes: a week, after which a plan should be looked at again
SKEW = timedelta(minutes=2)  # by which two machines' clocks may differ

# Shows a question and returns the answer; ``None`` where nobody can be asked.
Ask = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Approval:
    """A yes to one plan.

    Args:
        plan: the plan's hash.
        by: account that said it.
        at: when, UTC, ISO 8601.
        expires: until when it counts; empty for a yes at the prompt, which counts at once and once.
        way: ``prompt`` or ``issued``.
    """

    plan: str
    by: str
    at: str
    expires: str
    way: Literal["prompt", "issued"]


def plan_hash(plan: Plan, recorded: Mapping[str, Any]) -> str:
    """SHA-256 of what a plan does, in hex: the same whenever the same would be done with the same parameters.

    Args:
        plan: what is to be done; what is kept as it is does not count.
        recorded: the parameters as ``Params.recorded`` gives them.
    """
    work = [
        [a.verb, a.key, a.reason, sorted(a.changes), a.found.id if a.found else ""]
        for a in sorted(plan.work, key=lambda action: (action.key, action.verb))
    ]
    content = {"deployment": recorded["deployment"], "step": plan.step, "work": work, "parameters": dict(recorded)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def issue(params: Params, plan: str, minutes: int, *, now: datetime | None = None) -> Approval:
    """Approve a plan beforehand; an earlier approval of the same plan is replaced.

    Args:
        params: the deployment.
        plan: the plan's hash, as ``require`` tells it.
        minutes: how long it counts, up to a week.
        now: the time; the clock's by default.

    Raises:
        ParameterError: that is no hash, or the time is out of bounds.
        PrerequisiteError: the file cannot be written.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", plan):
        raise ParameterError(
            "that is no plan's hash",
            resource="HASH",
            expected="64 hex digits, as the refused step or `runbook plan` shows them",
            seen=plan,
        )
    if not 1 <= minutes <= LONGEST:
        raise ParameterError(
            "an approval cannot count for so long", resource="--for", expected=f"1 to {LONGEST} minutes", seen=minutes
        )
    at = now or datetime.now(UTC)
    approval = Approval(plan, _user(), _text(at), _text(at + timedelta(minutes=minutes)), "issued")
    file = _file(params, plan)
    content = {**asdict(approval), "deployment": params.deployment}
    try:
        file.unlink(missing_ok=True)
        private_files.create(file, (json.dumps(content, indent=2) + "\n").encode("ascii"))
    except OSError as error:
        raise PrerequisiteError(
            "the approval cannot be written",
            resource=str(file),
            seen=error,
            remedy="make the folder writable for yourself, or choose another one with the parameter keys",
        ) from None
    return approval


def require(params: Params, plan: Plan, *, ask: Ask | None = None, now: datetime | None = None) -> Approval:
    """The approval of a plan, which is also told to the recorder.

    Args:
        params: the deployment.
        plan: what is to be done.
        ask: asks whoever sits there; by default at the notebook's or terminal's prompt, if there is one.
        now: the time; the clock's by default.

    Raises:
        ApprovalError: nobody said yes, or the approval there is expired, of another plan, dated in the future,
            damaged or open to others.
    """
    digest, at = plan_hash(plan, params.recorded()), now or datetime.now(UTC)
    try:
        approval = _issued(params, plan, digest, at)
    except ApprovalError:
        answer = (ask or prompt)(f"{plan}\nType yes to do this: ")
        if answer is None:
            raise
        if answer.strip().lower() != "yes":
            raise ApprovalError(
                f"the plan of {plan.step} was not approved",
                step=plan.step,
                resource=digest,
                expected="yes",
                seen=answer.strip() or "an empty line",
                remedy="nothing was done; run the cell again to be asked again",
            ) from None
        approval = Approval(digest, _user(), _text(at), "", "prompt")
    events.emit(events.APPROVAL, must_arrive=True, **asdict(approval))
    return approval


def prompt(question: str) -> str | None:
    """Ask at the prompt of a notebook or terminal; ``None`` if there is none, as in a run without anybody there."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive else None
    if getattr(shell, "kernel", None) is None and not sys.stdin.isatty():
        return None
    try:
        return input(question)
    except (NotImplementedError, EOFError):  # a kernel without a front end that could answer
        return None


def _issued(params: Params, plan: Plan, digest: str, now: datetime) -> Approval:
    """The approval issued for exactly this plan.

    Raises:
        ApprovalError: there is none, or it does not count.
    """
    file = _file(params, digest)

    def refused(seen: object, expected: str = "an approval of exactly this plan", remedy: str = "") -> ApprovalError:
        again = f"look through the plan, then: runbook approve {digest} -f FILE, with the files of this run; run again"
        return ApprovalError(
            f"the plan of {plan.step} needs an approval: {', '.join(f'{n} to {v}' for v, n in _deeds(plan))}",
            step=plan.step,
            resource=f"plan {digest} of {params.deployment}",
            expected=expected,
            seen=seen,
            remedy=(remedy or again) + ". If it breaks off, what is left to do is another plan and needs its own",
        )

    try:
        text = private_files.read(file, "the approval")
    except FileNotFoundError:
        raise refused("none") from None
    except PrerequisiteError as error:
        raise refused(f"{file}: {error.seen}", "a file of mode 600", error.remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise refused(f"{file}: {error}") from None
    try:
        content = json.loads(text)
        deployment = content.pop("deployment")
        approval = Approval(**content)
        at, expires = (datetime.fromisoformat(time) for time in (approval.at, approval.expires))
        if approval.way != "issued" or not isinstance(approval.by, str) or None in (at.tzinfo, expires.tzinfo):
            raise ValueError("not an issued approval")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise refused(f"{file}: not an approval as runbook approve writes it") from None
    if (approval.plan, deployment) != (digest, params.deployment):
        raise refused(f"{file}: an approval of plan {approval.plan} of {deployment}")
    if at > now + SKEW:
        raise refused(f"an approval dated in the future, {approval.at}", f"one from before {_text(now)}")
    if expires <= now or expires - at > timedelta(minutes=LONGEST):
        raise refused(f"an approval until {approval.expires}", f"one that counts at {_text(now)}")
    return approval


def _deeds(plan: Plan) -> list[tuple[str, int]]:
    return [(verb, count) for verb, count in plan.counts.items() if verb != "keep"]


def _file(params: Params, plan: str) -> Path:
    return keys.folder(params) / "approvals" / f"{plan}.json"


def _user() -> str:
    who = origin.identity()
    return str(who.get("login") or who["user"])


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
