"""From a method and a path to a call; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .names import Key

_PREFIX = re.compile(r"/(?:compute/)?(?:v1/)?projects/")
_STANDARD = frozenset({"$alt", "$fields", "alt", "fields", "key", "prettyPrint", "quotaUser", "userIp"})
_LIST = frozenset({"filter", "maxResults", "orderBy", "pageToken", "returnPartialSuccess"})
_QUERY = {
    "list": _LIST,
    "aggregatedList": _LIST | {"includeAllScopes", "serviceProjectNumber"},
    "get": frozenset({"optionalRequestedPolicyVersion", "views"}),
    "wait": frozenset[str](),
    "getFromFamily": frozenset[str](),
    "getStatus": frozenset[str](),
    "getRouterStatus": frozenset[str](),
    "getSerialPortOutput": frozenset({"port", "start"}),
}
# Methods whose path says something else than their name.
_PATH_VERBS = {"serialPort": "getSerialPortOutput"}
_CHANGE = frozenset({"requestId", "sourceInstanceTemplate", "sourceMachineImage", "paths", "forceStart"})
_CHANGE |= {"discardLocalSsd", "noGracefulShutdown"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API.

    Args:
        verb: ``list``, ``get``, ``insert``, ``setTags``, ...
        key: what it is about; ``name`` is empty for a whole collection, ``scope`` is ``aggregated`` for all scopes.
        query: parameters of the URL.
        body: as sent.
        writes: the call changes something.
    """

    verb: str
    key: Key
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    writes: bool = False

    @property
    def method(self) -> str:
        """The method's full name, for example ``compute.v1.InstancesService.List``."""
        collection = self.key.collection or "projects"
        verb = self.verb[:1].upper() + self.verb[1:]
        return f"compute.v1.{collection[:1].upper()}{collection[1:]}Service.{verb}"


def route(method: str, path: str, query: Mapping[str, str], body: bytes) -> Call | None:
    """The call that a request makes; ``None`` if there is no such method."""
    prefix = _PREFIX.match(path)
    if not prefix:
        return None
    project, *parts = path[prefix.end() :].strip("/").split("/")
    if not all((project, *parts)):
        return None
    found = _resource(project, parts)
    if found is None:
        return None
    key, custom = found
    verb = custom or _verb(method, bool(key.name) or not key.collection, key.scope)
    if not verb:
        return None
    return Call(verb, key, query, body, writes=method != "GET" and verb not in ("wait", "getStatus"))


def _resource(project: str, parts: list[str]) -> tuple[Key, str] | None:
    """The key in a path, and the custom verb at its end."""
    match parts:
        case []:
            return Key(project, "", "", ""), ""
        case ["setCommonInstanceMetadata"]:
            return Key(project, "", "", ""), parts[0]
        case ["aggregated", collection]:
            return Key(project, "aggregated", collection, ""), ""
        case ["global", "images", "family", family]:
            return Key(project, "global", "images", family), "getFromFamily"
        case ["global", collection, *rest] if len(rest) <= 2:
            return Key(project, "global", collection, rest[0] if rest else ""), rest[1] if len(rest) == 2 else ""
        case [("regions" | "zones") as collection]:
            return Key(project, "", collection, ""), ""
        case [("regions" | "zones") as collection, name]:
            return Key(project, "", collection, name), ""
        case [("regions" | "zones") as scope, place, collection, *rest] if len(rest) <= 2:
            name = rest[0] if rest else ""
            verb = rest[1] if len(rest) == 2 else ""
            return Key(project, f"{scope}/{place}", collection, name), _PATH_VERBS.get(verb, verb)
    return None


def _verb(method: str, single: bool, scope: str) -> str:
    if scope == "aggregated":
        return "aggregatedList" if method == "GET" else ""
    if single:
        return {"GET": "get", "DELETE": "delete", "PATCH": "patch", "PUT": "update"}.get(method, "")
    return {"GET": "list", "POST": "insert"}.get(method, "")


def unknown_parameter(call: Call) -> str:
    """A parameter of the URL that the method does not have; empty if there is none."""
    known = _STANDARD | (_CHANGE if call.writes else _QUERY.get(call.verb, frozenset()))
    return next((name for name in call.query if name not in known), "")
