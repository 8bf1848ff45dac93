"""Names, paths and links of resources; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .errors import invalid, required

ROOT = "https://www.googleapis.com/compute/v1/"
NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
_LINK = re.compile(
    r"(?:https?://[^/]+(?:/compute)?(?:/v1)?/|/?compute/v1/|/)?"
    r"(?:projects/(?P<project>[^/]+)/)?"
    r"(?:(?P<scope>global|(?:regions|zones)/[^/]+)/)?"
    r"(?P<collection>[a-zA-Z]+)/(?P<name>(?:family/)?[^/]+)"
)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which resource.

    Args:
        project: project id.
        scope: ``global``, ``regions/REGION``, ``zones/ZONE``, or empty for regions and zones themselves.
        collection: ``networks``, ``instances``, ...
        name: the resource's name.
    """

    project: str
    scope: str
    collection: str
    name: str

    @property
    def path(self) -> str:
        parts = ("projects", self.project, self.scope, self.collection, self.name)
        return "/".join(part for part in parts if part)

    @property
    def link(self) -> str:
        return ROOT + self.path

    @property
    def place(self) -> str:
        """The zone's or region's name; empty if global."""
        return self.scope.partition("/")[2]

    @property
    def scope_link(self) -> str:
        return f"{ROOT}projects/{self.project}/{self.scope}"


def parse_link(text: str, project: str) -> Key | None:
    """The key that a full or partial URL names, or ``None`` if it is not one."""
    match = _LINK.fullmatch(text)
    if not match:
        return None
    scope = match["scope"] or ""
    if not scope and match["collection"] not in ("zones", "regions"):
        return None
    return Key(match["project"] or project, scope, match["collection"], match["name"])


def check_name(document: dict[str, Any], field: str = "resource.name") -> str:
    """The document's name.

    Raises:
        ApiError: it has none, or one against the naming rule (RFC 1035 label).
    """
    name = document.get("name")
    if not name:
        raise required(field)
    if not re.fullmatch(NAME, str(name)):
        raise invalid(field, name, f"Must be a match of regex '(?:{NAME})'")
    return str(name)


def check_labels(labels: dict[str, str]) -> None:
    """Keys and values of labels; the rule is the one in Compute's documentation of labels.

    Raises:
        ApiError: naming the first one that is wrong.
    """
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            raise invalid("resource.labels", key, "Label key must match regex '[a-z][a-z0-9_-]{0,62}'")
        if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise invalid("resource.labels", value, "Label value must match regex '[a-z0-9_-]{0,63}'")
