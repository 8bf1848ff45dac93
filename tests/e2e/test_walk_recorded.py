"""The walk's record: read by the commands that read it, and verified as it is and after hundreds of changes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook_lib.archive import evidence, signing
from runbook_lib.archive.signing import PublicKey
from runbook_lib.resources import STEPS
from tests.e2e.operators import DEPLOYMENT, Operator
from tests.e2e.records import Run

pytestmark = pytest.mark.e2e

CHANGES, SEED = 150, 4


@pytest.fixture(scope="module")
def key(operator: Operator, walk: Run) -> PublicKey:
    """Of the key that signs the deployment's ledger."""
    return signing.public_key(operator.folder / "keys" / DEPLOYMENT / "archive" / "signing-key.pub")


def test_it_verifies_as_it_is(operator: Operator, walk: Run) -> None:
    done = operator.runbook("verify", DEPLOYMENT, "--keys", operator.folder / "keys")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are all as recorded" in done.stdout
    assert "sha256:" in done.stdout


def test_the_record_says_who_ran_what_with_which_versions(walk: Run) -> None:
    record = walk.record
    assert record["identity"]["command"].startswith("cli.py run")
    assert len(record["code"]["commit"]) == 40
    assert {"papermill", "boto3", "google-cloud-compute"} <= set(record["versions"])
    assert record["services"] == {"consul": ["1.8.7"], "traefik": ["3.7.15"]}
    checks = [check for step in record["steps"] for check in step["checks"]]
    assert len(checks) > 100
    assert all(check["ok"] for check in checks)


def test_the_commands_show_it(operator: Operator, walk: Run) -> None:
    assert walk.folder
    run = walk.folder.name
    assert run in operator.runbook("history", DEPLOYMENT).stdout
    shown = operator.runbook("show", run).stdout
    assert all(step in shown for step in STEPS[:-1])
    assert str(walk.folder / "index.html") in shown
    pages = sorted(file.name for file in walk.folder.glob("*.html"))
    assert pages == [*(f"{step}.html" for step in STEPS[:-1]), "index.html"]


def flip(file: Path, chance: random.Random) -> str:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return f"bit in byte {place}"


def cut(file: Path, chance: random.Random) -> str:
    """Truncate it."""
    content = file.read_bytes()
    length = chance.randrange(len(content))
    file.write_bytes(content[:length])
    return f"cut to {length} bytes"


def drop(file: Path, chance: random.Random) -> str:
    """Delete it."""
    file.unlink()
    return "deleted"


def swap(file: Path, chance: random.Random) -> str:
    """Exchange it with another one of another content."""
    others = [other for other in file.parent.glob("*.*") if other.is_file() and other.read_bytes() != file.read_bytes()]
    other = chance.choice(sorted(others))
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return f"swapped with {other.name}"


DEEDS: tuple[Callable[[Path, random.Random], str], ...] = (flip, flip, cut, drop, swap)


def test_every_change_is_found_and_none_where_there_is_none(operator: Operator, key: PublicKey, tmp_path: Path) -> None:
    original, copy = operator.folder / "outputs" / DEPLOYMENT, tmp_path / DEPLOYMENT
    shutil.copytree(original, copy)
    assert evidence.verify(copy, key).first is None
    written = evidence.verify(copy, key)
    ended = {path for path in copy.glob("runs/*") if path.name not in {*written.cut_off, *written.going_on}}
    files = [file for run in sorted(ended) for file in sorted(run.iterdir()) if not file.name.startswith(".")]
    files += [copy / "ledger.jsonl", copy / "ledger.head.json"]
    missed = []
    for number in range(CHANGES):
        chance = random.Random(f"{SEED} {number}")
        file = chance.choice(files)
        before = {other: other.read_bytes() for other in file.parent.glob("*") if other.is_file()}
        deed = chance.choice(DEEDS)(file, chance)
        if evidence.verify(copy, key).first is None:
            missed.append(f"{number}: {file.name} {deed}")
        for other, content in before.items():
            other.write_bytes(content)
    assert missed == []
    assert evidence.verify(copy, key).first is None
