"""Calls are told from one another, and an interceptor really stands between client and cloud."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from runbook_lib.lab import web
from runbook_lib.lab.calls import Answer, Call, HangUp, Serve, identify, intercepted

AWS = {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=K/20260101/us-west-2/iam/aws4_request, Signature=s"}
GCP = "/compute/v1/projects/p"


@pytest.mark.parametrize(
    ("cloud", "environ", "body", "expected"),
    [
        ("aws", AWS, b"Action=CreateRole", ("iam:CreateRole", True, "")),
        ("aws", {}, b"Action=DescribeVpcs", ("ec2:DescribeVpcs", False, "")),
        ("aws", {"HTTP_X_AMZ_TARGET": "AmazonSSM.GetParameter"}, b"{}", ("ec2:GetParameter", False, "")),
        ("aws", {}, b"", None),
        ("gcp", {"REQUEST_METHOD": "GET", "PATH_INFO": GCP}, b"", ("compute.projects.get", False, "p")),
        (
            "gcp",
            {"REQUEST_METHOD": "POST", "PATH_INFO": f"{GCP}/zones/z/instances/i/setTags"},
            b"{}",
            ("compute.instances.setTags", True, "p/zones/z/instances/i/setTags"),
        ),
        (
            "gcp",
            {"REQUEST_METHOD": "POST", "PATH_INFO": f"{GCP}/zones/z/operations/o/wait"},
            b"",
            ("compute.operations.wait", False, "p/zones/z/operations/o/wait"),
        ),
        ("gcp", {"REQUEST_METHOD": "POST", "PATH_INFO": "/token"}, b"", None),
    ],
)
def test_calls_are_told_apart(cloud: Any, environ: dict[str, Any], body: bytes, expected: Any) -> None:
    call = identify(cloud, environ, body)
    assert (call and (call.action, call.writes, call.target)) == expected


def test_an_interceptor_sees_answers_in_place_of_and_cuts_off() -> None:
    served: list[str] = []
    seen: list[Call] = []

    def api(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        served.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def step_in(call: Call, serve: Serve) -> Answer:
        seen.append(call)
        if call.target.endswith("/refused"):
            return Answer("503 Busy", (("Content-Length", "4"),), b"busy")
        answer = serve()
        if call.target.endswith("/cut"):
            raise HangUp
        return answer

    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = web.serve(listener, intercepted("gcp", api, step_in))
    try:
        answers = {name: ask(address, f"{GCP}/global/networks/{name}") for name in ("fine", "refused", "cut")}
        passed = ask(address, "/token")
    finally:
        server.shutdown()
        server.server_close()
    assert answers["fine"].startswith(b"HTTP/1.1 200") and answers["fine"].endswith(b"ok")
    assert answers["refused"].startswith(b"HTTP/1.1 503") and answers["refused"].endswith(b"busy")
    assert not answers["cut"] and passed.endswith(b"ok")
    assert [path.rpartition("/")[2] for path in served] == ["fine", "cut", "token"]
    assert [call.action for call in seen] == ["compute.networks.get"] * 3


def ask(address: tuple[str, int], path: str) -> bytes:
    """All that comes back for one request."""
    with socket.create_connection(address) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(4096), b""))
