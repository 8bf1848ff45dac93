"""What pydantic says of parameters, in the runbook's words."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from .errors import ParameterError


def explain(error: ValidationError, source: str, led: Mapping[str, str], found: Mapping[str, str]) -> ParameterError:
    """The refusal of values, by the first of them that cannot be.

    Args:
        error: what the rules of ``Params`` said.
        source: where the values are from.
        led: by the parameter's name, the references among the values.
        found: what these lead to, which the refusal does not show.
    """
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        field, expected, seen = str(first["loc"][0]), message, repr(first["input"])
    else:
        field, _, rest = message.partition(": ")
        expected, _, value = rest.partition("|")
        seen = repr(value)
    for name, value in found.items():
        if name == field:
            # What is in brackets may quote a part of the value.
            expected, seen = expected.partition(" (")[0], led[name]
        expected, seen = expected.replace(value, led[name]), seen.replace(value, led[name])
    count = error.error_count()
    return ParameterError(
        f"the parameter {field} cannot be used" + (f" (and {count - 1} more are wrong)" if count > 1 else ""),
        resource=field,
        expected=expected,
        seen=f"{seen} (from {source})",
        remedy=f"correct {field}; nothing was created",
    )
