"""Ending a daemon of the VPN."""

from __future__ import annotations

import subprocess

# charon and BIRD let go in milliseconds; what they hold vanishes with their namespaces anyhow.
_SECONDS = 1


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str] | None) -> None:
    """End a daemon, politely at first; nothing if it never began."""
    if process is None:
        return
    process.terminate()
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
