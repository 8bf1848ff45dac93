"""Whether the reader sits at this machine, and how they get to its ports if not."""

from __future__ import annotations

from collections.abc import Mapping

from ..archive import origin

SSH = "SSH_CONNECTION"  # four words: the client's address and port, and the server's


def tunnel(environment: Mapping[str, str], port: int, host: str) -> str:
    """The command, for a terminal of the reader's own computer, that brings a port of this machine there.

    Args:
        environment: SSH_CONNECTION in it tells at which address and port this machine was reached.
        port: the port of this machine's loopback; it gets the same number over there.
        host: this machine's name, where SSH tells no address.
    """
    came = environment.get(SSH, "").split()
    address, number = (came[2], came[3]) if len(came) == 4 else (host, "22")
    other = "" if number == "22" else f" -p {number}"
    return f"ssh -N{other} -L {port}:127.0.0.1:{port} {origin.user() or 'USER'}@{address}"


def is_remote(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser opened here would be in front of nobody: over SSH, or without a display.

    Args:
        environment: this process's.
        platform: as ``sys.platform`` has it; macOS and Windows have a display without saying so.
    """
    if environment.get(SSH) or environment.get("SSH_TTY"):
        return True
    return platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
