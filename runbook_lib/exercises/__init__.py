"""Exercises: something to change in the running infrastructure, and a look whether it was.

One module a step; each lists its exercises in ``EXERCISES``. What is to be done, and the hint, stand in the notebook.
A check looks at the clouds, the hosts, Consul and Traefik as they are now; nobody is asked for an answer's text. It
changes nothing, and that an exercise is not done is no error: the cells run in every walk.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

from .. import markup
from ..checks import Check, Checks
from ..errors import ParameterError, RunbookError
from ..site import Site

# Module of this package, by the first two digits of its step.
_MODULES = {
    "00": "provision",
    "01": "bootstrap",
    "02": "federate",
    "03": "traefik",
    "04": "service",
    "05": "teardown",
    "06": "resilience",
}


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Args:
        name: the step's two digits and what it is about, for example ``00-open-a-port``.
        goal: what is so once it is done, one sentence.
        look: the observations that tell; pure looking, and every one of them fails or agrees by itself.
    """

    name: str
    goal: str
    look: Callable[[Site], Iterable[Check]]


@dataclass(frozen=True, slots=True)
class State:
    """How far an exercise is.

    Args:
        exercise: which.
        checks: what was looked at.
        problem: why it could not be looked at to the end; empty if it could.
    """

    exercise: Exercise
    checks: Checks
    problem: str = ""

    @property
    def done(self) -> bool:
        """Whether everything that was looked at agrees."""
        return bool(self.checks) and not self.problem and not self.checks.failed

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self._verdict, self.checks.plain() if self.checks else "", self.problem)))

    def _repr_html_(self) -> str:
        table = self.checks.table() if self.checks else ""  # what to look at is for the learner to find
        problem = markup.pre(self.problem) if self.problem else ""
        return f"<p><b>{html.escape(self._verdict)}</b></p>{table}{problem}"

    @property
    def _verdict(self) -> str:
        return f"{'Done' if self.done else 'Not yet'}: {self.exercise.goal}"


def check(site: Site, name: str) -> State:
    """Look whether an exercise is done; run it as often as you like.

    Args:
        site: the deployment.
        name: the exercise's name.

    Raises:
        ParameterError: there is no exercise of that name.
    """
    exercise = _exercise(name)
    seen: list[Check] = []
    try:
        site.refresh()  # somebody may have replaced a host, the bastion even, since the last look
        seen.extend(exercise.look(site))
    except RunbookError as error:  # a step that has not run, a host that is away: it is not done, and this is why
        return State(exercise, Checks(seen), str(error))
    return State(exercise, Checks(seen))


def exercises(step: str) -> Mapping[str, Exercise]:
    """The exercises of a step, by name; of a step without any, none.

    Args:
        step: its two digits, or its whole name.
    """
    module = _MODULES.get(step[:2])
    if module is None:
        return {}
    return {one.name: one for one in import_module(f".{module}", __name__).EXERCISES}


def _exercise(name: str) -> Exercise:
    found = exercises(name)
    if name not in found:
        every = [one for step in _MODULES for one in exercises(step)]
        raise ParameterError(
            "there is no such exercise",
            resource="name",
            expected=", ".join(found or every),
            seen=name,
            remedy="take the name from the notebook",
        )
    return found[name]
