"""Where secrets are kept: files that only their owner reads, or a store that is plugged in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from runbook_lib import secret_store
from runbook_lib.errors import ParameterError, PrerequisiteError
from runbook_lib.params import Params
from runbook_lib.secret_store import Files, open_store
from tests.conftest import Recorder


def store(folder: Path) -> Files:
    return Files(Params(keys=str(folder)))


def test_what_was_added_first_stays(tmp_path: Path) -> None:
    kept = store(tmp_path)
    assert kept.get("gossip-key") is None
    assert kept.add("gossip-key", "one") == "one"
    assert kept.add("gossip-key", "two") == "one"
    assert store(tmp_path).get("gossip-key") == "one"


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.add("gossip-key", "one")
    file = tmp_path / "demo" / "secrets" / "gossip-key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["gossip-key"], "no half-written file is left"
    file.chmod(0o640)
    with pytest.raises(PrerequisiteError, match="open to other accounts") as refused:
        kept.get("gossip-key")
    assert "chmod 600" in refused.value.remedy


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file where the folder should be")
    with pytest.raises(PrerequisiteError, match="the secret gossip-key cannot be made or read") as refused:
        store(tmp_path).add("gossip-key", "one")
    assert "parameter keys" in refused.value.remedy


def test_of_several_who_begin_at_once_all_go_on_with_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        seen = set(pool.map(lambda number: store(tmp_path).add("shared", f"value-{number}"), range(64)))
    assert len(seen) == 1
    assert seen == {store(tmp_path).get("shared")}


class Remembered:
    """A store that somebody else's package might bring."""

    def __init__(self, params: Params) -> None:
        self.deployment = params.deployment

    def get(self, name: str) -> str | None:
        return f"{self.deployment}/{name}"

    def add(self, name: str, value: str) -> str:
        return value


def test_another_store_is_plugged_in_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = EntryPoint("remembered", f"{__name__}:Remembered", secret_store.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Remembered)
    monkeypatch.setattr(secret_store, "entry_points", lambda group: EntryPoints([mine]).select(group=group))
    assert open_store(Params(secret_store="remembered")).get("x") == "demo/x"


def test_the_files_are_the_store_that_is_installed(tmp_path: Path) -> None:
    open_store(Params(keys=str(tmp_path))).add("gossip-key", "one")
    assert store(tmp_path).get("gossip-key") == "one"


def test_the_recorder_is_told_of_every_secret_that_comes_out(tmp_path: Path, recorder: Recorder) -> None:
    opened = open_store(Params(keys=str(tmp_path)))
    assert opened.get("nothing") is None
    opened.add("gossip-key", "one")
    opened.add("gossip-key", "two")
    opened.get("gossip-key")
    assert [(event["kind"], event["name"], event["value"]) for event in recorder.take()] == [
        ("secret", "gossip-key", "one")
    ] * 3


def test_an_unknown_store_is_refused_with_those_there_are() -> None:
    with pytest.raises(ParameterError, match="no such secret store") as refused:
        open_store(Params(secret_store="vault"))
    assert (refused.value.resource, refused.value.seen) == ("secret_store", "vault")
    assert "files" in str(refused.value.expected)
