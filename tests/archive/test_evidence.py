"""Whatever is done to an archive without its key is found; what runs, deaths and copies leave is no finding."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.archive import lock, signing
from runbook_lib.archive.entry import Entry, digests, sha256
from runbook_lib.archive.evidence import Report, head_digest, verify
from runbook_lib.archive.head import HEAD, LEDGER, NEXT, Head
from runbook_lib.archive.ledger import Ledger, entries
from runbook_lib.errors import ParameterError, RecordError
from tests.archive import ledgers

SEEDS = 15  # random edits of each kind
R0, R1, R2 = (f"2026010{number + 1}T030405Z-00000{number}" for number in range(3))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """An archive of three runs, never touched."""
    place = tmp_path_factory.mktemp("archive")
    return ledgers.archive(place / "demo", ledgers.key_in(place))


@pytest.fixture
def folder(template: Ledger, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(template.folder, tmp_path / "demo"))


@pytest.fixture
def check(template: Ledger, folder: Path) -> Callable[..., Report]:
    def verified(**more: Any) -> Report:
        return verify(folder, template.key.public, **more)

    return verified


Check = Callable[..., Report]


# --- What is as it was -------------------------------------------------------------------------------------------


def test_an_archive_that_nobody_touched_is_intact_and_counted(check: Check, template: Ledger) -> None:
    report = check()
    assert report.intact and not report.notes
    assert (report.deployment, report.entries, report.runs, report.files) == ("demo", 7, 3, 18)
    assert report.head == head_digest(template.folder)
    assert report.key == template.key.public.id


def test_verifying_writes_nothing_and_needs_no_private_key(template: Ledger, folder: Path, tmp_path: Path) -> None:
    public = shutil.copy(tmp_path_keys(template) / "signing-key.pub", tmp_path / "somewhere.pub")
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = [(path, path.stat().st_mtime_ns) for path in paths]
    try:
        assert verify(folder, signing.public_key(Path(public))).intact
    finally:
        after = [(path, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]]
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert sorted(after) == sorted(before)


def tmp_path_keys(ledger: Ledger) -> Path:
    return ledger.folder.parent / "keys" / "demo" / "archive"


def test_a_copy_elsewhere_is_intact_with_or_without_what_is_no_evidence(template: Ledger, folder: Path) -> None:
    moved = folder.rename(folder.with_name("received by mail"))
    (moved / ".ledger.lock").unlink()
    (moved / "index.html").write_text("a list of the runs, made anew whenever one ends")
    for path in moved.rglob("*"):
        os.utime(path, (0, 0))
    report = verify(moved, template.key.public)
    assert report.intact and report.deployment == "demo"


def test_runs_that_go_on_and_that_were_cut_off_are_told_apart(check: Check, template: Ledger, folder: Path) -> None:
    ledger = Ledger(folder, template.key)
    going, cut = ledgers.started(folder, "r8"), ledgers.started(folder, "r9")
    for record in (going, cut):
        ledger.begin(record)
        ledgers.finish(record)
    (cut.folder / ".lock").touch()
    with lock.hold(going.folder):
        report = check()
    assert report.intact, report
    assert (report.going_on, report.cut_off, report.runs) == (["r8"], ["r9"], 3)
    assert report.notes == ["run r8 is going on", "run r9 was cut off and is not closed yet: the next run closes it"]
    for record in (going, cut):
        ledger.end(record)
    report = check()
    assert report.intact and report.runs == 5 and not report.notes


def test_a_folder_in_which_nothing_was_begun_is_no_forgery(check: Check, folder: Path) -> None:
    ledgers.started(folder, "r8")
    starting = ledgers.started(folder, "r9")
    with lock.hold(starting.folder):
        report = check()
    assert report.intact
    assert [note.split(" ", 2)[:2] for note in report.notes] == [["run", "r8"], ["run", "r9"]]
    assert "about to begin" in report.notes[1]


def test_a_published_head_stays_an_ancestor(check: Check, template: Ledger, folder: Path) -> None:
    published = [f"sha256:{sha256(line)}" for line in (folder / LEDGER).read_bytes().splitlines()]
    assert head_digest(folder) == published[-1]
    assert all(check(expected_head=head).intact for head in published)
    Ledger(folder, template.key).note("one more")
    assert check(expected_head=published[-1]).intact
    assert head_digest(folder) not in published


def test_a_published_head_shows_an_older_copy_put_back(check: Check, template: Ledger, folder: Path) -> None:
    older = shutil.copytree(folder, folder.with_name("older"))
    Ledger(folder, template.key).note("one more")
    published = head_digest(folder)
    shutil.rmtree(folder)
    older.rename(folder)
    assert check().intact, "by itself it can't be told"
    found = check(expected_head=published).first
    assert found is not None and found.kind == "published head not there"
    assert published in found.expected


@pytest.mark.parametrize("head", ["x", "sha256:", "0" * 64, "sha256:" + "0" * 63, "sha256:" + "g" * 64])
def test_what_is_no_published_head_is_refused(check: Check, head: str) -> None:
    with pytest.raises(ParameterError, match="no published head"):
        check(expected_head=head)


def test_there_is_no_head_to_publish_without_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no ledger"):
        head_digest(tmp_path)


# --- Each kind of change, and what is said about it --------------------------------------------------------------


def edit_lines(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file = folder / LEDGER
    lines = file.read_bytes().splitlines()
    changed = change(list(lines))
    assert changed != lines
    file.write_bytes(b"".join(line + b"\n" for line in changed))


def rehashed(folder: Path, change: Callable[[list[Entry]], list[Entry]]) -> list[Entry]:
    """Write a ledger's entries anew, with right numbers and hashes; the head stays."""
    previous, chained = "0" * 64, []
    whole = (folder / LEDGER).read_bytes().split(b"\n")[:-1]
    for number, entry in enumerate(change([Entry.parse(line) for line in whole])):
        chained.append(replace(entry, number=number, previous=previous))
        previous = sha256(chained[-1].line())
    (folder / LEDGER).write_bytes(b"".join(entry.line() + b"\n" for entry in chained))
    return chained


