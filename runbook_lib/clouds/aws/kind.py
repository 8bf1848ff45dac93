"""What every kind of AWS resource can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from ...resources import Found
from .account import Account


class Kind:
    """One kind of resource: found, made, changed and destroyed through the API.

    Args:
        account: clients and parameters.
    """

    name: ClassVar[str]

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ec2 = account.ec2
        self.iam = account.iam
        self.once = account.probe

    def find(self) -> Iterable[Found]:
        """All of the deployment; a kind may bring another along when one answer holds both."""
        return ()

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        """Make one and return once others can be made that need it."""
        raise NotImplementedError

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        """Change fields in place."""
        raise NotImplementedError

    def wait(self, found: Found) -> Found:
        """Return once it does its work."""
        return found

    def destroy(self, found: Found) -> None:
        """Remove it, and return once it is gone."""
        raise NotImplementedError

    def make(self, name: str, ask: Callable[[], Found]) -> Found:
        """Make one by a call without a client token, or take the one of that name that such a call has made.

        Args:
            name: its name.
            ask: makes it; by ``self.once`` unless AWS refuses a second of the name.
        """

        def look() -> Found | None:
            return next((found for found in self.find() if found.key == self.found(name, found.id).key), None)

        return self.account.make(ask, look)

    def pages(self, operation: str, field: str, **arguments: Any) -> list[dict[str, Any]]:
        """All items of a describe operation, whatever number of pages they come in."""
        if self.ec2.can_paginate(operation):
            return [item for page in self.ec2.get_paginator(operation).paginate(**arguments) for item in page[field]]
        return list(getattr(self.ec2, operation)(**arguments)[field])

    def found(
        self,
        name: str,
        id: str,
        spec: Mapping[str, Any] | None = None,
        *,
        kind: str = "",
        **attributes: Any,
    ) -> Found:
        """The record of one that exists."""
        key = f"aws:{kind or self.name}:{name}"
        return Found(key, id, {"id": id, "name": name, **attributes}, spec or {})


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}


def name_of(item: Mapping[str, Any], fallback: str) -> str:
    """The Name tag; something that lost it goes by its id, and so is known as not wanted."""
    return tags_of(item).get("Name", fallback)
