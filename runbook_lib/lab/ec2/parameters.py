"""Systems Manager's public parameters, as far as images are found by them: GetParameter, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .errors import JSON, RefusedError
from .images import PARAMETERS

# When the images were published, in seconds since 1970.
_PUBLISHED = 1767225600.0


def answer(body: bytes, action: str, region: str) -> tuple[int, Mapping[str, Any], bytes]:
    """Answer a call of Systems Manager: status, headers, body.

    Raises:
        RefusedError: another action, or a parameter that does not exist.
    """
    if action != "GetParameter":
        raise RefusedError("UnknownOperationException", f"The lab does not emulate ssm:{action}.")
    name = str(json.loads(body or b"{}").get("Name", ""))
    if name not in PARAMETERS:
        raise RefusedError("ParameterNotFound", f"Parameter {name} not found.")
    parameter = {
        "Name": name,
        "Type": "String",
        "Value": PARAMETERS[name],
        "Version": 1,
        "LastModifiedDate": _PUBLISHED,
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }
    return 200, {"Content-Type": JSON}, json.dumps({"Parameter": parameter}).encode()
