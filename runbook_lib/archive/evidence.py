"""Whether a deployment's archive is what was recorded: every entry of its ledger, and every file of every run.

Offline, from the files and the public key alone; nothing is written. The signed head names the last entry, each entry
the one before it, and the entry with which a run ended names every file in its folder. So whoever has no key can
change, swap, add or remove nothing without being found, in ended runs and in the ledger.

What it cannot show:

- Whoever holds both the key and the disk can write everything anew, consistently.
- Whoever keeps an older copy of the deployment's whole folder can put it back.

Against both, publish the head (``head_digest``) where others see it: ``verify(..., expected_head=...)`` then finds that
the published entry is no longer there. Not signed yet is what a run that has not ended has written so far, and not
final an entry over which a writer was killed, until the next writer has completed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ParameterError, RecordError
from . import chain, lock
from .entry import Entry, digests, sha256
from .head import HEAD, LEDGER, NEXT, Head, content_of, unwritten
from .ledger import RUNS, unended
from .record import RECORD, RunRecord, StepRecord
from .signing import PublicKey


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded.

    Args:
        kind: in two or three words, for example ``edited cell``, ``removed run`` or ``broken signature``.
        where: the file, with line or cell if that can be told.
        expected: what was recorded.
        seen: what is there.
        meaning: what must have happened.
    """

    kind: str
    where: str
    expected: str
    seen: str
    meaning: str


@dataclass(slots=True)
class Report:
    """What ``verify`` found.

    Args:
        key: id of the public key that was used.
        deployment: whose archive it is, as the signed head says.
        first: the first thing that is wrong, if any; what comes after it was not looked at.
        entries: how many entries of the ledger are as they were signed.
        runs: how many ended runs are as they were recorded.
        files: how many files of them.
        head: ``sha256:`` and the hash of the last entry, as ``head_digest`` gives it.
        going_on: ids of the runs that are being recorded now.
        cut_off: ids of those whose recording process ended without a word; the next run closes them.
        notes: whatever else a reader should know, though nothing is wrong with it.
    """

    key: str
    deployment: str = ""
    first: Finding | None = None
    entries: int = 0
    runs: int = 0
    files: int = 0
    head: str = ""
    going_on: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.first is None


def head_digest(folder: Path) -> str:
    """The state of a ledger in one short line, to be published: ``sha256:`` and the hash of its last entry.

    It is read as it stands: verify first.

    Args:
        folder: the deployment's.

    Raises:
        RecordError: there is no ledger.
    """
    with lock.reading(folder):
        lines = content_of(folder).removesuffix(b"\n").split(b"\n")
    if not lines[-1]:
        raise RecordError("there is no ledger", resource=str(folder / LEDGER), remedy="the first run begins it")
    return f"sha256:{sha256(lines[-1])}"


def verify(folder: Path, public_key: PublicKey, *, expected_head: str = "") -> Report:
    """Compare a deployment's archive with its ledger, up to the first thing that is wrong.

    Args:
        folder: the deployment's, or a copy of it.
        public_key: of the key that signs its ledger; from somewhere that whoever changes the archive cannot change.
        expected_head: a head that was published once; it must be among the ledger's entries.

    Raises:
        ParameterError: ``expected_head`` is no such line.
    """
    if expected_head and not re.fullmatch("sha256:[0-9a-f]{64}", expected_head):
        raise ParameterError("no published head", expected="sha256: and 64 hex digits", seen=expected_head)
    report = Report(public_key.id)
    try:
        _verify(folder, public_key, expected_head, report)
    except RecordError as error:
        facts = (error.resource, error.expected, error.seen, error.remedy)
        report.first = Finding(error.message, *map(str, facts))
    except OSError as error:
        means = "it cannot be read, so nothing can be said about it: run this as somebody who may read it"
        report.first = Finding("unreadable", str(error.filename), "a file or folder", str(error.strerror), means)
    return report


def _verify(folder: Path, key: PublicKey, expected_head: str, report: Report) -> None:
    # While the lock is held no run begins or ends: a folder with anything in it has its entry by now, and a run that
    # has none of its end yet holds its own lock, if it is alive.
    with lock.reading(folder):
        runs, strays = _folders(folder / RUNS)
        content = content_of(folder)
        head, following = (Head.read(folder / name, key) for name in (HEAD, NEXT))
    content, target = _completed(content, head, following, bool(runs or strays), report)
    report.deployment, report.head = target.deployment, f"sha256:{target.digest}"
    entries = chain.follow(content, target)
    report.entries = len(entries)
    hashes = {entry.previous for entry in entries[1:]} | {target.digest}
    if expected_head and expected_head.removeprefix("sha256:") not in hashes:
        means = "the archive was put back to an older state, or written anew by somebody who has the key"
        raise chain.wrong("published head not there", LEDGER, expected_head, "no entry of that hash", means)
    _in_order(entries)
    for name in strays:
        means = "it is no part of any recorded run: somebody put it there"
        raise chain.wrong("added file", f"{RUNS}/{name}", "folders of runs", "something else", means)
    _unrecorded(runs, {entry.run for entry in entries}, report)
    going = {entry.run for entry in unended(entries)}
    origin = {digest: f"{RUNS}/{e.run}/{name}" for e in entries for name, digest in e.files.items()}
    for entry in entries:
        if entry.kind == "begun":
            if entry.run not in runs:
                means = "the run was recorded; its folder was removed since"
                raise chain.wrong("removed run", f"{RUNS}/{entry.run}", "the run's folder", "none", means)
            if entry.run in going:
                (report.going_on if runs[entry.run].held else report.cut_off).append(entry.run)
        elif entry.kind == "ended":
            report.files += _files(folder / RUNS / entry.run, entry, origin)
            report.runs += 1
    report.notes += [f"run {run} is going on" for run in report.going_on]
    report.notes += [f"run {run} was cut off and is not closed yet: the next run closes it" for run in report.cut_off]


