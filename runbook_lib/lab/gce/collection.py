"""What a family of resources tells the service about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .names import Key

if TYPE_CHECKING:
    from .store import Store

Doc = dict[str, Any]
Rule = Callable[["Store", Key, Doc], None]


def _nothing(store: Store, key: Key, document: Doc) -> None:
    """No rule."""


def _unless_used(store: Store, key: Key, document: Doc) -> None:
    store.refuse_if_used(key)


def _as_kept(store: Store, key: Key, document: Doc) -> Doc:
    return document


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of resource.

    Args:
        name: as in paths.
        message: the message type's name.
        scope: ``global``, ``regions``, ``zones``, or empty for regions and zones themselves.
        prepare: checks a document that is to be inserted or has been changed, and completes it; ``None`` if the
            collection is Google's and cannot be added to.
        added: what else comes into being with it.
        release: refuses a deletion, or tidies up before it.
        present: the document as shown now.
        mutable: fields that ``patch`` (and ``update``) may change; empty if there are no such methods.
        replaceable: ``update`` exists beside ``patch``.
        fingerprinted: ``patch`` must bring the current fingerprint.
        defers: inserting and deleting take until the world reports.
    """

    name: str
    message: str
    scope: str
    prepare: Rule | None = None
    added: Rule = _nothing
    release: Rule = _unless_used
    present: Callable[[Store, Key, Doc], Doc] = _as_kept
    mutable: frozenset[str] = frozenset()
    replaceable: bool = False
    fingerprinted: bool = False
    defers: bool = False

    @property
    def kind(self) -> str:
        """The value of ``kind`` in its documents."""
        return f"compute#{self.message[0].lower()}{self.message[1:]}"
