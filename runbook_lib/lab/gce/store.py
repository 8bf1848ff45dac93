"""What the project holds: documents by key, with references resolved, addresses handed out and users known."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ..model import PUBLIC, TunnelStatus
from .errors import OperationError, in_use, invalid, not_found, not_ready, required
from .lifecycle import Life
from .names import Key, parse_link
from .operations import Operation, Operations, new_id, timestamp

Doc = dict[str, Any]
# Google's words for resources in its messages, where they are not simply the singular.
_WORDS = {"vpnGateways": "vpn_gateway", "externalVpnGateways": "external_vpn_gateway", "vpnTunnels": "vpn_tunnel"}
# Documents that may name another one without keeping it alive: routes outlive their next hop instance, and a
# router's interfaces their tunnel.
_WEAK = {("routes", "instances"), ("routers", "vpnTunnels")}


class Store:
    """The state of one project. Callers hold ``lock``.

    Args:
        project: project id.
        number: project number.
        regions: zones (full names) by region.
        duration: seconds that an operation lasts.
        console: gives an instance's console output, by ``Machine.id``.
        durations: seconds that single methods' operations last, by the method's name.
    """

    def __init__(
        self,
        project: str,
        number: str,
        regions: Mapping[str, Sequence[str]],
        duration: float,
        console: Callable[[str], str],
        *,
        durations: Mapping[str, float],
    ) -> None:
        self.project = project
        self.number = number
        self.regions = regions
        self.console = console
        self.lock = threading.Condition(threading.RLock())
        self.operations = Operations(self.lock, duration, durations)
        self.documents: dict[Key, Doc] = {}
        self.tunnels: dict[str, TunnelStatus] = {}
        self.inserting: dict[Key, Operation] = {}
        self.lives: dict[Key, Life] = {}
        self.metadata: Doc = {"kind": "compute#metadata", "fingerprint": fingerprint([])}
        self._last_public = 0

    @property
    def service_account(self) -> str:
        """The address of the project's default service account."""
        return f"{self.number}-compute@developer.gserviceaccount.com"

    # ---- finding -----------------------------------------------------------------------------------------

    def get(self, key: Key) -> Doc:
        """The document, as it is kept.

        Raises:
            ApiError: there is none.
        """
        if key not in self.documents:
            raise not_found(key.path)
        return self.documents[key]

    def every(self, collection: str) -> Iterator[tuple[Key, Doc]]:
        """All documents of a collection, in order of scope and name."""
        yield from sorted((key, doc) for key, doc in self.documents.items() if key.collection == collection)

    def find(self, link: str) -> Doc:
        """The document behind a link that was checked when it was stored; empty if it has gone since."""
        key = parse_link(link, self.project)
        return self.documents.get(key, {}) if key else {}

    def settle(self, key: Key) -> None:
        """Refuse a resource whose own insertion is still under way.

        Raises:
            ApiError: it is not ready.
        """
        operation = self.inserting.get(key)
        if operation and not operation.done(self.operations.clock()):
            raise not_ready(key.path)
        self.inserting.pop(key, None)

    def reference(self, holder: Doc, field: str, collection: str, scope: str, *, path: str = "") -> Key:
        """Check a field that names another resource, and make its value that resource's full link.

        Args:
            holder: the (part of a) document with the field; it is changed.
            field: the field's name.
            collection: what it must name.
            scope: where that must be; ``""`` for anywhere.
            path: the field as it should stand in an error, if not ``resource.FIELD``.

        Raises:
            ApiError: missing, malformed, of another scope, not there or not ready.
        """
        path = path or f"resource.{field}"
        text = holder.get(field)
        if not text:
            raise required(path)
        key = parse_link(str(text), self.project)
        if key is None:
            raise invalid(path, text, "The URL is malformed.")
        if key.collection != collection:
            raise invalid(path, text, f"The URL must name a resource of {collection}.")
        if scope and key.scope != scope:
            raise invalid(path, text, f"The resource must be in {scope}, as the resource that refers to it.")
        if key not in self.documents:
            raise invalid(path, text, f"The referenced {_word(collection)} resource cannot be found.")
        self.settle(key)
        holder[field] = key.link
        return key

    def refuse_if_used(self, key: Key) -> None:
        """Refuse to delete what another resource still refers to.

        Raises:
            ApiError: naming the (first) user.
        """
        for other, document in sorted(self.documents.items()):
            weak = (other.collection, key.collection) in _WEAK or document.get("nextHopNetwork")
            if other != key and not weak and key.link in _texts(document):
                raise in_use(_word(key.collection), key.path, other.path)

    # ---- changing ----------------------------------------------------------------------------------------

    def add(self, key: Key, document: Doc, kind: str) -> None:
        """Keep a new document, with what every resource has."""
        document |= {
            "kind": kind,
            "id": new_id(),
            "name": key.name,
            "creationTimestamp": timestamp(),
            "selfLink": key.link,
        }
        scope, _, place = key.scope.partition("/")
        if place:
            document[scope.removesuffix("s")] = key.scope_link
        self.documents[key] = document

    # ---- addresses ---------------------------------------------------------------------------------------

    def public_address(self) -> str:
        """A free address of the public pool; the pool is gone round, so that none is reused at once.

        Raises:
            ApiError: all are taken.
        """
        used = {text for _, document in self.documents.items() for text in _texts(document)}
        # The first address of the pool is left to whatever routes it.
        pool = list(IPv4Network(PUBLIC["gcp"]).hosts())[1:]
        for step in range(len(pool)):
            at = (self._last_public + step) % len(pool)
            if str(pool[at]) not in used:
                self._last_public = at + 1
                return str(pool[at])
        raise OperationError("QUOTA_EXCEEDED", "Quota 'IN_USE_ADDRESSES' exceeded.", 403)

    def private_address(self, subnet: Key, wanted: str, path: str) -> str:
        """The address asked for, or the first free one of a subnet.

        Raises:
            ApiError: outside the subnet, reserved, taken, or none is left.
        """
        network = IPv4Network(self.documents[subnet]["ipCidrRange"])
        # First, second, last but one and last are Google's.
        usable = range(int(network[2]), int(network[-2]))
        taken = self._private_users(subnet)
        if not wanted:
            for number in usable:
                if (address := str(IPv4Address(number))) not in taken:
                    return address
            raise OperationError("IP_SPACE_EXHAUSTED", f"IP space of '{subnet.path}' is exhausted.")
        try:
            number = int(IPv4Address(wanted))
        except ValueError:
            raise invalid(path, wanted, "Must be an IPv4 address.") from None
        if IPv4Address(number) not in network:
            raise invalid(path, wanted, f"IP address must be in the subnetwork's range {network}.")
        if number not in usable:
            raise invalid(path, wanted, "IP address is reserved by the subnetwork.")
        if taken.get(wanted) in ("instances", "elsewhere"):
            raise OperationError(
                "IP_IN_USE_BY_ANOTHER_RESOURCE", f"IP '{wanted}' is already being used by another resource."
            )
        return wanted

    def _private_users(self, subnet: Key) -> dict[str, str]:
        """Addresses of a subnet that are taken, and by which collection."""
        taken: dict[str, str] = {}
        for _, address in self.every("addresses"):
            if address.get("subnetwork") == subnet.link:
                taken[address["address"]] = "addresses"
        for _, instance in self.every("instances"):
            for interface in instance["networkInterfaces"]:
                if interface["subnetwork"] == subnet.link:
                    taken[interface["networkIP"]] = "instances"
        return taken


def fingerprint(content: object) -> str:
    """A short digest that changes with the content."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode()


def scope_of_zone(zone: str) -> str:
    """``regions/REGION`` of a zone's name."""
    return f"regions/{zone.rpartition('-')[0]}"


def check_range(text: str, path: str) -> IPv4Network:
    """An IPv4 range in CIDR form.

    Raises:
        ApiError: it is none, or has host bits set.
    """
    try:
        return IPv4Network(text)
    except ValueError:
        raise invalid(path, text, "Must be a CIDR address range.") from None


def _word(collection: str) -> str:
    return _WORDS.get(collection, collection.removesuffix("es" if collection == "addresses" else "s"))


def _texts(node: object) -> Iterator[str]:
    """Every text in a nested document, but for its own name and link."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            if name != "selfLink":
                yield from _texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from _texts(item)
