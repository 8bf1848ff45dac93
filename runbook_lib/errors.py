"""Every error that the runbook raises on purpose.

    RunbookError                 anything a user can act on
    ├── ParameterError           a parameter file, notebook value or option is wrong
    ├── PrerequisiteError        an earlier step, a tool or a permission is missing
    ├── CloudError               a cloud's API refused or failed
    ├── AccessError              a host, tunnel or command over SSH failed
    ├── WaitTimeout              something did not become so in time
    ├── CheckFailed              a check saw something else than it expected
    ├── ApprovalError            a plan may not be carried out without somebody's yes
    ├── LockError                somebody else is changing the deployment
    ├── RecordError              a record is missing, unreadable or not what it was
    └── RunFailed                a notebook did not run to its end

Each carries the same five facts, so that a message always tells a reader where to look and what to do.
"""

from __future__ import annotations


class RunbookError(Exception):
    """An error with a remedy.

    Args:
        message: what happened, one sentence.
        step: the notebook or command during which it happened, for example ``01_bootstrap``.
        resource: what it happened to, for example ``aws subnet demo-private-a`` or a field's name.
        expected: what was wanted.
        seen: what was there instead.
        remedy: what the reader can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        step: str = "",
        resource: str = "",
        expected: object = "",
        seen: object = "",
        remedy: str = "",
    ) -> None:
        self.message = message
        self.step = step
        self.resource = resource
        self.expected = expected
        self.seen = seen
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        for label, value in (
            ("step", self.step),
            ("resource", self.resource),
            ("expected", self.expected),
            ("seen", self.seen),
            ("what to do", self.remedy),
        ):
            if value not in ("", None):
                lines.append(f"  {label + ':':<12} {value}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows for it: what happened and what to do, instead of the library's inside first."""
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError):
    """A parameter file, notebook value or command-line option is wrong; nothing was created."""


class PrerequisiteError(RunbookError):
    """Something that must be there first is not: an earlier step, a tool, a permission."""


class CloudError(RunbookError):
    """A cloud's API refused a call or reported a failed operation."""


class AccessError(RunbookError):
    """A host could not be reached over SSH, or a command or transfer on it failed."""


class WaitTimeout(RunbookError):
    """Something did not become so in time; ``seen`` is what was last observed."""


class CheckFailed(RunbookError):
    """At least one check saw something else than it expected."""


class ApprovalError(RunbookError):
    """A plan may not be carried out without an approval, and there is none that fits."""


class LockError(RunbookError):
    """Somebody else is changing the deployment, or has taken it over; nothing more was begun."""


class RecordError(RunbookError):
    """The record of a run is missing, unreadable, or not what it was when it was made."""


class RunFailed(RunbookError):
    """A notebook did not run to its end."""