@dataclass(frozen=True, slots=True)
class _Folder:
    held: bool  # its lock is
    empty: bool  # but for the lock


def _folders(runs: Path) -> tuple[dict[str, _Folder], list[str]]:
    """The runs' folders, and whatever else there is."""
    try:
        found = sorted(runs.iterdir())
    except FileNotFoundError:
        return {}, []
    folders = [path for path in found if path.is_dir() and not path.is_symlink()]
    looked_at = {
        path.name: _Folder(lock.is_held(path), not {each.name for each in path.iterdir()} - {lock.RUN_LOCK})
        for path in folders
    }
    return looked_at, [path.name for path in found if path not in folders]


def _completed(
    content: bytes, head: Head | None, following: Head | None, recorded: bool, report: Report
) -> tuple[bytes, Head]:
    """The ledger with the entry that a writer was killed over, and the head that is to fit it."""
    if following and not following.follows(head):
        means = "no writer leaves that: the file, or the head beside it, is from another time"
        seen = f"entry {following.entry.number}"
        raise chain.wrong("a head that does not follow", NEXT, f"entry {head.entries if head else 0}", seen, means)
    target = following or head
    if not target:
        seen = "a ledger without it" if content else "no ledger" + ("" if recorded else ", and no runs")
        means = "the head was removed" if content else "nothing was recorded here, or the ledger was removed"
        raise chain.wrong("missing head" if content else "no ledger", HEAD, "a signed head", seen, means)
    try:
        rest = unwritten(content, head, following)
    except RecordError:  # which `chain.follow` explains better
        return content, head or target
    if following:
        number = following.entry.number
        report.notes.append(f"a writer was cut off over entry {number}: the next one completes it from its signed head")
    return content + rest, target


def _in_order(entries: Sequence[Entry]) -> None:
    seen: dict[str, list[str]] = {}
    for entry in entries:
        if entry.kind == "note":
            continue
        before = seen.setdefault(entry.run, [])
        if before != ([] if entry.kind == "begun" else ["begun"]):
            where = f"{LEDGER}, line {entry.number + 1}"
            told = ", ".join([*before, entry.kind])
            means = "whatever wrote this with the key was not the recorder"
            raise chain.wrong("impossible order", where, f"run {entry.run} begins, then ends", told, means)
        before.append(entry.kind)


def _unrecorded(runs: Mapping[str, _Folder], known: set[str], report: Report) -> None:
    for name, folder in runs.items():
        if name in known:
            continue
        if not folder.empty:
            means = "no run of that name was recorded: somebody put the folder there, or it is older than the ledger"
            raise chain.wrong("added run", f"{RUNS}/{name}", "an entry in the ledger", "none", means)
        told = "is about to begin" if folder.held else "was cut off before it began; its folder is empty"
        report.notes.append(f"run {name} {told}")


def _files(folder: Path, entry: Entry, origin: Mapping[str, str]) -> int:
    """How many files a run has, each as it was when the run ended."""
    found, where = digests(folder), f"{RUNS}/{entry.run}"
    for name, digest in sorted(
        entry.files.items(), key=lambda item: item[0] != RECORD
    ):  # others are read with its help
        if name not in found:
            means = "the file was there when the run ended; it was removed since"
            raise chain.wrong("missing file", f"{where}/{name}", f"sha256 {digest}", "none", means)
        if found[name] != digest:
            raise _changed(folder, name, digest, found[name], origin)
    for name in sorted(set(found) - set(entry.files)):
        means = "the file was put there after the run had ended"
        raise chain.wrong("added file", f"{where}/{name}", "no such file", found[name], means)
    outcome = RunRecord.read(folder).outcome
    if outcome != entry.outcome:
        means = "whatever wrote this with the key was not the recorder"
        raise chain.wrong("wrong outcome", f"{where}/{RECORD}", entry.outcome, outcome, means)
    return len(found)


def _changed(folder: Path, name: str, wanted: str, seen: str, origin: Mapping[str, str]) -> RecordError:
    """The error that says best how a file was changed."""
    where = f"{RUNS}/{folder.name}/{name}"
    if len(seen) != len(wanted):
        return chain.wrong("changed file", where, f"sha256 {wanted}", seen, "something else was put in its place")
    if seen in origin:
        means = "another file was put in its place"
        return chain.wrong("swapped file", where, f"sha256 {wanted}", f"the content of {origin[seen]}", means)
    if name != RECORD:  # which is as it was by now
        for step in RunRecord.read(folder).steps:
            if step.notebook == name and (told := _cells(folder / name, step)):
                kind, cell, means = told
                return chain.wrong(kind, where + cell, f"sha256 {wanted}", f"sha256 {seen}", means)
    means = "the file was changed after the run had ended"
    return chain.wrong("changed file", where, f"sha256 {wanted}", f"sha256 {seen}", means)


def _cells(file: Path, step: StepRecord) -> tuple[str, str, str] | None:
    """What of a notebook was changed, if its cells tell: kind, cell, meaning."""
    hashes = {cell.index: cell.source_sha256 for cell in step.cells if cell.source_sha256}
    try:
        cells: list[Any] = json.loads(file.read_bytes())["cells"]
        for index, digest in sorted(hashes.items()):
            if index >= len(cells) or sha256("".join(cells[index]["source"]).encode()) != digest:
                return "edited cell", f", cell {index}", "the cell's source is not what was run"
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # no notebook any more
    means = "the source of every cell is what was run: an output, or a text beside the code, was changed"
    return ("changed output", "", means) if hashes else None
