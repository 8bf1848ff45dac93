"""AWS's three error shapes: EC2's own, the one of the query services (IAM, STS), and JSON."""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

JSON = "application/x-amz-json-1.1"
SPEAK_JSON = ("servicequotas", "ssm")
CONSOLE = "runbook_lab.console"  # in the WSGI environment: console output fetched for GetConsoleOutput


class RefusedError(Exception):
    """A request that is answered with an error before any service sees it.

    Args:
        code: AWS's error code.
        message: AWS's message.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{code}: {message}")

    def headers(self, service: str) -> dict[str, str]:
        """What goes with ``body``."""
        return {"Content-Type": JSON if service in SPEAK_JSON else "text/xml;charset=UTF-8"}

    def body(self, service: str) -> bytes:
        """The answer as ``service`` (``ec2``, ``iam``, ``sts``, ...) would shape it."""
        if service in SPEAK_JSON:
            return json.dumps({"__type": self.code, "message": self.message}).encode()
        error = f"<Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
        request = uuid.uuid4()
        if service == "ec2":
            text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request}</RequestID></Response>"
        else:
            side = "Sender" if self.status < 500 else "Receiver"
            text = (
                f"<ErrorResponse><Error><Type>{side}</Type>{error}</Error>"
                f"<RequestId>{request}</RequestId></ErrorResponse>"
            )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
