"""The key that signs a deployment's ledger, and signed statements: DSSE envelopes around in-toto Statements.

Formats: DSSE 1.0 (https://github.com/secure-systems-lab/dsse) and in-toto Statement v1
(https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), so that other tools can check them too.
Ed25519 signatures (RFC 8032). An envelope's file has one form, canonical JSON: anything else is refused, even
where it would mean the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import private_files
from ..errors import PrerequisiteError, RecordError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PRIVATE, PUBLIC = "signing-key", "signing-key.pub"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

FIELDS = [{"payload", "payloadType", "signatures"}, {"keyid", "sig"}]  # of an envelope and of its one signature

# What can be wrong with an envelope: the message of the error that `opened` raises.
NO_ENVELOPE = "not an envelope"
UNKNOWN_KEY = "unknown key"
BROKEN_SIGNATURE = "broken signature"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What signatures are checked with.

    Args:
        key: as securesystemslib has it.
    """

    key: SSlibKey

    @property
    def id(self) -> str:
        """64 hex digits that tell this key from others; it stands beside every signature."""
        return str(self.key.keyid)


@dataclass(frozen=True, slots=True)
class Key:
    """What statements are signed with.

    Args:
        signer: as securesystemslib has it.
    """

    signer: CryptoSigner

    @property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self.signer.public_key)


def open_key(folder: Path) -> Key:
    """The signing key in a folder outside the archive: made at the first call, the same one ever after.

    The private key (``signing-key``, PKCS #8 PEM without passphrase, mode 600) never leaves the folder; the public
    one (``signing-key.pub``, PEM) is written beside it, for those who verify.

    Raises:
        PrerequisiteError: the folder cannot be written, the key there is unreadable or open to other accounts, or
            the public key there belongs to another one.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner, SSlibKey

    file = folder / PRIVATE
    try:
        if not file.exists():
            fresh = Ed25519PrivateKey.generate()
            form = (pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
            private_files.create(file, fresh.private_bytes(*form))
        private = pem.load_pem_private_key(private_files.read(file, "the archive's signing key").encode(), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("it is no Ed25519 key")
        public = private.public_key()
        key = Key(CryptoSigner(private, SSlibKey.from_crypto(public)))
        text = public.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
        if not (folder / PUBLIC).exists():
            private_files.create(folder / PUBLIC, text)
            (folder / PUBLIC).chmod(0o644)
    except (OSError, ValueError, TypeError) as error:
        raise PrerequisiteError(
            "the archive's signing key cannot be made or read",
            resource=str(file),
            expected="an Ed25519 private key, PEM without passphrase, in a folder that you can write",
            seen=error,
            remedy="put the key back from a backup; with another key the ledgers signed so far cannot go on",
        ) from None
    beside = public_key(folder / PUBLIC)
    if beside.id != key.public.id:
        raise PrerequisiteError(
            "the public key beside the archive's signing key belongs to another one",
            resource=str(folder / PUBLIC),
            expected=f"key {key.public.id}",
            seen=f"key {beside.id}",
            remedy="put back the file of the two that was replaced; a public key that is missing is written anew",
        )
    return key


def public_key(file: Path) -> PublicKey:
    """The public key in a file.

    Raises:
        PrerequisiteError: there is none, or it is of another kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        key = load_pem_public_key(file.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("it is no Ed25519 key")
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise PrerequisiteError(
            "the archive's public key cannot be read",
            resource=str(file),
            expected="an Ed25519 public key, PEM",
            seen=error,
            remedy=f"ask whoever made the archive for their {PUBLIC}",
        ) from None
    return PublicKey(SSlibKey.from_crypto(key))


def canonical(value: Any) -> bytes:
    """The one way in which a JSON value is written: keys sorted, no spaces, ASCII.

    Raises:
        TypeError, ValueError: it is no JSON.
    """
    plain = json.loads(json.dumps(value, allow_nan=False))  # keys that were no texts are texts before they are sorted
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def signed(statement: Mapping[str, Any], key: Key) -> bytes:
    """A statement in its signed envelope, as a file holds it.

    Args:
        statement: ``subject``, ``predicateType`` and ``predicate``; the rest is added.
        key: whose signature it gets.
    """
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical({"_type": STATEMENT_TYPE, **statement}), PAYLOAD_TYPE, {})
    envelope.sign(key.signer)
    return canonical(envelope.to_dict()) + b"\n"


def opened(content: bytes, key: PublicKey, where: str) -> Mapping[str, Any]:
    """The statement in a signed envelope, once its signature is found right.

    Args:
        content: the file's.
        key: whose signature it must have, and no other.
        where: what file it is, for the error message.

    Raises:
        RecordError: it is none, it is signed by another key, or the signature is broken; the message is
            ``NO_ENVELOPE``, ``UNKNOWN_KEY`` or ``BROKEN_SIGNATURE``.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        found = json.loads(content)
        ids = [str(signature["keyid"]) for signature in found["signatures"]]
        fields = [set(found), *map(set, found["signatures"])]
        envelope = Envelope.from_dict(found)  # takes the signatures' texts apart in place
        if canonical(envelope.to_dict()) + b"\n" != content or fields != FIELDS:
            raise ValueError("not as this package writes it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(
            NO_ENVELOPE,
            resource=where,
            expected="a DSSE envelope with one signature, in canonical JSON",
            seen=f"{type(error).__name__}: {error}",
            remedy="the file was changed or replaced after it was written",
        ) from None
    if ids != [key.id]:
        raise RecordError(
            UNKNOWN_KEY,
            resource=where,
            expected=f"a signature of key {key.id}",
            seen=f"one of key {ids[0]}",
            remedy="somebody else signed this, or you hold another deployment's public key",
        )
    try:
        envelope.verify([key.key], 1)
        statement = json.loads(envelope.payload)
        if envelope.payload_type != PAYLOAD_TYPE or statement["_type"] != STATEMENT_TYPE:
            raise ValueError("no in-toto statement")
    except (VerificationError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            BROKEN_SIGNATURE,
            resource=where,
            expected=f"a statement that key {key.id} signed",
            seen=f"{type(error).__name__}: {error}",
            remedy="the statement or its signature was changed after it was signed",
        ) from None
    return statement
