"""What every kind of AWS resource can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from ...resources import Found
from ...topology.names import is_ours
from .account import Account


class Claim(NamedTuple):
    """Something that is the deployment's.

    Args:
        item: as the API lists it.
        id: its id.
        name: what it is called, or would be if it had its tags; one that cannot be told goes by its id.
        lost: ``{"marked": False}`` if it has not got its tags, for its attributes.
    """

    item: Mapping[str, Any]
    id: str
    name: str
    lost: Mapping[str, Any]


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

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        """All of the deployment; a kind may bring another along when one answer holds both.

        Args:
            vpcs: ids of the deployment's VPCs.
        """
        return ()

    def claimed(self, items: Iterable[Mapping[str, Any]], id: str, vpcs: frozenset[str] = frozenset()) -> list[Claim]:
        """Those that are the deployment's: what has its tag, and what lost it and can be nothing else.

        Nothing that has another deployment's tag; and nothing that is unmarked, if what it is taken for exists.

        Args:
            items: all of the kind.
            id: the field with the id.
            vpcs: ids of the deployment's VPCs.
        """
        sure, likely = [], []
        for item in items:
            tags = tags_of(item)
            owner, said = tags.get("Deployment"), tags.get("Name", "")
            if owner not in (None, self.account.deployment):
                continue
            owned = owner is not None
            named = is_ours(self.account.deployment, f"aws:{self.name}", said) and (owned or self.fits(item, vpcs))
            name = said if named else self.recognise(item, vpcs) if owned or not said else ""
            lost = {} if owned and name in ("", said) and said else {"marked": False}
            if owned:
                sure.append(Claim(item, item[id], name or said or item[id], lost))
            elif name:
                likely.append(Claim(item, item[id], name, lost))
        known = {claim.name: claim for claim in reversed(likely)} | {claim.name: claim for claim in sure}
        return [*sure, *(claim for claim in likely if known[claim.name] is claim)]

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        """Whether something of our name without our tag stands where ours would: in our VPC, or beside it."""
        return item["VpcId"] in vpcs if "VpcId" in item else bool(vpcs)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """The name of something that lost it, by what it is and where it stands; empty if that does not tell."""
        return ""

    def mark(self, found: Found, name: str, spec: Mapping[str, Any]) -> None:
        """Give something its tags back."""
        self.ec2.create_tags(Resources=[found.id], Tags=self.account.tags(name))

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
            ours = self.find(frozenset())  # with its tags, so wherever it stands
            return next((found for found in ours if found.key == self.found(name, found.id).key), None)

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


def in_state(*states: str) -> list[dict[str, Any]]:
    """``Filters`` that leave what is in one of these states."""
    return [{"Name": "state", "Values": list(states)}]


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