def forge_run(folder: Path) -> None:
    """A run that never was: its folder and its entries, all consistent."""
    shutil.copytree(folder / "runs" / R0, folder / "runs" / "r9")
    ledgers.change_json(folder / "runs" / "r9" / "run.json", "run", value="r9")
    files = digests(folder / "runs" / "r9")

    def change(found: list[Entry]) -> list[Entry]:
        return [*found, replace(found[0], run="r9"), replace(found[1], run="r9", files=files)]

    rehashed(folder, change)


def sign_anew(folder: Path, key: signing.Key) -> None:
    last = entries(folder)[-1]
    head = Head("demo", last.number + 1, sha256(last.line()), last)
    (folder / HEAD).write_bytes(head.content(key))


def stranger(folder: Path) -> signing.Key:
    return signing.open_key(folder.parent / "stranger")


def forge_head(folder: Path, **predicate: object) -> None:
    """Let the head say something else, under its old signature."""
    envelope = json.loads((folder / HEAD).read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"].update(predicate)
    envelope["payload"] = base64.b64encode(signing.canonical(statement)).decode()
    (folder / HEAD).write_bytes(signing.canonical(envelope) + b"\n")


def then(*changes: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def in_run(name: str) -> Callable[[Path], Path]:
    return lambda folder: folder / "runs" / R1 / name


BOOK = in_run("01_bootstrap.ipynb")


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


KINDS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "source": (
        lambda f: ledgers.change_json(BOOK(f), "cells", 2, "source", value=["print(1)"]),
        "edited cell",
        f"runs/{R1}/01_bootstrap.ipynb, cell 2",
    ),
    "cell taken out": (
        lambda f: ledgers.change_json(BOOK(f), "cells", value=json.loads(BOOK(f).read_text())["cells"][:3]),
        "edited cell",
        f"runs/{R1}/01_bootstrap.ipynb, cell 3",
    ),
    "output": (
        lambda f: ledgers.change_json(BOOK(f), "cells", 1, "outputs", 0, "text", value=["all is well\n"]),
        "changed output",
        f"runs/{R1}/01_bootstrap.ipynb",
    ),
    "no notebook": (lambda f: BOOK(f).write_text("{}"), "changed file", f"runs/{R1}/01_bootstrap.ipynb"),
    "notebooks exchanged": (
        lambda f: exchange(BOOK(f), in_run("00_provision.ipynb")(f)),
        "swapped file",
        f"runs/{R1}/00_provision.ipynb",
    ),
    "another run's notebook": (
        lambda f: shutil.copy(f / "runs" / R2 / "01_bootstrap.ipynb", BOOK(f)),
        "swapped file",
        f"runs/{R1}/01_bootstrap.ipynb",
    ),
    "page": (
        lambda f: in_run("01_bootstrap.html")(f).write_text("<p>fine</p>"),
        "changed file",
        f"runs/{R1}/01_bootstrap.html",
    ),
    "outcome": (
        lambda f: ledgers.change_json(in_run("run.json")(f), "outcome", value="succeeded"),
        "changed file",
        f"runs/{R1}/run.json",
    ),
    "record and notebook": (
        then(lambda f: in_run("run.json")(f).write_text("{}"), lambda f: BOOK(f).write_text("{}")),
        "changed file",
        f"runs/{R1}/run.json",
    ),
    "a link instead": (
        then(lambda f: BOOK(f).rename(f / "moved"), lambda f: BOOK(f).symlink_to(f / "moved")),
        "changed file",
        f"runs/{R1}/01_bootstrap.ipynb",
    ),
    "file removed": (lambda f: BOOK(f).unlink(), "missing file", f"runs/{R1}/01_bootstrap.ipynb"),
    "file added": (lambda f: in_run("more.txt")(f).write_text("x"), "added file", f"runs/{R1}/more.txt"),
    "hidden file added": (
        then(lambda f: in_run("sub")(f).mkdir(), lambda f: in_run("sub/.lock")(f).write_text("x")),
        "added file",
        f"runs/{R1}/sub/.lock",
    ),
    "run removed": (lambda f: shutil.rmtree(f / "runs" / R1), "removed run", f"runs/{R1}"),
    "all runs removed": (lambda f: shutil.rmtree(f / "runs"), "removed run", f"runs/{R0}"),
    "run linked": (
        then(lambda f: (f / "runs" / R1).rename(f / "moved"), lambda f: (f / "runs" / R1).symlink_to(f / "moved")),
        "added file",
        f"runs/{R1}",
    ),
    "runs exchanged": (lambda f: exchange(f / "runs" / R0, f / "runs" / R1), "swapped file", f"runs/{R0}/run.json"),
    "run renamed": (lambda f: (f / "runs" / R1).rename(f / "runs" / "r9"), "added run", "runs/r9"),
    "run added": (lambda f: shutil.copytree(f / "runs" / R1, f / "runs" / "r9"), "added run", "runs/r9"),
    "stray file": (lambda f: (f / "runs" / "notes.txt").write_text("x"), "added file", "runs/notes.txt"),
    "ledger truncated": (lambda f: edit_lines(f, lambda lines: lines[:-2]), "truncated ledger", LEDGER),
    "ledger emptied": (lambda f: (f / LEDGER).write_bytes(b""), "truncated ledger", LEDGER),
    "ledger removed": (lambda f: (f / LEDGER).unlink(), "truncated ledger", LEDGER),
    "last newline": (
        lambda f: (f / LEDGER).write_bytes((f / LEDGER).read_bytes().rstrip()),
        "truncated ledger",
        LEDGER,
    ),
    "entry removed": (lambda f: edit_lines(f, lambda x: x[:2] + x[3:]), "removed entry", LEDGER),
    "first entry removed": (lambda f: edit_lines(f, lambda x: x[1:]), "removed entry", LEDGER),
    "entry repeated": (lambda f: edit_lines(f, lambda x: [*x[:3], *x[2:]]), "added entry", f"{LEDGER}, line 3"),
    "last repeated": (lambda f: edit_lines(f, lambda x: [*x, x[-1]]), "added entry", f"{LEDGER}, line 7"),
    "first repeated": (lambda f: edit_lines(f, lambda x: [x[0], *x]), "added entry", f"{LEDGER}, line 1"),
    "entries exchanged": (
        lambda f: edit_lines(f, lambda x: [x[0], x[3], x[2], x[1], *x[4:]]),
        "reordered entries",
        f"{LEDGER}, line 4",
    ),
    "last exchanged": (lambda f: edit_lines(f, lambda x: [*x[:-2], x[-1], x[-2]]), "reordered entries", LEDGER),
    "entry changed": (
        lambda f: edit_lines(f, lambda x: [*x[:3], x[3].replace(b"failed", b"succeeded"), *x[4:]]),
        "changed entry",
        f"{LEDGER}, line 4",
    ),
    "entry replaced, hashes anew": (
        lambda f: rehashed(f, lambda x: [*x[:3], replace(x[3], outcome="succeeded"), *x[4:]]),
        "changed entry",
        f"{LEDGER}, line 7",
    ),
    "run removed, hashes anew": (
        then(lambda f: shutil.rmtree(f / "runs" / R1), lambda f: rehashed(f, lambda x: x[:2] + x[4:])),
        "truncated ledger",
        LEDGER,
    ),
    "run forged, hashes anew": (forge_run, "added entry", f"{LEDGER}, line 9"),
    "run forged, another key": (then(forge_run, lambda f: sign_anew(f, stranger(f))), "unknown key", HEAD),
    "head of another key": (lambda f: sign_anew(f, stranger(f)), "unknown key", HEAD),
    "head says less": (lambda f: forge_head(f, entries=3), "broken signature", HEAD),
    "head spaced": (lambda f: (f / HEAD).write_bytes((f / HEAD).read_bytes() + b" "), "not an envelope", HEAD),
    "head removed": (lambda f: (f / HEAD).unlink(), "missing head", HEAD),
    "ledger and head removed": (
        then(lambda f: (f / HEAD).unlink(), lambda f: (f / LEDGER).unlink()),
        "no ledger",
        HEAD,
    ),
    "everything removed": (shutil.rmtree, "no ledger", HEAD),
    "head twice": (lambda f: shutil.copy(f / HEAD, f / NEXT), "a head that does not follow", NEXT),
    "no head to follow": (lambda f: (f / NEXT).write_text("x"), "not an envelope", NEXT),
    "folder for a file": (then(lambda f: (f / LEDGER).unlink(), lambda f: (f / LEDGER).mkdir()), "unreadable", LEDGER),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_change_is_found_and_named(name: str, check: Check, folder: Path) -> None:
    change, kind, where = KINDS[name]
    change(folder)
    report = check()
    found = report.first
    assert found is not None
    assert (found.kind, where in found.where) == (kind, True), found
    assert all(asdict(found).values()), "expected, seen and meaning are told"
    assert not report.intact


def test_what_is_found_says_what_it_looked_like_and_what_it_means(check: Check, folder: Path) -> None:
    exchange(BOOK(folder), in_run("00_provision.ipynb")(folder))
    found = check().first
    assert found is not None and found.seen == f"the content of runs/{R1}/01_bootstrap.ipynb"
    rehashed(folder, lambda x: [*x[:3], replace(x[3], outcome="succeeded"), *x[4:]])
    found = check().first
    assert found is not None and "earlier entry was replaced" in found.meaning and "no key" in found.meaning


def test_what_comes_before_the_first_finding_is_counted(check: Check, folder: Path) -> None:
    BOOK(folder).unlink()
    report = check()
    assert (report.entries, report.runs, report.files) == (7, 1, 6)


def test_the_wrong_public_key_is_told(template: Ledger, folder: Path) -> None:
    key = stranger(folder).public
    found = verify(folder, key).first
    assert found is not None and found.kind == "unknown key"
    assert key.id in found.expected and template.key.public.id in found.seen


def test_a_holder_of_the_key_who_writes_nonsense_is_found_too(check: Check, template: Ledger, folder: Path) -> None:
    good = (folder / LEDGER).read_bytes()
    for change in (
        lambda x: [*x, x[0]],  # begun twice
        lambda x: [*x, x[1]],  # ended twice
        lambda x: [x[1], x[0], *x[2:]],  # ended first
    ):
        rehashed(folder, change)
        sign_anew(folder, template.key)
        found = check().first
        assert found is not None and found.kind == "impossible order"
        (folder / LEDGER).write_bytes(good)
    rehashed(folder, lambda x: [*x[:3], replace(x[3], outcome="succeeded"), *x[4:]])
    sign_anew(folder, template.key)
    found = check().first
    assert found is not None and found.kind == "wrong outcome" and R1 in found.where


# --- Hundreds of random changes ----------------------------------------------------------------------------------


def evidence(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".ledger.lock")


def flip_a_bit(folder: Path, dice: random.Random, file: Path | None = None) -> None:
    file = file or dice.choice(evidence(folder))
    content = bytearray(file.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)


def truncate(folder: Path, dice: random.Random) -> None:
    file = dice.choice(evidence(folder))
    os.truncate(file, dice.randrange(file.stat().st_size))


def insert_a_byte(folder: Path, dice: random.Random) -> None:
    file = dice.choice(evidence(folder))
    content, byte = file.read_bytes(), bytes([dice.choice([dice.randrange(256), 0x20, 0x0A])])
    place = dice.randrange(len(content) + 1)
    file.write_bytes(content[:place] + byte + content[place:])


def exchange_files(folder: Path, dice: random.Random) -> None:
    one, other = dice.sample(evidence(folder), 2)
    assert one.read_bytes() != other.read_bytes()
    exchange(one, other)


def remove_a_file(folder: Path, dice: random.Random) -> None:
    dice.choice(evidence(folder)).unlink()


def copy_over(folder: Path, dice: random.Random) -> None:
    shutil.copy(*dice.sample(evidence(folder), 2))


def add_a_file(folder: Path, dice: random.Random) -> None:
    place = dice.choice([path for path in (folder / "runs").rglob("*") if path.is_dir()] + [folder / "runs"])
    (place / dice.choice(["x", ".hidden", "run.json.bak", "NN.ipynb"])).write_bytes(dice.randbytes(9))


def exchange_lines(folder: Path, dice: random.Random) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        one, other = dice.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]
        return lines

    edit_lines(folder, change)


def remove_lines(folder: Path, dice: random.Random) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        start = dice.randrange(len(lines))
        del lines[start : start + dice.randrange(1, 4)]
        return lines

    edit_lines(folder, change)


def repeat_a_line(folder: Path, dice: random.Random) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        lines.insert(dice.randrange(len(lines) + 1), dice.choice([b"", *lines]))
        return lines

    edit_lines(folder, change)


def replace_an_entry(folder: Path, dice: random.Random, *, anew: bool = True) -> None:
    def change(found: list[Entry]) -> list[Entry]:
        place = dice.randrange(len(found))
        news = dice.choice([{"outcome": "x"}, {"at": "x"}, {"note": "x"}, {"files": {"x": "y"}}, {"run": "x"}])
        found[place] = replace(found[place], **news)  # type: ignore[arg-type]
        return found

    rehashed(folder, change)
    if not anew:
        sign_anew(folder, stranger(folder))


def replace_an_entry_and_sign(folder: Path, dice: random.Random) -> None:
    replace_an_entry(folder, dice, anew=False)


def change_a_file_and_its_entry(folder: Path, dice: random.Random) -> None:
    file = dice.choice([path for path in evidence(folder) if path.parent.parent == folder / "runs"])
    flip_a_bit(folder, dice, file)

    def change(found: list[Entry]) -> list[Entry]:
        files = digests(file.parent)
        return [replace(e, files=files) if e.files and e.run == file.parent.name else e for e in found]

    rehashed(folder, change)


def remove_a_run(folder: Path, dice: random.Random) -> None:
    shutil.rmtree(dice.choice(sorted((folder / "runs").iterdir())))


def change_the_head(folder: Path, dice: random.Random) -> None:
    flip_a_bit(folder, dice, folder / HEAD)


def change_the_ledger(folder: Path, dice: random.Random) -> None:
    flip_a_bit(folder, dice, folder / LEDGER)


EDITS = [
    flip_a_bit,
    change_the_head,
    change_the_ledger,
    truncate,
    insert_a_byte,
    exchange_files,
    copy_over,
    remove_a_file,
    add_a_file,
    exchange_lines,
    remove_lines,
    repeat_a_line,
    replace_an_entry,
    replace_an_entry_and_sign,
    change_a_file_and_its_entry,
    remove_a_run,
]


def shape(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in evidence(folder):
        yield str(path.relative_to(folder)), path.read_bytes()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("state", ["at rest", "a writer was cut off"])
def test_no_random_edit_goes_unnoticed(
    edit: Callable[[Path, random.Random], None], state: str, template: Ledger, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(template.folder, tmp_path / "base"))
    if state != "at rest":
        ledgers.cut_off(Ledger(base, template.key), "a last word", 70)
    untouched = verify(base, template.key.public)
    assert untouched.intact and bool(untouched.notes) == (state != "at rest")
    original = list(shape(base))
    unnoticed = []
    for seed in range(SEEDS):
        folder = tmp_path / f"{seed}"
        shutil.copytree(base, folder)
        edit(folder, random.Random(f"{edit.__name__} {seed}"))
        assert list(shape(folder)) != original
        report = verify(folder, template.key.public)
        # Of the half-written line nothing is lost with its bytes: the signed head that waits for it has it whole.
        mended = (report.head, report.entries) == (untouched.head, untouched.entries) and bool(report.notes)
        if report.intact and not mended:
            unnoticed.append(seed)
        shutil.rmtree(folder)
    assert not unnoticed
