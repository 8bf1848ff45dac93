"""Parameters as they are given, by files and on the command line, and where each of them is from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from .errors import ParameterError
from .params import Params, read_file, unknown_parameter

DEFAULT, COMMAND_LINE = "default", "command line"


def provenance(files: Sequence[Path], values: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was given, and where each parameter is from.

    Args:
        files: parameter files; later ones win.
        values: name and text of single values, which win over the files.

    Returns:
        The values that were given, for ``Params.parse``; and for every parameter ``default``, the path of the file
        or ``command line``.

    Raises:
        ParameterError: a file that cannot be used, an unknown name, or a text that is no value of its parameter.
    """
    given: dict[str, Any] = {}
    sources = dict.fromkeys(Params.model_fields, DEFAULT)
    layers = [(str(file), read_file(file)) for file in files]
    layers.append((COMMAND_LINE, {name: typed(name, text) for name, text in values}))
    for source, layer in layers:
        for name, value in layer.items():
            if name not in sources:
                raise unknown_parameter(str(name), source)
            given[name], sources[name] = value, source
    return given, sources


def typed(name: str, text: str) -> Any:
    """A value from the command line: text as it is where the parameter is text, and nothing but its kind elsewhere.

    Raises:
        ParameterError: it is not of the parameter's kind.
    """
    field = Params.model_fields.get(name)
    if field is None or isinstance(field.default, str):
        return text
    expected: str
    value: Any
    if isinstance(field.default, bool):
        expected, value = "true or false", {"true": True, "false": False}.get(text)
    elif isinstance(field.default, int):
        expected, value = "a whole number in digits, such as 600", int(text) if re.fullmatch(r"[0-9]+", text) else None
    else:
        expected, value = f"a list such as [{', '.join(field.default)}]", _list(text)
    if value is None:
        raise ParameterError(
            f"the parameter {name} cannot be used",
            resource=name,
            expected=expected,
            seen=f"{text!r} (from {COMMAND_LINE})",
            remedy=f"correct {name}; nothing was created",
        )
    return value


def _list(text: str) -> list[Any] | None:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, list) else None
