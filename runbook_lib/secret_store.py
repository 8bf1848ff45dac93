"""Where a deployment's secrets are kept: files of the operator's, or whatever else is plugged in.

A store is anything with the two methods of ``SecretStore``, made from the parameters. The parameter ``secret_store``
names one among the entry points of the group ``runbook_lib.secret_stores``; ``files`` is this package's own. To keep
secrets in a manager instead, publish a class and name it in the ``pyproject.toml`` of your own package::

    [project.entry-points."runbook_lib.secret_stores"]
    vault = "my_package:VaultStore"      # called with Params, gives a SecretStore

and set ``secret_store: vault``. Nothing else in the runbook knows where secrets come from.

Whatever comes out of a store is told to the recorder, if there is one, so that it can be kept out of records.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol

from . import events, private_files
from .errors import ParameterError, PrerequisiteError
from .keys import folder
from .params import Params

GROUP = "runbook_lib.secret_stores"


class SecretStore(Protocol):
    """Keeps short texts by name, for one deployment."""

    def get(self, name: str) -> str | None:
        """What is kept under a name; ``None`` if nothing is."""

    def add(self, name: str, value: str) -> str:
        """Keep a value under a name that has none yet, and give back what is kept there: of two writers the first
        wins, so that two operators who begin at once go on with the same secrets."""


class Files:
    """One file a secret in ``<params.keys>/<deployment>/secrets``, mode 0600 in a folder of mode 0700.

    Args:
        params: says where.
    """

    def __init__(self, params: Params) -> None:
        self.folder = folder(params) / "secrets"

    def get(self, name: str) -> str | None:
        """What is kept under a name; ``None`` if nothing is.

        Raises:
            PrerequisiteError: the file is unreadable or open to other accounts.
        """
        path = self.folder / name
        try:
            return private_files.read(path, f"the secret {name}")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(name, error) from None

    def add(self, name: str, value: str) -> str:
        """Keep a value under a name that has none yet, and give back what is kept there.

        Raises:
            PrerequisiteError: the folder cannot be written.
        """
        try:
            private_files.create(self.folder / name, value.encode("ascii"))
        except OSError as error:
            raise self._unusable(name, error) from None
        kept = self.get(name)
        assert kept is not None
        return kept

    def _unusable(self, name: str, error: Exception) -> PrerequisiteError:
        return PrerequisiteError(
            f"the secret {name} cannot be made or read",
            resource=str(self.folder / name),
            seen=error,
            remedy="make the folder writable for yourself, or choose another one with the parameter keys",
        )


class Told:
    """A store of which the recorder is told every secret.

    Args:
        store: the store itself.
    """

    def __init__(self, store: SecretStore) -> None:
        self.store = store

    def get(self, name: str) -> str | None:
        """As the store's."""
        return self._told(name, self.store.get(name))

    def add(self, name: str, value: str) -> str:
        """As the store's."""
        kept = self._told(name, self.store.add(name, value))
        assert kept is not None
        return kept

    def _told(self, name: str, value: str | None) -> str | None:
        if value is not None:
            events.emit(events.SECRET, must_arrive=True, name=name, value=value)
        return value


def open_store(params: Params) -> SecretStore:
    """The store that the parameters name.

    Raises:
        ParameterError: there is none of that name.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if params.secret_store not in known:
        raise ParameterError(
            "there is no such secret store",
            resource="secret_store",
            expected=f"one of: {', '.join(sorted(known))}",
            seen=params.secret_store,
            remedy="correct the name, or install the package that brings the store",
        )
    return Told(known[params.secret_store].load()(params))
