"""Read an existing network layer out of the state that Terraform left of it.

Both formats in use are understood: version 4 (Terraform 0.12 and later), whose outputs stand at the top, and version 3
(before that), whose outputs stand in the root module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from .errors import ParameterError
from .topology.network import ExistingNetwork

_LISTS = ("aws_pub_subnet", "aws_priv_subnet")
_PREFIXES: Mapping[str, str] = {
    "aws_vpc": "vpc-",
    "aws_pub_subnet": "subnet-",
    "aws_priv_subnet": "subnet-",
    "aws_ngw": "nat-",
    "aws_igw": "igw-",
    "aws_bastion_sg": "sg-",
}
_ADDRESSES = ("gcp_bastion_ip", "aws_bastion_ip")
_REMEDY = "name the terraform.tfstate of the applied network layer in network_state, or leave it empty to create one"


def read(file: str | Path) -> ExistingNetwork:
    """The network layer whose state stands in a file.

    Args:
        file: path of a ``terraform.tfstate``.

    Raises:
        ParameterError: the file cannot be read, is no state, or lacks an output or holds an unusable one.
    """
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        seen = f"{path}: {getattr(error, 'strerror', None) or error}"
        raise _wrong("the Terraform state cannot be read", expected="a readable file", seen=seen) from None
    try:
        state = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(
            "the Terraform state is not JSON", expected="a terraform.tfstate", seen=f"{path}: {error}"
        ) from None
    return parse(state)


def parse(state: Any) -> ExistingNetwork:
    """The network layer in a state that has been read. Pure.

    Raises:
        ParameterError: it is no state, or lacks an output or holds an unusable one.
    """
    outputs = _outputs(state)
    names = [field.name for field in fields(ExistingNetwork)]
    if missing := [name for name in names if name not in outputs]:
        raise _wrong(
            "the Terraform state lacks outputs of the network layer",
            expected=", ".join(names),
            seen=f"missing: {', '.join(missing)}",
        )
    values: dict[str, Any] = {name: _value(name, outputs[name]) for name in names}
    return ExistingNetwork(**values)


def _outputs(state: Any) -> Mapping[str, Any]:
    version = state.get("version") if isinstance(state, dict) else None
    if version == 4:
        outputs = state.get("outputs")
    elif version == 3:
        modules = state.get("modules")
        roots = [m for m in modules if isinstance(m, dict) and m.get("path") == ["root"]] if modules else []
        outputs = roots[0].get("outputs") if roots else None
    else:
        raise _wrong(
            "this version of Terraform's state is not understood",
            expected="version 3 or 4",
            seen=f"version {version!r}",
        )
    if not isinstance(outputs, dict):
        raise _wrong("the Terraform state has no outputs", expected="the network layer's outputs", seen="none")
    return {name: entry.get("value") if isinstance(entry, dict) else entry for name, entry in outputs.items()}


def _value(name: str, value: Any) -> str | tuple[str, ...]:
    # One subnet may stand alone, and before Terraform 0.12 lists were often passed on as text with commas.
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items or not all(isinstance(item, str) and item.strip() for item in items):
        raise _unusable(name, "text, or a list of texts" if name in _LISTS else "text", value)
    texts = tuple(item.strip() for item in items)
    if len(texts) > 1 and name not in _LISTS:
        raise _unusable(name, "one value", value)
    for text in texts:
        prefix = _PREFIXES.get(name, "")
        if not text.startswith(prefix):
            raise _unusable(name, f"an id that starts with {prefix}", text)
        if name in _ADDRESSES:
            try:
                IPv4Address(text)
            except ValueError:
                raise _unusable(name, "an IPv4 address", text) from None
    return texts if name in _LISTS else texts[0]


def _unusable(name: str, expected: str, seen: Any) -> ParameterError:
    return _wrong(f"the output {name} of the Terraform state cannot be used", expected=expected, seen=repr(seen))


def _wrong(message: str, *, expected: str, seen: str) -> ParameterError:
    return ParameterError(message, resource="network_state", expected=expected, seen=seen, remedy=_REMEDY)
