"""The line under a cell that waits, in real kernels."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from runbook_lib.waiting import Line
from tests.sessions import Session, until

SETUP = """
import threading
from runbook_lib import consul, wait, waiting
from runbook_lib.together import Workers
waiting.begin()
go = threading.Event()
def later(): threading.Timer(4, go.set).start()
def look(name): return wait.until(lambda: f"no {name} yet", lambda _: go.is_set(), what=name, timeout=600)
def both():
    with Workers(2) as pool: return list(pool.map(look, ["the hare", "the tortoise"]))
"""


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        assert session.run(SETUP, watched=True) == []
        yield session


def test_what_is_waited_for_is_shown_in_one_place_and_then_how_long_it_took(session: Session) -> None:
    outputs = session.run("later(); look('the hare')", watched=True)
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"], (
        "one place, then the answer"
    )
    assert re.match(r"waiting for the hare, \d+ s; last seen: no the hare yet", session.shown[0])
    assert session.shown[-1].startswith("waited ") and session.shown[-1].endswith(" s for the hare")


def both_shown(session: Session) -> bool:
    return any("the hare, " in text and "the tortoise, " in text for text in session.shown)


def test_threads_share_the_line_of_their_cell(session: Session) -> None:
    outputs = session.run("later(); both()", watched=True)
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    assert both_shown(session)
    assert sorted(line.partition(" for ")[2] for line in session.shown[-1].splitlines()) == ["the hare", "the tortoise"]


def test_where_nobody_looks_on_nothing_is_shown(session: Session) -> None:
    assert [output.output_type for output in session.run("later(); both()")] == ["execute_result"]
    assert session.shown == []


def test_an_interrupt_ends_the_cell_and_its_threads_and_the_next_cell_goes_on(session: Session) -> None:
    outputs = session.interrupted("both()", when=lambda: both_shown(session))
    assert [output.ename for output in outputs if output.output_type == "error"] == ["KeyboardInterrupt"]
    session.shows_at_last(lambda text: text.count("which is not there") == 2)
    names = "sorted(t.name for t in threading.enumerate() if 'ThreadPool' in t.name)"
    until(lambda: session.run(names)[0].data["text/plain"] == "[]")
    session.run("go.set()")
    assert session.run("len(both())", watched=True)[0].data["text/plain"] == "2"


def test_many_waits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    monkeypatch.setattr(line, "_show", lambda *, passing: None)
    for number in range(5):
        line.waiting(f"host {number}", 10.0 - number, "x" * 1000)
    shown = str(line).splitlines()
    assert [text.partition(",")[0] for text in shown] == ["waiting for", "host 0", "host 1", "host 2", "and 2 more"]
    assert max(map(len, shown)) < 150
    for number in range(5):
        line.over(f"host {number}", 10.0 - number, number != 1)
    assert str(line).splitlines() == [
        "waited 10 s for host 0",
        "waited 9 s for host 1, which is not there",
        "waited 8 s for host 2",
        "and 2 more",
    ]
