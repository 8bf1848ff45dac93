"""The operator's key is made once and kept private; host keys follow instances, not addresses."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbook_lib.errors import PrerequisiteError
from runbook_lib.keys import KnownHosts, operator_key
from runbook_lib.params import Params
from runbook_lib.resources import Host
from tests.conftest import Recorder


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return Params(keys=str(tmp_path / "keys"), deployment="blue")


def host(identifier: str = "i-1") -> Host:
    return Host("bastion", "aws", "bastion", "us-west-2a", "us-west-2", identifier, "10.0.0.1", None, "running")


def test_the_key_is_private_and_stays_the_same(params: Params) -> None:
    first, second = operator_key(params), operator_key(params)
    assert first == second
    assert first.private_path.stat().st_mode & 0o777 == 0o600
    assert first.private_path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in first.private_path.parent.iterdir()] == ["id_ed25519"]
    kind, _, comment = first.public_text.split()
    assert (kind, comment) == ("ssh-ed25519", "blue")


def test_the_recorder_is_told_of_the_key(params: Params, recorder: Recorder) -> None:
    key = operator_key(params)
    assert recorder.take() == [
        {"kind": "secret", "name": "ssh-key", "value": key.private_path.read_text(encoding="ascii")}
    ]


def test_openssh_agrees_about_the_public_half(params: Params) -> None:
    key = operator_key(params)
    seen = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(key.private_path)], capture_output=True, text=True, check=True
    ).stdout
    assert seen.split()[:2] == key.public_text.split()[:2]


def test_makers_at_the_same_time_agree_on_one_key(params: Params) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: operator_key(params), range(8)))
    assert len(keys) == 1


def test_the_private_key_is_not_shown(params: Params) -> None:
    key = operator_key(params)
    secret = key.private_path.read_text().splitlines()[1]
    assert secret not in repr(key)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("no key at all", 0o600, "OpenSSH private key"),
        ("", 0o600, "OpenSSH private key"),
        (None, 0o640, "chmod 600"),
    ],
)
def test_an_unusable_key_is_named_and_left_alone(params: Params, content: str | None, mode: int, words: str) -> None:
    path = operator_key(params).private_path
    if content is not None:
        path.write_text(content)
    path.chmod(mode)
    before = path.read_bytes()
    with pytest.raises(PrerequisiteError, match=words) as caught:
        operator_key(params)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PrerequisiteError, match="parameter keys"):
        operator_key(Params(keys=str(tmp_path / "file")))


def test_host_keys_are_kept_by_instance(params: Params) -> None:
    known = KnownHosts.of(params)
    alias = known.alias(host("i-1"))
    assert not known.knows(alias)
    known.learn(alias, "ssh-ed25519 AAAA comment")
    assert known.knows(alias)
    assert not known.knows(known.alias(host("i-2")))
    assert known.path.read_text() == "aws-i-1 ssh-ed25519 AAAA\n"
    assert KnownHosts.of(params).knows(alias)
