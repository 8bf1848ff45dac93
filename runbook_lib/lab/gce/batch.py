"""Several calls in one request (``multipart/mixed``), as ``gcloud compute`` sends them."""

from __future__ import annotations

import email.parser
import email.policy
import secrets
from collections.abc import Callable

from werkzeug.exceptions import BadRequest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

_MOST = 1000  # calls in one batch; Google's documented limit


def respond(request: Request, answer: Callable[[Request], Response]) -> Response:
    """Answer each part as if it had come alone; parts without credentials use those around them.

    Raises:
        BadRequest: not a batch.
    """
    if request.mimetype != "multipart/mixed":
        raise BadRequest("a batch is multipart/mixed")
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.get_data())
    parts = list(whole.iter_parts()) if whole.is_multipart() else []
    if not 0 < len(parts) <= _MOST:
        raise BadRequest(f"a batch has 1 to {_MOST} parts")
    boundary = f"batch_{secrets.token_urlsafe(16)}"
    lines: list[bytes] = []
    for part in parts:
        content = part.get_payload(decode=True)
        inner = answer(_request(content if isinstance(content, bytes) else b"", request))
        identity = str(part.get("Content-ID", "")).strip("<>")
        lines += [
            f"--{boundary}\r\nContent-Type: application/http\r\n".encode(),
            f"Content-ID: <response-{identity}>\r\n\r\n".encode() if identity else b"\r\n",
            f"HTTP/1.1 {inner.status}\r\nContent-Type: {inner.content_type}\r\n".encode(),
            f"Content-Length: {len(inner.get_data())}\r\n\r\n".encode(),
            inner.get_data(),
            b"\r\n",
        ]
    lines.append(f"--{boundary}--\r\n".encode())
    return Response(b"".join(lines), 200, content_type=f'multipart/mixed; boundary="{boundary}"')


def _request(text: bytes, around: Request) -> Request:
    """The request that a part spells out."""
    head, _, body = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, _, fields = head.partition(b"\n")
    words = first.decode().split()
    if len(words) < 2:
        raise BadRequest("a part does not begin with METHOD PATH")
    path = words[1].partition("://")[2].partition("/")[2] if "://" in words[1] else words[1]
    headers = email.parser.BytesHeaderParser().parsebytes(fields + b"\n\n")
    builder = EnvironBuilder(path="/" + path.lstrip("/"), method=words[0], data=body)
    for name, value in headers.items():
        if name.lower() not in ("content-length", "host", "mime-version"):
            builder.headers[name] = value
    if "Authorization" not in builder.headers and "Authorization" in around.headers:
        builder.headers["Authorization"] = around.headers["Authorization"]
    return builder.get_request()
