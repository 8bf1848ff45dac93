"""A head says what it was signed for, and which part of an entry it explains."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runbook_lib.archive import signing
from runbook_lib.archive.entry import NOTHING_BEFORE, Entry
from runbook_lib.archive.head import HEAD, LEDGER, NEXT, Head, unwritten
from runbook_lib.archive.ledger import Ledger
from runbook_lib.errors import RecordError
from tests.archive import ledgers


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "demo", ledgers.key_in(tmp_path))


def test_something_else_that_the_key_signed_is_no_head(ledger: Ledger) -> None:
    ledger.note("the first")
    head = Head.read(ledger.folder / HEAD, ledger.key.public)
    assert head is not None
    statement = signing.opened(head.content(ledger.key), ledger.key.public, HEAD)
    other = {**statement, "predicateType": "https://other.example/v1"}
    lying = {**statement, "subject": [{"name": LEDGER, "digest": {"sha256": "0" * 64}}]}
    wrong: list[dict[str, object]] = [other, lying, {"subject": []}]
    for content in wrong:
        (ledger.folder / HEAD).write_bytes(signing.signed(content, ledger.key))
        with pytest.raises(RecordError, match="not a ledger's head"):
            ledger.note("x")


def test_any_other_state_than_those_that_a_death_leaves_is_refused(ledger: Ledger) -> None:
    ledger.note("the first")
    ledger.note("the second")
    before = (ledger.folder / LEDGER).read_bytes()
    line = ledgers.cut_off(ledger, "the third", 0)
    head, following = (Head.read(ledger.folder / name, ledger.key.public) for name in (HEAD, NEXT))
    for size in range(len(line) + 1):
        assert unwritten(before + line[:size], head, following) == line[size:]
    for seed in range(200):
        dice = random.Random(seed)
        changed = bytearray(before + line[: dice.randrange(len(line) + 1)])
        changed[dice.randrange(len(before) - 200, len(changed))] ^= 1 << dice.randrange(8)
        with pytest.raises(RecordError):
            unwritten(bytes(changed), head, following)


def test_a_head_follows_the_one_that_its_entry_names_and_no_other() -> None:
    def head(number: int, previous: str, entries: int, digest: str) -> Head:
        return Head("demo", entries, digest, Entry(number, previous, "note", "now"))

    first, second = head(0, NOTHING_BEFORE, 1, "aa"), head(1, "aa", 2, "bb")
    assert first.follows(None) and second.follows(first)
    for wrong in (first, second, head(1, "bb", 2, "cc"), head(2, "aa", 2, "cc"), head(1, "aa", 3, "cc")):
        assert not wrong.follows(first if wrong is not second else None)
    assert not head(0, "aa", 1, "cc").follows(None)
