"""The signed head of a ledger: what it says, and which part of an entry it explains when a writer was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from . import signing
from .entry import NOTHING_BEFORE, Entry, sha256
from .signing import Key, PublicKey

LEDGER, HEAD, NEXT = "ledger.jsonl", "ledger.head.json", "ledger.head.next.json"
# Names the form of the predicate below; like every such URI it need not be a page.
PREDICATE_TYPE = "https://multi-cloud-runbook.example/ledger-head/v1"


@dataclass(frozen=True, slots=True)
class Head:
    """What a signed head says.

    Args:
        deployment: whose ledger it is.
        entries: how many lines the ledger has.
        digest: SHA-256 of the last one without its newline, hex.
        entry: the last one itself.
    """

    deployment: str
    entries: int
    digest: str
    entry: Entry

    def content(self, key: Key) -> bytes:
        """The file, signed."""
        about = {"deployment": self.deployment, "entries": self.entries, "at": self.entry.at}
        statement = {
            "subject": [{"name": LEDGER, "digest": {"sha256": self.digest}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {**about, "entry": asdict(self.entry)},
        }
        return signing.signed(statement, key)

    @classmethod
    def read(cls, file: Path, key: PublicKey) -> Head | None:
        """The head in a file, or none if there is no such file.

        Raises:
            RecordError: it is not one that this key signed; see ``signing.opened``.
            OSError: it cannot be read.
        """
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        return cls.of(signing.opened(content, key, file.name), file.name)

    @classmethod
    def of(cls, statement: Mapping[str, Any], where: str) -> Head:
        """The head that a statement makes.

        Raises:
            RecordError: it is another kind of statement.
        """
        try:
            ((subject,), about) = statement["subject"], statement["predicate"]
            entry = Entry(**about["entry"])
            head = cls(about["deployment"], about["entries"], subject["digest"]["sha256"], entry)
            if statement["predicateType"] != PREDICATE_TYPE or sha256(entry.line()) != head.digest:
                raise ValueError("it is about something else")
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(
                "not a ledger's head",
                resource=where,
                expected=f"a statement of the kind {PREDICATE_TYPE}",
                seen=f"{type(error).__name__}: {error}",
                remedy="the key signed something else; that file was put in the head's place",
            ) from None
        return head

    def follows(self, before: Head | None) -> bool:
        """Whether this is the head that comes directly after another one, or is the first."""
        digest, entries = (before.digest, before.entries) if before else (NOTHING_BEFORE, 0)
        return (self.entry.previous, self.entries) == (digest, entries + 1) and self.entry.number == entries


def unwritten(content: bytes, head: Head | None, following: Head | None) -> bytes:
    """What is still to be added to a ledger, for the following head to be true.

    Args:
        content: the ledger's.
        head: the head in force, if there is one.
        following: the one that was about to take its place, if a writer was cut off.

    Raises:
        RecordError: the ledger is neither what the head in force says nor on the way to the following one.
    """
    *lines, rest = content.split(b"\n")
    last, count = (sha256(lines[-1]) if lines else NOTHING_BEFORE), len(lines)
    digest, wanted = (head.digest, head.entries) if head else (NOTHING_BEFORE, 0)
    if not following and (last, count, rest) == (digest, wanted, b""):
        return b""
    if following and following.follows(head):
        line = following.entry.line() + b"\n"
        if (last, count) == (digest, wanted) and line.startswith(rest):
            return line[len(rest) :]
        if (last, count, rest) == (following.digest, following.entries, b""):
            return b""
    raise RecordError(
        "the ledger is not what its signed head says",
        resource=LEDGER,
        expected=f"{wanted} lines, the last one of hash {digest}",
        seen=f"{count} lines, the last one of hash {last}" + (f", then {len(rest)} bytes" if rest else ""),
        remedy="nothing was written. See what `runbook verify` finds, and put the ledger and its head back from a "
        "backup; or move the deployment's folder away, as evidence, and begin a new one",
    )


def content_of(folder: Path) -> bytes:
    """A ledger as it stands, empty if there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return (folder / LEDGER).read_bytes()
    except FileNotFoundError:
        return b""
