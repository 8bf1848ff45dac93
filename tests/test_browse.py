"""What is said of pages; that they open is tried in tests/e2e/test_walk_live.py."""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET

import pytest

from runbook_lib import browse
from runbook_lib.browse import Page


@pytest.mark.parametrize(
    ("environment", "parts"),
    [
        ({}, []),
        ({"SSH_CONNECTION": ""}, []),
        ({"SSH_CONNECTION": "192.0.2.1 5000 192.0.2.7 22"}, ["ssh -N -L 8500:127.0.0.1:8500 ", "@192.0.2.7"]),
        ({"SSH_CONNECTION": "192.0.2.1 5000 192.0.2.7 2222"}, ["ssh -N -p 2222 -L 8500:127.0.0.1:8500 ", "@192.0.2.7"]),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}, ["the hub runs this kernel", "-L 8500:127.0.0.1:8500 ", "@here"]),
    ],
)
def test_another_machines_browser_is_let_through(environment: dict[str, str], parts: list[str]) -> None:
    told = browse.elsewhere(8500, environment, "here")
    assert len(told) == bool(parts)
    assert all(part in told[0] for part in parts)


@pytest.mark.parametrize("is_open", [True, False])
def test_only_a_page_that_is_open_is_a_link(is_open: bool) -> None:
    page = Page("Consul", "http://127.0.0.1:8500/ui/", ("<note>",), "ssh -N -L 'a b'", open=is_open)
    body = ET.fromstring(f"<body>{page._repr_html_()}</body>")
    links = [(link.attrib["href"], link.attrib["target"], link.attrib["rel"]) for link in body.iter("a")]
    assert links == ([("http://127.0.0.1:8500/ui/", "_blank", "noopener")] if is_open else [])
    text = "".join(body.itertext())
    assert all(part in text and part in repr(page) for part in (page.url, "<note>", page.command))


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not browse._free(port) and browse._listens(port)
    assert browse._free(port) and not browse._listens(port)
