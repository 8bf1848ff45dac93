"""The calls that come in at the clouds' APIs, told from one another, and a way to step in between.

An interceptor stands around an API as the network and the cloud's front do: it sees each call, and may count it, hold
it back, answer in the cloud's place, or cut the connection before or after the cloud has acted.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .gce import routing
from .model import CloudName
from .web import Application

READS = ("Describe", "Get", "List", "Search", "Lookup", "Simulate")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a cloud's API.

    Args:
        cloud: which cloud's.
        action: ``ec2:RunInstances``; for GCP the method's name, ``compute.instances.insert``.
        writes: whether it is there to change something. A dry run changes nothing, and counts by its action.
        target: GCP's resource, or its collection where it is still to be made, as the path names it; empty for AWS.
        body: as sent.
    """

    cloud: CloudName
    action: str
    writes: bool
    target: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets.

    Args:
        status: code and word, ``200 OK``.
        headers: names and values.
        body: the content.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class HangUp(Exception):
    """The connection ends without an answer."""


Serve = Callable[[], Answer]
# Gets a call and what hands it on to the cloud; gives the answer, or raises HangUp.
Interceptor = Callable[[Call, Serve], Answer]


def intercepted(cloud: CloudName, api: Application, *interceptors: Interceptor) -> Application:
    """An API behind interceptors, the first of which sees a call first. What is no call of the API passes by."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = identify(cloud, environ, body)
        if call is None:
            return api(environ, start_response)
        serve: Serve = lambda: _answer(api, environ)  # noqa: E731 - the innermost of several alike
        for interceptor in reversed(interceptors):
            serve = _around(interceptor, call, serve)
        try:
            answer = serve()
        except HangUp:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("the connection was cut on purpose") from None
        start_response(answer.status, list(answer.headers))
        return [answer.body]

    return application


def identify(cloud: CloudName, environ: dict[str, Any], body: bytes) -> Call | None:
    """The call that a request makes; ``None`` for none, such as a request for a token."""
    if cloud == "aws":
        from .ec2 import auth

        name = auth.action(environ, body)
        caller = auth.scope(environ.get("HTTP_AUTHORIZATION", ""))
        service = caller.service if caller else "ec2"
        return Call("aws", f"{service}:{name}", not name.startswith(READS), body=body) if name else None
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    call = routing.route(method, path, {}, body)
    if call is None:
        return None
    name = f"compute.{call.key.collection or 'projects'}.{call.verb}"
    return Call("gcp", name, call.writes, path.partition("/projects/")[2], body)


def _around(interceptor: Interceptor, call: Call, serve: Serve) -> Serve:
    return lambda: interceptor(call, serve)


def _answer(api: Application, environ: dict[str, Any]) -> Answer:
    said: list[Any] = []
    body = b"".join(api(environ, lambda status, headers, *_: said.extend((status, headers))))
    return Answer(said[0], tuple(said[1]), body)
