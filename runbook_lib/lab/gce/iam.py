"""The few methods of Google's IAM and Resource Manager that make members with fewer rights, and tell what they have.

``roles.create``, ``roles.patch``, ``serviceAccounts.create`` and ``serviceAccounts.keys.create`` of
iam.googleapis.com, and ``getIamPolicy``, ``setIamPolicy`` and ``testIamPermissions`` of
cloudresourcemanager.googleapis.com, all v1: their paths do not meet Compute's.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from .auth import Auth
from .errors import ApiError, already_exists, bad_request, not_found
from .members import Members

_PATH = re.compile(
    r"/v1/projects/(?P<project>[^/:]+)(?::(?P<verb>\w+)|/(?P<collection>roles|serviceAccounts)"
    r"(?:/(?P<name>[^/:]+)(?:/(?P<sub>keys))?)?)"
)
_ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_ACCOUNT_ID = re.compile(r"[a-z](?:[-a-z0-9]{4,28}[a-z0-9])")
_MOST = 100  # permissions in one question, as Google's


class Iam:
    """IAM's and Resource Manager's methods for one project.

    Args:
        project: project id.
        members: what is asked and changed.
        auth: makes keys.
    """

    def __init__(self, project: str, members: Members, auth: Auth) -> None:
        self._project = project
        self._members = members
        self._auth = auth

    @staticmethod
    def answers(path: str) -> bool:
        """Whether a path is one of these methods'."""
        return _PATH.fullmatch(path) is not None

    def answer(self, method: str, path: str, body: bytes, authorization: str, token_uri: str) -> dict[str, Any]:
        """Carry a request out.

        Args:
            method: HTTP's.
            path: without parameters.
            body: as sent.
            authorization: the header.
            token_uri: where a new key is exchanged for tokens.

        Raises:
            ApiError: the caller is unknown or may not, or the request is wrong.
        """
        parts = _PATH.fullmatch(path)
        assert parts is not None
        if parts["project"] != self._project:
            raise not_found(f"projects/{parts['project']}")
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            raise bad_request("Invalid JSON payload received.") from None
        way = (
            method,
            parts["verb"] or "/".join(filter(None, (parts["collection"], parts["name"] and "*", parts["sub"]))),
        )
        methods: dict[tuple[str, str], tuple[str, Callable[[], dict[str, Any]]]] = {
            ("POST", "testIamPermissions"): ("", lambda: self._test(given, email)),
            ("POST", "getIamPolicy"): ("resourcemanager.projects.getIamPolicy", self._members.policy),
            ("POST", "setIamPolicy"): ("resourcemanager.projects.setIamPolicy", lambda: self._bind(given)),
            ("POST", "roles"): ("iam.roles.create", lambda: self._create_role(given)),
            ("PATCH", "roles/*"): ("iam.roles.update", lambda: self._patch_role(parts["name"], given)),
            ("POST", "serviceAccounts"): ("iam.serviceAccounts.create", lambda: self._create_account(given)),
            ("POST", "serviceAccounts/*/keys"): (
                "iam.serviceAccountKeys.create",
                lambda: self._create_key(parts["name"], token_uri),
            ),
        }
        if way not in methods:
            raise ApiError(404, "notFound", "Method not found.")
        permission, act = methods[way]
        email = self._auth.caller(authorization, write=way[1] != "testIamPermissions", method=path, platform=True).email
        if permission and not self._members.may(email, permission):
            raise ApiError(
                403, "forbidden", f"Permission '{permission}' denied on resource 'projects/{self._project}'."
            )
        return act()

    def _test(self, given: dict[str, Any], email: str) -> dict[str, Any]:
        asked = given.get("permissions", [])
        if len(asked) > _MOST or any("*" in one for one in asked):
            raise bad_request(f"Ask for at most {_MOST} permissions, without wildcards.")
        granted = self._members.granted(email, asked)
        return {"permissions": granted} if granted else {}

    def _bind(self, given: dict[str, Any]) -> dict[str, Any]:
        bindings = given.get("policy", {}).get("bindings", [])
        for binding in bindings:
            role = binding.get("role", "")
            if not role.startswith("roles/") and self._members.role(role) is None:
                raise bad_request(f"Role ({role}) does not exist in the resource's hierarchy.")
            for member in binding.get("members", ()):
                if not self._members.known(member.partition(":")[2]):
                    raise bad_request(f"Service account {member.partition(':')[2]} does not exist.")
        self._members.set_policy(bindings)
        return self._members.policy()

    def _create_role(self, given: dict[str, Any]) -> dict[str, Any]:
        identity = given.get("roleId", "")
        if not _ROLE_ID.fullmatch(identity):
            raise bad_request(f"The role ID {identity!r} must match {_ROLE_ID.pattern}.")
        name = f"projects/{self._project}/roles/{identity}"
        if self._members.role(name) is not None:
            raise already_exists(name)
        return self._set_role(name, given.get("role", {}))

    def _patch_role(self, identity: str, given: dict[str, Any]) -> dict[str, Any]:
        name = f"projects/{self._project}/roles/{identity}"
        if self._members.role(name) is None:
            raise not_found(name)
        return self._set_role(name, given)

    def _set_role(self, name: str, role: dict[str, Any]) -> dict[str, Any]:
        permissions = role.get("includedPermissions", [])
        for one in permissions:
            if not re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){2,3}", one):
                raise bad_request(f"Permission {one} is not valid.")
        self._members.set_role(name, permissions)
        return {**role, "name": name, "includedPermissions": permissions, "etag": "BwXh"}

    def _create_account(self, given: dict[str, Any]) -> dict[str, Any]:
        identity = given.get("accountId", "")
        if not _ACCOUNT_ID.fullmatch(identity):
            raise bad_request(f"The account ID {identity!r} must match {_ACCOUNT_ID.pattern}.")
        if self._members.known(f"{identity}@{self._project}.iam.gserviceaccount.com"):
            raise already_exists(f"Service account {identity}")
        email = self._members.add_account(identity)
        return {"name": f"projects/{self._project}/serviceAccounts/{email}", "email": email, "projectId": self._project}

    def _create_key(self, email: str, token_uri: str) -> dict[str, Any]:
        if not self._members.known(email):
            raise not_found(f"projects/{self._project}/serviceAccounts/{email}")
        file = self._auth.credentials(token_uri, email)
        data = base64.b64encode(json.dumps(file).encode()).decode()
        name = f"projects/{self._project}/serviceAccounts/{email}/keys/{file['private_key_id']}"
        return {"name": name, "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": data}
