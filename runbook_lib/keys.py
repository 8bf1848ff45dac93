"""The operator's SSH key and the host keys learned, one folder a deployment; neither ever leaves this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from . import events, private_files
from .errors import PrerequisiteError
from .params import Params
from .resources import Host


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The operator's key.

    Args:
        private_path: file with the private key, readable by its owner alone.
        public_text: public key as one ``authorized_keys`` line; its comment is the deployment.
    """

    private_path: Path
    public_text: str


def folder(params: Params) -> Path:
    """Where a deployment's keys are kept: ``<params.keys>/<deployment>``."""
    return Path(params.keys).expanduser() / params.deployment


def operator_key(params: Params) -> KeyPair:
    """The deployment's key: made at the first call (ed25519, mode 0600), the same one ever after.

    Raises:
        PrerequisiteError: the folder cannot be written, or the key there is unreadable or open to others.
    """
    path = folder(params) / "id_ed25519"
    try:
        if not path.exists():
            key = asyncssh.generate_private_key("ssh-ed25519", comment=params.deployment)
            private_files.create(path, key.export_private_key())
        text = private_files.read(path, "the operator's SSH key")
    except (OSError, UnicodeDecodeError) as error:
        raise PrerequisiteError(
            "the operator's SSH key cannot be made or read",
            resource=str(path),
            seen=error,
            remedy="make the folder writable for yourself, or choose another one with the parameter keys",
        ) from None
    events.emit(events.SECRET, must_arrive=True, name="ssh-key", value=text)
    return KeyPair(path, _public(text, params.deployment, path))


class KnownHosts:
    """Host keys learned at the first contact, under a name that changes when an instance is replaced.

    Addresses come back with other instances behind them, so keys are kept by the instance's identifier: what
    OpenSSH calls ``HostKeyAlias``. The file is an ordinary ``known_hosts`` file.

    Args:
        path: the file; it and its folder are made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        private_files.folder(path.parent)
        path.touch(mode=0o600)

    @classmethod
    def of(cls, params: Params) -> KnownHosts:
        """The deployment's own file, beside its key."""
        return cls(folder(params) / "known_hosts")

    @staticmethod
    def alias(host: Host) -> str:
        """The name under which an instance's host key is kept, for example ``aws-i-0123456789abcdef0``.

        The bastion of an existing network has no known identifier; its public address takes the place.
        """
        return f"{host.cloud}-{host.id or host.public_ip}".replace("/", "-")

    def knows(self, alias: str) -> bool:
        """Whether a key was learned for this instance before."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return any(line.split(None, 1)[:1] == [alias] for line in lines)

    def learn(self, alias: str, public_key: str) -> None:
        """Add a key (``TYPE BASE64``), in one write so that other writers' lines stay whole."""
        kind, encoded = public_key.split()[:2]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{alias} {kind} {encoded}\n")


def _public(private_text: str, comment: str, path: Path) -> str:
    try:
        key = asyncssh.import_private_key(private_text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise PrerequisiteError(
            "the operator's SSH key cannot be used",
            resource=str(path),
            expected="an OpenSSH private key without passphrase",
            seen=error,
            remedy="move the file away; a new key is made, and 05_teardown then 00_provision install it",
        ) from None
    key.set_comment(comment)
    return key.export_public_key().decode("ascii").strip()
