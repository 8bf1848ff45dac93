"""Google's own message types, as the judge of every body that comes in and goes out."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ApiError, bad_request

Doc = dict[str, Any]
_TYPES = "google.cloud.compute_v1.types.compute"


@cache
def types() -> ModuleType:
    """The module of Compute's message types.

    Importing ``google.cloud.compute_v1`` also builds the clients of a hundred services, which takes four times
    as long as the messages. The messages are one module that needs nothing of the rest, so it is loaded alone,
    under its own name: whoever imports the whole package later gets this very module.

    Raises:
        ImportError: google-cloud-compute is not installed.
    """
    if _TYPES in sys.modules:
        return sys.modules[_TYPES]
    import google.cloud

    for root in google.cloud.__path__:
        file = Path(root, "compute_v1", "types", "compute.py")
        spec = importlib.util.spec_from_file_location(_TYPES, file) if file.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            sys.modules[_TYPES] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[_TYPES]
                raise
            return module
    raise ImportError("google-cloud-compute is not installed")


def parse(message: str, body: bytes) -> tuple[Doc, frozenset[str]]:
    """A request's body as a normal document, and the top-level fields that it empties on purpose.

    The second part is for PATCH, where an empty list is not the same as nothing said.

    Raises:
        ApiError: not JSON, an unknown field or a value of the wrong type.
    """
    try:
        raw = json.loads(body or b"{}")
    except ValueError:
        raise bad_request("Invalid JSON payload received. Unexpected token.") from None
    if not isinstance(raw, dict):
        raise bad_request("Invalid JSON payload received. Root element must be a message.")
    return conform(message, raw, strict=True), frozenset(k for k, v in raw.items() if v in (None, [], {}))


def conform(message: str, document: Mapping[str, Any], *, strict: bool = False) -> Doc:
    """A document, through the message type and back: nothing in it that the type does not have.

    Raises:
        ApiError: (strict) the document does not fit; a reader's mistake.
        ValueError: (not strict) the document does not fit; our mistake.
    """
    from google.protobuf import json_format

    kind = getattr(types(), message)
    try:
        parsed = json_format.ParseDict(document, kind.pb(kind()))
    except json_format.ParseError as error:
        if strict:
            raise _payload_error(str(error), message) from None
        raise ValueError(f"{message}: {error}") from error
    answer: Doc = json_format.MessageToDict(parsed)
    return answer


@cache
def fields(message: str) -> frozenset[str]:
    """Names of a message's fields, as in JSON."""
    kind = getattr(types(), message)
    return frozenset(field.json_name for field in kind.pb(kind()).DESCRIPTOR.fields)


def _payload_error(text: str, message: str) -> ApiError:
    unknown = re.search(r'has no field named "([^"]*)"(?: at "([^"]*)")?', text)
    if unknown:
        place = unknown[2].removeprefix(message).lstrip(".") if unknown[2] else ""
        at = f" at 'resource.{place}'" if place else " at 'resource'"
        return bad_request(f'Invalid JSON payload received. Unknown name "{unknown[1]}"{at}: Cannot find field.')
    wrong = re.search(r"Failed to parse (\S+) field: (.*)", text, re.S)
    if wrong:
        return bad_request(f"Invalid value at 'resource.{wrong[1]}', {wrong[2].splitlines()[0].rstrip('.')}.")
    return bad_request(f"Invalid JSON payload received. {text.splitlines()[0]}")
