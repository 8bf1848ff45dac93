"""Work in threads that ends when it is interrupted; that a kernel's cell is, is tried in test_waiting."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from runbook_lib import together, wait
from runbook_lib.together import Workers

LONG = 60
WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


def waits(begun: threading.Event, ended: list[str], name: str) -> None:
    """Wait for what never comes."""
    try:
        wait.until(begun.set, lambda _: False, what=name, timeout=LONG)
    except KeyboardInterrupt:
        ended.append(name)
        raise


def test_results_come_in_order_and_threads_know_what_the_caller_knows() -> None:
    WHOSE.set("mine")
    with Workers(2) as pool:
        assert list(pool.map(lambda number: (number, WHOSE.get()), range(5))) == [(n, "mine") for n in range(5)]


def test_an_error_is_raised_once_all_that_began_has_ended() -> None:
    begun, failed, ended = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        failed.wait(LONG)
        ended.append("slow")

    with pytest.raises(ZeroDivisionError), Workers(2) as pool:
        pool.submit(slow)
        begun.wait(LONG)
        failed.set()
        raise ZeroDivisionError
    assert ended == ["slow"]


@pytest.mark.parametrize("finish", [True, False])
def test_an_interrupt_ends_what_waits_and_what_has_not_begun(finish: bool) -> None:
    begun, ended = threading.Event(), list[str]()
    with pytest.raises(KeyboardInterrupt), Workers(1, finish=finish) as pool:
        first = pool.submit(waits, begun, ended, "first")
        second = pool.submit(waits, begun, ended, "second")
        assert begun.wait(LONG)
        raise KeyboardInterrupt
    assert first.done() or not finish, "those who finish have ended when the block is left"
    assert isinstance(first.exception(LONG), KeyboardInterrupt)
    assert second.cancelled() and ended == ["first"]


def test_workers_of_workers_stop_too_but_not_their_fellows() -> None:
    begun, ended = threading.Event(), list[str]()

    def outer() -> None:
        with Workers(1) as inner:
            inner.submit(waits, begun, ended, "inner").result()

    def broken() -> str:
        with pytest.raises(KeyboardInterrupt), Workers(1):
            raise KeyboardInterrupt
        together.pause(0)
        return "went on"

    with pytest.raises(KeyboardInterrupt), Workers(2) as pool:
        waiting, other = pool.submit(outer), pool.submit(broken)
        assert other.result(LONG) == "went on"
        assert begun.wait(LONG)
        raise KeyboardInterrupt
    assert isinstance(waiting.exception(LONG), KeyboardInterrupt)
    assert ended == ["inner"]


def test_a_thread_that_waits_for_a_future_gives_it_up() -> None:
    begun: threading.Event = threading.Event()
    never: Future[None] = Future()

    def work() -> None:
        begun.set()
        together.result(never)

    with pytest.raises(KeyboardInterrupt), Workers(1) as pool:
        waiting = pool.submit(work)
        assert begun.wait(LONG)
        raise KeyboardInterrupt
    assert isinstance(waiting.exception(LONG), KeyboardInterrupt)
    assert never.cancelled()


def test_without_workers_a_result_is_a_result() -> None:
    done: Future[int] = Future()
    done.set_result(3)
    assert together.result(done) == 3
