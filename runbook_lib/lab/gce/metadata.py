"""The metadata server, 169.254.169.254 inside an instance."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from werkzeug.wrappers import Request, Response

from . import fabric
from .auth import Auth
from .names import Key
from .store import Doc, Store

Tree = Mapping[str, Any]
_ROOT = "/computeMetadata/v1/"
_FLAVOR = "Metadata-Flavor"
# Directories whose keys are the user's own words, which JSON leaves as they are.
_VERBATIM = ("attributes", "service-accounts")


class MetadataServer:
    """Answers instances about themselves.

    Args:
        store: where they are.
        auth: makes the tokens of their service accounts.
    """

    def __init__(self, store: Store, auth: Auth) -> None:
        self._store = store
        self._auth = auth

    def respond(self, key: Key, request: Request) -> Response:
        """The answer to one request of one instance."""
        response = self._respond(key, request)
        response.headers[_FLAVOR] = "Google"
        response.headers["Server"] = "Metadata Server for VM"
        return response

    def _respond(self, key: Key, request: Request) -> Response:
        if request.method != "GET":
            return _text("Method not allowed\n", 405)
        if request.path == "/":
            return _text("computeMetadata/\n")
        if "X-Forwarded-For" in request.headers or request.headers.get(_FLAVOR) != "Google":
            # A page or a proxy that was talked into asking does not know to send this header.
            return _text(f"Missing required header: {_FLAVOR}\n", 403)
        if request.path.rstrip("/") == "/computeMetadata":
            return _text("v1/\n")
        if not f"{request.path}/".startswith(_ROOT):
            return _text("Not found\n", 404)
        with self._store.lock:
            instance = self._store.documents.get(key)
            if instance is None:
                return _text("Not found\n", 404)
            path = request.path.removeprefix(_ROOT.rstrip("/")).strip("/")
            token = re.fullmatch(r"instance/service-accounts/([^/]+)/token", path)
            if token:
                return self._token(instance, token[1])
            whole = tree(self._store, key, instance)
        return look(whole, path, request.path, request.args.to_dict())

    def _token(self, instance: Doc, name: str) -> Response:
        """A token with the scopes that the instance was given; those asked for do not matter."""
        for account in instance.get("serviceAccounts", ()):
            if name in ("default", account["email"]) and account.get("scopes"):
                return _json(self._auth.issue(account["email"], account["scopes"]))
        return _text("Not found\n", 404)


def look(whole: Tree, path: str, url: str, query: Mapping[str, str]) -> Response:
    """What is at a path: a value, or a directory's names or (``recursive``) content.

    Args:
        whole: everything there is.
        path: slashes between names, none around.
        url: the path as it was asked for.
        query: ``recursive`` and ``alt``.
    """
    node: Any = whole
    for name in path.split("/") if path else ():
        if isinstance(node, list):
            node = dict(zip(map(str, range(len(node))), node, strict=True))
        if not isinstance(node, Mapping) or name not in node:
            return _text("Not found\n", 404)
        node = node[name]
    recursive = query.get("recursive", "").lower() == "true"
    directory = _is_directory(node)
    alt = query.get("alt", "json" if recursive and directory else "")
    if alt not in ("", "json", "text"):
        return _text("Invalid alt\n", 400)
    if not directory:
        # Tags are JSON unless asked for as text; everything else is the other way round.
        if alt == "json" or (path == "instance/tags" and not alt):
            return _json(node)
        return _text("\n".join(node) + "\n" if isinstance(node, list) else str(node))
    if not url.endswith("/"):
        return Response(status=301, headers={"Location": f"{url}/"})
    if recursive and alt == "json":
        return _json(_camel(node, path.rpartition("/")[2] in _VERBATIM))
    if recursive:
        return _text("".join(f"{name} {value}\n" for name, value in _flat(node, "")))
    names = [str(n) for n in range(len(node))] if isinstance(node, list) else list(node)
    items = node if isinstance(node, list) else list(node.values())
    return _text("".join(f"{n}/\n" if _is_directory(v) else f"{n}\n" for n, v in zip(names, items, strict=True)))


def tree(store: Store, key: Key, instance: Doc) -> Tree:
    """Everything that the metadata server tells an instance, but for tokens."""
    interface = instance["networkInterfaces"][0]
    subnet = store.find(interface["subnetwork"])
    here = f"projects/{store.number}"
    number = int(IPv4Address(interface["networkIP"]))
    accounts = {
        name: {
            "aliases": ["default"],
            "email": account["email"],
            "scopes": list(account["scopes"]),
            "token": "",
        }
        for account in instance.get("serviceAccounts", ())
        if account.get("scopes")
        for name in (account["email"], "default")
    }
    return {
        "instance": {
            "attributes": attributes(instance["metadata"]),
            "cpu-platform": instance["cpuPlatform"],
            "description": instance.get("description", ""),
            "hostname": fabric.hostname(store, instance),
            "id": int(instance["id"]),
            "machine-type": f"{here}/machineTypes/{instance['machineType'].rpartition('/')[2]}",
            "name": instance["name"],
            "network-interfaces": [
                {
                    "access-configs": [
                        {"external-ip": config.get("natIP", ""), "type": config["type"]}
                        for config in interface.get("accessConfigs", ())
                    ],
                    "gateway": subnet["gatewayAddress"],
                    "ip": interface["networkIP"],
                    "mac": "42:01:" + ":".join(f"{number >> shift & 255:02x}" for shift in (24, 16, 8, 0)),
                    "mtu": store.find(interface["network"])["mtu"],
                    "network": f"{here}/networks/{interface['network'].rpartition('/')[2]}",
                    "subnetmask": str(IPv4Network(subnet["ipCidrRange"]).netmask),
                }
            ],
            "scheduling": {
                "automatic-restart": str(instance["scheduling"]["automaticRestart"]).upper(),
                "on-host-maintenance": instance["scheduling"]["onHostMaintenance"],
                "preemptible": str(instance["scheduling"]["preemptible"]).upper(),
            },
            "service-accounts": accounts,
            "tags": instance["tags"].get("items", []),
            "zone": f"{here}/zones/{key.place}",
        },
        "project": {
            "attributes": attributes(store.metadata),
            "numeric-project-id": int(store.number),
            "project-id": store.project,
        },
    }


def attributes(metadata: Doc) -> dict[str, str]:
    """Custom metadata by key."""
    return {item["key"]: item.get("value", "") for item in metadata.get("items", ())}


def _is_directory(node: Any) -> bool:
    """Scopes, tags and the like are lists, too, but values."""
    return isinstance(node, Mapping) or (isinstance(node, list) and bool(node) and isinstance(node[0], Mapping))


def _flat(node: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(node, Mapping):
        pairs = list(node.items())
    elif _is_directory(node):
        pairs = [(str(n), item) for n, item in enumerate(node)]
    else:
        return [(path, "\n".join(node) if isinstance(node, list) else str(node))]
    return [found for name, item in pairs for found in _flat(item, f"{path}/{name}" if path else name)]


def _camel(node: Any, verbatim: bool = False) -> Any:
    """A directory as JSON has it: ``machine-type`` becomes ``machineType``."""
    if isinstance(node, list):
        return [_camel(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        name if verbatim else re.sub(r"-(.)", lambda match: match[1].upper(), name): _camel(item, name in _VERBATIM)
        for name, item in node.items()
        if not (name == "token" and item == "")  # a listing names it, a recursive answer never holds it
    }


def _text(text: str, code: int = 200) -> Response:
    return Response(text, code, content_type="application/text")


def _json(document: object) -> Response:
    return Response(json.dumps(document), content_type="application/json")
