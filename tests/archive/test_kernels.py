"""Kernels' processes; what runs in them is tried in the modules that use them."""

from __future__ import annotations

import multiprocessing
import time

from runbook_lib.archive import kernels


def test_the_end_of_a_session_ends_none_of_its_program_s_own_children() -> None:
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,), daemon=True)
    child.start()
    try:
        with kernels.session():
            assert child in multiprocessing.active_children()
        assert child.is_alive()
    finally:
        child.kill()
        child.join()
