from __future__ import annotations

import shlex

import pytest

from runbook_lib.around import curl
from runbook_lib.params import Params
from runbook_lib.resources import Host

BALANCER = Host(
    name="server-gcp-traefik-1",
    cloud="gcp",
    role="traefik",
    zone="europe-west1-b",
    datacenter="europe-west1",
    id="1",
    private_ip="172.27.3.3",
    public_ip="203.0.113.5",
    state="RUNNING",
)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("", ["curl", "-H", "Host: demo.my.org", "http://203.0.113.5/"]),
        (
            "socks5h://127.0.0.1:4562",
            ["curl", "--socks5-hostname", "127.0.0.1:4562", "-H", "Host: demo.my.org", "http://203.0.113.5/"],
        ),
    ],
)
def test_the_curl_command_is_what_a_shell_reads(proxy: str, words: list[str]) -> None:
    assert shlex.split(curl(Params(domain="my.org", internet_proxy=proxy), BALANCER)) == words
