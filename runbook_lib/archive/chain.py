"""Following a ledger's chain of hashes back from its signed head, and saying what breaks it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import RecordError
from .entry import NOTHING_BEFORE, Entry, sha256
from .head import LEDGER, Head

UNSIGNED = "whoever wrote it had no key"


def wrong(kind: str, where: str, expected: str, seen: str, meaning: str) -> RecordError:
    """Something that is not as it was recorded; see ``evidence.Finding``."""
    return RecordError(kind, resource=where, expected=expected, seen=seen, remedy=meaning)


def follow(content: bytes, head: Head) -> list[Entry]:
    """The entries of a ledger, each found to be what was signed.

    From the last to the first, because the head vouches for the last one and each for the one before it.

    Args:
        content: the ledger's.
        head: what was signed.

    Raises:
        RecordError: an entry is not what was signed; see ``wrong``.
    """
    *lines, rest = content.split(b"\n")
    if rest:
        seen = f"{len(lines)} lines, then {len(rest)} bytes"
        means = "the ledger was cut off, and by no writer that was killed: no signed entry begins like that"
        raise wrong("truncated ledger", LEDGER, f"{head.entries} whole lines", seen, means)
    hashes = [sha256(line) for line in lines]
    found: list[Entry] = []
    expected = head.digest
    for back in range(1, max(len(lines), head.entries) + 1):
        number, place = head.entries - back, len(lines) - back
        if place < 0 or number < 0 or hashes[place] != expected:
            raise _broken(lines, hashes, head, place, expected)
        entry = _parsed(lines[place], number, place)
        found.append(entry)
        expected = entry.previous
    if expected != NOTHING_BEFORE:
        raise wrong(
            "impossible entry", f"{LEDGER}, line 1", "no entry before it", expected, "the recorder did not write it"
        )
    return found[::-1]


def _parsed(line: bytes, number: int, place: int) -> Entry:
    where = f"{LEDGER}, line {place + 1}"
    try:
        entry = Entry.parse(line)
    except ValueError as error:
        raise wrong("impossible entry", where, "an entry", str(error), "the recorder did not write it") from None
    if entry.number != number:
        raise wrong(
            "impossible entry", where, f"number {number}", f"number {entry.number}", "the recorder did not write it"
        )
    return entry


def _broken(lines: Sequence[bytes], hashes: Sequence[str], head: Head, place: int, expected: str) -> RecordError:
    """The error that says best why a line is not the one that is vouched for.

    Args:
        lines: the ledger's.
        hashes: theirs.
        head: what was signed.
        place: of the line in question, from 0; -1 if it would be before the first.
        expected: its hash, as signed.
    """
    surplus, last = len(lines) - head.entries, place == len(lines) - 1
    number = head.entries - (len(lines) - place)
    where, wanted = f"{LEDGER}, line {place + 1}", f"entry {number}, sha256 {expected}"
    seen = f"sha256 {hashes[place]}" if place >= 0 else "nothing"
    if number < 0:
        return wrong("added entry", where, "no entry before the first", seen, f"a line was added; {UNSIGNED}")
    if expected in hashes:
        other = f"that entry in line {hashes.index(expected) + 1}"
        if surplus > 0:
            return wrong("added entry", where, wanted, other, f"lines were added; {UNSIGNED}")
        return wrong("reordered entries", where, wanted, other, "lines of the ledger were exchanged")
    if surplus < 0:
        seen = f"{len(lines)} entries"
        if last:
            means = "the last entries were removed"
            return wrong("truncated ledger", LEDGER, f"{head.entries} entries", seen, means)
        means = "an entry was removed, or joined with its neighbour"
        return wrong("removed entry", LEDGER, f"entry {number}; {head.entries} entries in all", seen, means)
    if last and _same_but_for_the_past(lines[place], head.entry):
        means = "an earlier entry was replaced and the hashes after it calculated anew"
    else:
        means = "the line was changed"
    return wrong("changed entry", where, wanted, seen, f"{means}; {UNSIGNED}")


def _same_but_for_the_past(line: bytes, signed: Entry) -> bool:
    try:
        return Entry.parse(line).says(signed)
    except ValueError:
        return False
