from __future__ import annotations

import getpass

import pytest

from runbook_lib.jupyter import remote


@pytest.mark.parametrize(
    ("environment", "platform", "away"),
    [
        ({"DISPLAY": ":0"}, "linux", False),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", False),
        ({}, "linux", True),
        ({"DISPLAY": ""}, "linux", True),
        ({}, "darwin", False),
        ({}, "win32", False),
        ({"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22"}, "darwin", True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22"}, "linux", True),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/3"}, "linux", True),
    ],
)
def test_a_browser_is_opened_only_where_somebody_sits(environment: dict[str, str], platform: str, away: bool) -> None:
    assert remote.is_remote(environment, platform) is away


@pytest.mark.parametrize(
    ("connection", "wanted"),
    [
        ("192.0.2.7 50000 192.0.2.1 22", "ssh -N -L 8889:127.0.0.1:8889 {user}@192.0.2.1"),
        ("192.0.2.7 50000 192.0.2.1 2222", "ssh -N -p 2222 -L 8889:127.0.0.1:8889 {user}@192.0.2.1"),
        ("2001:db8::7 50000 2001:db8::1 22", "ssh -N -L 8889:127.0.0.1:8889 {user}@2001:db8::1"),
        ("", "ssh -N -L 8889:127.0.0.1:8889 {user}@machine"),
        ("nonsense", "ssh -N -L 8889:127.0.0.1:8889 {user}@machine"),
    ],
)
def test_the_tunnel_leads_to_where_this_machine_was_reached(connection: str, wanted: str) -> None:
    command = remote.tunnel({"SSH_CONNECTION": connection}, 8889, "machine")
    assert command == wanted.format(user=getpass.getuser())
