"""HTTP servers over sockets that are already open, and the certificates of those inside the lab."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import trustme
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer, WSGIRequestHandler

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class QuietHandler(WSGIRequestHandler):
    """HTTP/1.1 with kept-alive connections and no access log."""

    protocol_version = "HTTP/1.1"
    # Small answers over TLS would otherwise wait for the client's delayed acknowledgement, 40 ms each.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: every poll of every agent would be a line."""


class _Server(ThreadedWSGIServer):
    """Shakes hands in the connection's own thread, so that a silent client holds up nobody else."""

    context: ssl.SSLContext | None = None
    daemon_threads = True
    request_queue_size = 256

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            request.settimeout(10)
            request = self.context.wrap_socket(request, server_side=True)
            request.settimeout(None)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early or distrusts the certificate is not this server's error."""


def serve(listener: socket.socket, application: Application, context: ssl.SSLContext | None = None) -> BaseWSGIServer:
    """Serve a WSGI application on a listening socket, each connection in a thread.

    Returns:
        the server, already running; ``shutdown()`` and ``server_close()`` end it.
    """
    host, port = listener.getsockname()[:2]
    server = _Server(host, port, application, QuietHandler, fd=listener.detach())
    server.context = context
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    return server


def later(seconds: float, call: Callable[..., object], *arguments: object) -> None:
    """Call something after a while, in a thread of its own that holds up nobody's end."""
    timer = threading.Timer(seconds, call, arguments)
    timer.daemon = True
    timer.start()


class Authority:
    """The lab's certificate authority, made anew with each lab."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="Runbook lab")

    @property
    def pem(self) -> str:
        """The certificate that instances trust."""
        return self._ca.cert_pem.bytes().decode()

    def context(self, *names: str) -> ssl.SSLContext:
        """A server context for host names (wildcards allowed)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context
