"""Only one sequence of lines follows from a head."""

from __future__ import annotations

from itertools import product

import pytest

from runbook_lib.archive.chain import follow
from runbook_lib.archive.entry import NOTHING_BEFORE, Entry, sha256
from runbook_lib.archive.head import Head
from runbook_lib.errors import RecordError


def chained(*numbers: int, before: str = NOTHING_BEFORE) -> list[Entry]:
    found, previous = [], before
    for number in numbers:
        found.append(Entry(number, previous, "note", "now", note=f"remark {number}"))
        previous = sha256(found[-1].line())
    return found


def head_of(entries: list[Entry]) -> Head:
    return Head("demo", len(entries), sha256(entries[-1].line()), entries[-1])


def content(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def test_of_all_sequences_of_a_ledgers_lines_one_is_right() -> None:
    entries = chained(0, 1, 2, 3)
    lines = [*(entry.line() for entry in entries), b"{}"]
    right = []
    for length in range(6):
        for order in product(range(5), repeat=length):
            try:
                follow(content([lines[place] for place in order]), head_of(entries))
                right.append(order)
            except RecordError as error:
                assert error.message in {"truncated ledger", "removed entry", "added entry", "reordered entries"} | {
                    "changed entry"
                }
    assert right == [(0, 1, 2, 3)]


def test_the_entries_come_in_their_order() -> None:
    entries = chained(0, 1, 2)
    assert follow(content([entry.line() for entry in entries]), head_of(entries)) == entries


@pytest.mark.parametrize(
    "entries",
    [chained(0, 2), chained(1, 2), chained(0, 1, before="ab" * 32)],
    ids=["a number left out", "not from 0", "something before the first"],
)
def test_what_the_recorder_cannot_have_written_is_told(entries: list[Entry]) -> None:
    with pytest.raises(RecordError, match="impossible entry"):
        follow(content([entry.line() for entry in entries]), head_of(entries))


def test_a_signed_line_that_is_no_entry_is_told() -> None:
    (entry,) = chained(0)
    head = Head("demo", 1, sha256(b"{}"), entry)
    with pytest.raises(RecordError, match="impossible entry"):
        follow(b"{}\n", head)
