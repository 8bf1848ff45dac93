"""A deployment's ledger: one line for each run that begins and each that ends, chained by hashes, the last one signed.

``ledger.jsonl`` only grows. ``ledger.head.json`` is a signed statement about its last line, and the last line names
the one before it, so that nothing in it can be changed, removed or added without the key: see ``evidence``.

An entry is written in this order, each step on the disk before the next: the new head, which holds the entry, beside
the old one (``ledger.head.next.json``); the line; the new head in the old one's place. Whoever is killed on the way
leaves what the next writer can complete from the signed entry. What no signed head explains is refused, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RecordError
from . import durable, lock, signing
from .entry import NOTHING_BEFORE, Entry, EntryKind, digests, sha256
from .head import HEAD, LEDGER, NEXT, Head, content_of, unwritten
from .record import RunRecord, utc_now
from .signing import Key

RUNS = "runs"


def entries(folder: Path) -> list[Entry]:
    """The entries of a deployment's ledger as they stand there; whether they are what was written, ``evidence`` tells.

    Raises:
        RecordError: a line is no entry.
        OSError: the ledger cannot be read.
    """
    with lock.reading(folder):
        content = content_of(folder)
    return list(_parsed(content, folder / LEDGER))


def unended(found: Sequence[Entry]) -> list[Entry]:
    """Of a ledger's entries, those of the runs that have begun and not ended: going on, or cut off (see ``lock``)."""
    begun = {entry.run: entry for entry in found if entry.kind == "begun"}
    ended = {entry.run for entry in found if entry.kind == "ended"}
    return [entry for run, entry in begun.items() if run not in ended]


class Ledger:
    """The writer of a deployment's ledger. Several processes may write: each waits for its turn.

    Args:
        folder: the deployment's, ``<outputs>/<deployment>``; made when missing.
        key: what signs it; a ledger that another key signed is refused.
    """

    def __init__(self, folder: Path, key: Key) -> None:
        self.folder = folder
        self.key = key

    def begin(self, record: RunRecord) -> Entry:
        """Say that a run has begun. Call it while the run's lock is held and nothing else is in its folder yet.

        Saying the same twice changes nothing, so it may be repeated after an error.

        Raises:
            RecordError: there is such a run already, or the ledger is not what its signed head says.
            OSError: the run has no folder, or the ledger cannot be written; what was written is completed by the next
                writer.
            TypeError, ValueError: a parameter is no JSON.
        """
        durable.sync(self.folder / RUNS / record.run)
        durable.sync(self.folder / RUNS)
        return self._add("begun", record)

    def end(self, record: RunRecord) -> Entry:
        """Say that a run has ended, how, and what is in its folder. Nothing may be written there afterwards.

        Call it while the run's lock is still held: so nobody takes the run for one that was cut off.

        Saying the same twice changes nothing, so it may be repeated after an error.

        Raises:
            RecordError: the run has not begun or has ended otherwise, its ``run.json`` says another outcome, or the
                ledger is not what its signed head says.
            OSError: it cannot be read or written; what was written is completed by the next writer.
        """
        folder = self.folder / RUNS / record.run
        kept = RunRecord.read(folder).outcome
        if kept != record.outcome or kept in ("pending", "running"):
            raise RecordError(
                "a run's outcome is not settled",
                resource=str(folder),
                expected="an outcome, the same in run.json",
                seen=f"{record.outcome}; in run.json {kept}",
                remedy="write the record with its outcome first",
            )
        return self._add("ended", record, digests(folder, settle=True))

    def note(self, text: str) -> Entry:
        """Add a remark.

        Raises:
            RecordError: the ledger is not what its signed head says.
            OSError: it cannot be written; what was written is completed by the next writer.
        """
        with lock.writing(self.folder):
            self._mend()
            return self._append("note", note=text)

    def mend(self) -> str:
        """Complete the entry that a writer was killed over, and add a note about it; every writer does so first.

        Whoever is killed between the two leaves the entry complete, without the note.

        Returns:
            What was mended; empty if nothing was to do.

        Raises:
            RecordError: there is something that no signed head explains.
            OSError: it cannot be written; the next call goes on.
        """
        with lock.writing(self.folder):
            return self._mend()

    def _add(self, kind: EntryKind, record: RunRecord, files: Mapping[str, str] | None = None) -> Entry:
        about = {"run": record.run, "outcome": record.outcome, "files": files or {}}
        about |= {"identity": record.identity, "parameters": record.parameters}
        with lock.writing(self.folder):
            self._mend()
            known = self._entries_of(record.run)
            new = Entry(0, "", kind, "", **about)  # type: ignore[arg-type]
            for entry in known:
                if entry.says(new):
                    return entry
            if [entry.kind for entry in known] != ([] if kind == "begun" else ["begun"]):
                raise RecordError(
                    f"a run cannot be written down as {kind}",
                    resource=f"run {record.run}",
                    expected="a run begins once, then ends once",
                    seen=", then ".join(entry.kind for entry in known) or "not begun",
                    remedy="nothing was written: this is an error in whatever records the run",
                )
            return self._append(kind, **about)

    def _append(self, kind: EntryKind, **about: Any) -> Entry:
        before = self._head(HEAD)
        number, previous = (before.entries, before.digest) if before else (0, NOTHING_BEFORE)
        line = Entry(number, previous, kind, utc_now(), **about).line()
        entry = Entry.parse(line)  # so that it is the same as when it is read again
        head = Head(self.folder.name, number + 1, sha256(line), entry)
        durable.replace(self.folder / NEXT, head.content(self.key))
        durable.append(self.folder / LEDGER, line + b"\n")
        durable.rename(self.folder / NEXT, self.folder / HEAD)
        return entry

    def _mend(self) -> str:
        head, following = self._head(HEAD), self._head(NEXT)
        rest = unwritten(content_of(self.folder), head, following)
        if not following:
            return ""
        if rest:
            durable.append(self.folder / LEDGER, rest)
        durable.rename(self.folder / NEXT, self.folder / HEAD)
        size, there = len(following.entry.line()) + 1, len(following.entry.line()) + 1 - len(rest)
        done = (
            f"entry {following.entry.number} was cut off while it was written, "
            f"{there} of its {size} bytes were there: completed from its signed head"
        )
        self._append("note", note=done)
        return done

    def _entries_of(self, run: str) -> list[Entry]:
        found = _parsed(content_of(self.folder), self.folder / LEDGER, signing.canonical({"run": run})[1:-1])
        return [entry for entry in found if entry.run == run]

    def _head(self, name: str) -> Head | None:
        try:
            return Head.read(self.folder / name, self.key.public)
        except RecordError as error:
            raise RecordError(
                f"the ledger's head cannot be trusted: {error.message}",
                resource=str(self.folder / name),
                expected=error.expected,
                seen=error.seen,
                remedy="nothing was written. Put the file or the key back from a backup, or move the deployment's "
                "folder away, as evidence, and begin a new one",
            ) from None


def _parsed(content: bytes, file: Path, part: bytes = b"") -> Iterator[Entry]:
    """The entries of those lines that have this part."""
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n") if content else []):
        try:
            if part in line:
                yield Entry.parse(line)
        except ValueError as error:
            raise RecordError(
                "a line of the ledger is no entry",
                resource=f"{file}, line {number + 1}",
                seen=error,
                remedy="runbook verify tells what was changed; a line that was cut off is mended by the next run",
            ) from None
