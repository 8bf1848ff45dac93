"""The signing key is made once and kept private; an envelope is what was signed, byte by byte, or refused."""

from __future__ import annotations

import base64
import json
import random
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from runbook_lib.archive import signing
from runbook_lib.errors import PrerequisiteError, RecordError

STATEMENT = {"subject": [{"name": "x", "digest": {"sha256": "00"}}], "predicateType": "t", "predicate": {"é": 1.5}}


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = signing.open_key(tmp_path / "archive")
    file = tmp_path / "archive" / "signing-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing.open_key(file.parent).public.id == key.public.id
    assert signing.public_key(file.parent / "signing-key.pub").id == key.public.id
    assert {each.name for each in file.parent.iterdir()} == {"signing-key", "signing-key.pub"}


def test_a_public_key_that_is_missing_is_written_anew_and_another_one_refused(tmp_path: Path) -> None:
    key = signing.open_key(tmp_path / "a")
    (tmp_path / "a" / "signing-key.pub").unlink()
    assert signing.open_key(tmp_path / "a").public.id == key.public.id
    signing.open_key(tmp_path / "b")
    (tmp_path / "b" / "signing-key.pub").replace(tmp_path / "a" / "signing-key.pub")
    with pytest.raises(PrerequisiteError, match="belongs to another"):
        signing.open_key(tmp_path / "a")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    signing.open_key(tmp_path)
    (tmp_path / "signing-key").chmod(mode)
    with pytest.raises(PrerequisiteError, match="open to other accounts"):
        signing.open_key(tmp_path)


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1())
    file = tmp_path / "signing-key"
    for content in (b"no key", other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), b"\xff"):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(PrerequisiteError, match="signing key cannot be made or read"):
            signing.open_key(tmp_path)
        assert file.read_bytes() == content
    file.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for path in (file, tmp_path / "none"):
        with pytest.raises(PrerequisiteError, match="public key cannot be read"):
            signing.public_key(path)


def test_an_envelope_holds_an_in_toto_statement(tmp_path: Path) -> None:
    key = signing.open_key(tmp_path)
    content = signing.signed(STATEMENT, key)
    assert signing.opened(content, key.public, "x") == {"_type": "https://in-toto.io/Statement/v1", **STATEMENT}
    envelope = json.loads(content)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert [signature["keyid"] for signature in envelope["signatures"]] == [key.public.id]


def test_an_envelope_is_checked_by_whoever_knows_dsse_and_ed25519(tmp_path: Path) -> None:
    envelope = json.loads(signing.signed(STATEMENT, signing.open_key(tmp_path)))
    payload = base64.b64decode(envelope["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    public = load_pem_public_key((tmp_path / "signing-key.pub").read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)


def test_every_bit_of_an_envelope_counts(tmp_path: Path) -> None:
    key = signing.open_key(tmp_path)
    content = signing.signed(STATEMENT, key)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << random.Random(position).randrange(8)
        with pytest.raises(RecordError):
            signing.opened(bytes(changed), key.public, "x")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda content, other: content + b"\n", signing.NO_ENVELOPE),
        (lambda content, other: content.rstrip(), signing.NO_ENVELOPE),
        (lambda content, other: content.replace(b":", b": ", 1), signing.NO_ENVELOPE),
        (lambda content, other: json.dumps(json.loads(content)).encode(), signing.NO_ENVELOPE),
        (lambda content, other: json.dumps(json.loads(content)).encode("utf-16"), signing.NO_ENVELOPE),
        (lambda content, other: content.replace(b'"payload"', b'"a":1,"payload"', 1), signing.NO_ENVELOPE),
        (lambda content, other: content.replace(b'{"keyid"', b'{"a":1,"keyid"', 1), signing.NO_ENVELOPE),
        (lambda content, other: content.replace(b'"signatures":[', b'"signatures":[],"x":[', 1), signing.NO_ENVELOPE),
        (lambda content, other: b"[" * 100_000, signing.NO_ENVELOPE),
        (lambda content, other: b"", signing.NO_ENVELOPE),
        (lambda content, other: b"null", signing.NO_ENVELOPE),
        (lambda content, other: signing.signed(STATEMENT, other), signing.UNKNOWN_KEY),
        (lambda content, other: content.replace(b"vnd.in-toto", b"vnd.other-1", 1), signing.BROKEN_SIGNATURE),
    ],
)
def test_an_envelope_that_was_changed_is_refused_and_said_how(tmp_path: Path, change: object, kind: str) -> None:
    key, other = signing.open_key(tmp_path / "one"), signing.open_key(tmp_path / "other")
    assert callable(change)
    with pytest.raises(RecordError) as refused:
        signing.opened(change(signing.signed(STATEMENT, key), other), key.public, "the head")
    assert refused.value.message == kind
    assert refused.value.resource == "the head"


def test_a_signature_of_two_keys_or_under_anothers_name_is_refused(tmp_path: Path) -> None:
    key, other = signing.open_key(tmp_path / "one"), signing.open_key(tmp_path / "other")
    mine, theirs = json.loads(signing.signed(STATEMENT, key)), json.loads(signing.signed(STATEMENT, other))
    both = {**mine, "signatures": mine["signatures"] + theirs["signatures"]}
    with pytest.raises(RecordError, match="not an envelope"):
        signing.opened(signing.canonical(both) + b"\n", key.public, "x")
    renamed = {**theirs, "signatures": [{**theirs["signatures"][0], "keyid": key.public.id}]}
    with pytest.raises(RecordError, match="broken signature"):
        signing.opened(signing.canonical(renamed) + b"\n", key.public, "x")


def test_canonical_json_has_one_form() -> None:
    assert signing.canonical({"b": (1, 2.5), 3: None, "a": "é\udc80"}) == b'{"3":null,"a":"\\u00e9\\udc80","b":[1,2.5]}'
    with pytest.raises(ValueError, match="JSON"):
        signing.canonical(float("nan"))
    with pytest.raises(TypeError):
        signing.canonical(object())
