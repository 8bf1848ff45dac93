"""Parameters that lead to a value instead of holding it: ``env:NAME``, ``file:PATH`` and ``secret:NAME``.

What a reference leads to is a secret. Records keep the reference, so that a run can be repeated from its record.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .errors import ParameterError

KINDS = ("env", "file", "secret")
SHORTEST, LONGEST = 8, 16_384  # characters of a value: shorter is no secret, longer does not fit into one event

# A deployment's secret by its name, or ``None``.
Secrets = Callable[[str], str | None]


def is_reference(value: object) -> bool:
    """Whether a parameter's value leads to another one."""
    return isinstance(value, str) and value.partition(":")[0] in KINDS and ":" in value


def resolve(name: str, reference: str, secrets: Secrets) -> str:
    """The value that a reference leads to.

    Args:
        name: the parameter's, for messages.
        reference: ``env:NAME``, an environment variable; ``file:PATH``, a file's content but for the line ends after
            it, ``~`` being the home; ``secret:NAME``, out of the deployment's secret store.
        secrets: asked for the third kind.

    Raises:
        ParameterError: it leads nowhere, or to what is too short or too long. No message tells the value.
        PrerequisiteError: the secret store cannot be used.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        found = os.environ.get(where)
        missing, remedy = "no such environment variable", f"set {where}, and export it"
    elif kind == "file":
        found, missing = _content(Path(where).expanduser())
        remedy = f"give the path of a text file that you can read in {name}"
    else:
        found = secrets(where)
        missing, remedy = "no such secret in the deployment's store", f"put {where} there first, or correct the name"
    if found is None:
        raise _refused(name, reference, "something that is there", missing, remedy)
    if not SHORTEST <= len(found) <= LONGEST:
        raise _refused(
            name,
            reference,
            f"a value of {SHORTEST} to {LONGEST} characters, as shorter ones cannot be kept out of records",
            f"one of {len(found)}",
            f"write it into {name} itself if it is no secret, or choose another",
        )
    return found


def _content(path: Path) -> tuple[str | None, str]:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n"), ""
    except OSError as error:
        return None, error.strerror or type(error).__name__
    except UnicodeDecodeError:
        return None, "a file that is no UTF-8 text"


def _refused(name: str, reference: str, expected: str, seen: str, remedy: str) -> ParameterError:
    return ParameterError(
        f"the reference in the parameter {name} leads to nothing that can be used",
        resource=name,
        expected=expected,
        seen=f"{reference}: {seen}",
        remedy=remedy,
    )
