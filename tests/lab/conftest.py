"""A lab for tests that need one: started once, ended for certain."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runbook_lib.lab import host


@pytest.fixture(scope="session")
def lab() -> Iterator[host.Lab]:
    """A lab of its own name, with nothing in it."""
    name = f"test-{os.getpid()}"
    found, fresh = host.up(name)
    assert fresh
    try:
        yield found
    finally:
        host.down(name)
