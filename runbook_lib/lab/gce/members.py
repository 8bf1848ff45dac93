"""The project's members: who has which roles, and so which permissions."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

# Predefined roles that hold every permission the lab asks for.
OWNER, EDITOR = "roles/owner", "roles/editor"
_ALL = frozenset({OWNER, EDITOR})


class Members:
    """Service accounts, custom roles, and the policy that binds them. Safe to use from any thread.

    Args:
        project: project id.
        owner: the operator's account, which may do everything.
        editor: the project's default service account, which instances have.
    """

    def __init__(self, project: str, owner: str, editor: str) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._accounts = {owner, editor}
        self._roles: dict[str, frozenset[str]] = {}
        self._bindings: dict[str, frozenset[str]] = {
            OWNER: frozenset({f"serviceAccount:{owner}"}),
            EDITOR: frozenset({f"serviceAccount:{editor}"}),
        }

    def may(self, email: str, permission: str) -> bool:
        """Whether one of a member's roles has a permission."""
        return bool(self.granted(email, [permission]))

    def granted(self, email: str, permissions: Iterable[str]) -> list[str]:
        """Those of some permissions that a member has."""
        with self._lock:
            held = [role for role, members in self._bindings.items() if f"serviceAccount:{email}" in members]
            known = frozenset[str]().union(*(self._roles.get(role, frozenset()) for role in held))
            return [one for one in permissions if one in known or not _ALL.isdisjoint(held)]

    def known(self, email: str) -> bool:
        """Whether there is such a service account."""
        with self._lock:
            return email in self._accounts

    def add_account(self, account: str) -> str:
        """Make a service account, unless there is one; return its address."""
        email = f"{account}@{self._project}.iam.gserviceaccount.com"
        with self._lock:
            self._accounts.add(email)
        return email

    def role(self, name: str) -> frozenset[str] | None:
        """The permissions of a custom role, by its full name; ``None`` if there is none."""
        with self._lock:
            return self._roles.get(name)

    def set_role(self, name: str, permissions: Iterable[str]) -> None:
        """Make or replace a custom role."""
        with self._lock:
            self._roles[name] = frozenset(permissions)

    def policy(self) -> dict[str, Any]:
        """The project's policy, as the API answers it."""
        with self._lock:
            bindings = [{"role": role, "members": sorted(members)} for role, members in self._bindings.items()]
        return {"version": 1, "etag": "BwXh", "bindings": bindings}

    def set_policy(self, bindings: Iterable[Mapping[str, Any]]) -> None:
        """Replace the project's policy."""
        fresh: dict[str, frozenset[str]] = {}
        for binding in bindings:
            fresh[binding["role"]] = fresh.get(binding["role"], frozenset()) | frozenset(binding.get("members", ()))
        with self._lock:
            self._bindings = fresh
