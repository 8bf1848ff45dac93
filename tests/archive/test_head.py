"""A head says what it was signed for, and which part of an entry it explains."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runbook_lib.archive import signing
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
