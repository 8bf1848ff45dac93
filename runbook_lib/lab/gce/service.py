"""The API's methods: what all collections have in common, and the few that only one has."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping

from . import catalog, compute, lifecycle, messages, network, quotas, vpn, vpn_status
from .collection import Collection
from .errors import (
    ApiError,
    OperationError,
    already_exists,
    bad_request,
    fingerprint_mismatch,
    invalid,
    not_found,
)
from .filters import FilterError, compile_filter
from .names import Key, check_labels, check_name, parse_link
from .operations import Operation
from .routing import Call, unknown_parameter
from .store import Doc, Store

_WAIT = 120.0  # seconds that operations.wait waits at most; Compute's documented figure
_PAGE = 500  # entries a page at most; Compute's documented figure
_OPERATIONS = Collection("operations", "Operation", "")
COLLECTIONS: Mapping[str, Collection] = {
    c.name: c
    for c in (
        *network.COLLECTIONS,
        *vpn.COLLECTIONS,
        *compute.COLLECTIONS,
        *catalog.COLLECTIONS,
        _OPERATIONS,
    )
}


class NoMethod(Exception):
    """The API has no such method."""


class Service:
    """Carries out calls on a store. Callers hold the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, call: Call, user: str) -> Doc:
        """The answer to a call, as a document that fits the method's message type.

        Raises:
            ApiError: the call is refused.
            NoMethod: there is no such call.
        """
        key = call.key
        self._check_place(call)
        if name := unknown_parameter(call):
            raise bad_request(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
        if not key.collection:
            return self._project(call, user)
        if key.collection not in COLLECTIONS:
            raise NoMethod
        collection = COLLECTIONS[key.collection]
        generic = {
            "list": self._list,
            "aggregatedList": self._aggregated,
            "get": self._get,
        }.get(call.verb)
        if generic:
            message, document = generic(call, collection)
            return messages.conform(message, document)
        if collection is _OPERATIONS:
            return self._on_operation(call)
        custom = self._ask(call)
        if custom:
            return messages.conform(*custom)
        operation = self._change(call, collection, user)
        return messages.conform("Operation", operation.document(self._store.operations.clock()))

    def _check_place(self, call: Call) -> None:
        """Refuse other projects (but for the public images), regions and zones."""
        store, key = self._store, call.key
        if key.project != store.project:
            public = key.collection == "images" and key.project == catalog.IMAGE_PROJECT and not call.writes
            if not public:
                raise not_found(f"projects/{key.project}")
        scope, _, place = key.scope.partition("/")
        if place and Key(store.project, "", scope, place) not in store.documents:
            raise invalid(scope.removesuffix("s"), place, "Unknown " + scope.removesuffix("s") + ".")
        collection = COLLECTIONS.get(key.collection)
        if collection and collection is not _OPERATIONS and key.scope != "aggregated" and scope != collection.scope:
            raise NoMethod

    # ---- reading -----------------------------------------------------------------------------------------

    def _rows(self, call: Call, collection: Collection) -> list[tuple[Key, Doc]]:
        """Everything that a list call is about, filtered, in order."""
        store, key = self._store, call.key
        rows: list[tuple[Key, Doc]]
        if collection is _OPERATIONS:
            now = store.operations.clock()
            rows = [(o.key, o.document(now)) for o in store.operations.all()]
        else:
            rows = [(k, collection.present(store, k, d)) for k, d in store.every(collection.name)]
        rows = [row for row in rows if row[0].project == key.project and key.scope in ("aggregated", row[0].scope)]
        try:
            wanted = compile_filter(call.query.get("filter", ""), messages.fields(collection.message))
        except FilterError as error:
            raise invalid("filter", call.query["filter"], f"Invalid list filter expression: {error}.") from None
        rows = [row for row in rows if wanted(row[1])]
        order = call.query.get("orderBy", "")
        if order not in ("", "name", "creationTimestamp desc"):
            raise invalid("orderBy", order, "Must be 'name' or 'creationTimestamp desc'.")
        if order.startswith("creation"):
            return sorted(rows, key=lambda row: str(row[1].get("creationTimestamp", "")), reverse=True)
        return sorted(rows, key=lambda row: (row[0].name, row[0].scope))

    def _page(self, call: Call, rows: list[tuple[Key, Doc]]) -> tuple[list[tuple[Key, Doc]], str]:
        """One page of rows, and the token of the next."""
        try:
            size = int(call.query.get("maxResults", str(_PAGE)))
        except ValueError:
            size = -1
        if not 0 <= size <= _PAGE:
            raise invalid("maxResults", call.query["maxResults"], f"Must be between 0 and {_PAGE}.")
        token = call.query.get("pageToken", "")
        start = 0
        if token:
            try:
                after = base64.urlsafe_b64decode(token.encode()).decode()
            except ValueError:
                raise invalid("pageToken", token, "The page token is not valid.") from None
            paths = [key.path for key, _ in rows]
            start = paths.index(after) + 1 if after in paths else sum(path <= after for path in paths)
        page = rows[start : start + (size or _PAGE)]
        more = start + len(page) < len(rows)
        return page, base64.urlsafe_b64encode(page[-1][0].path.encode()).decode() if more and page else ""

    def _list(self, call: Call, collection: Collection) -> tuple[str, Doc]:
        rows, token = self._page(call, self._rows(call, collection))
        document: Doc = {
            "kind": f"{collection.kind}List",
            "id": call.key.path,
            "selfLink": call.key.link,
            "items": [document for _, document in rows],
        }
        if token:
            document["nextPageToken"] = token
        return f"{collection.message}List", document

    def _aggregated(self, call: Call, collection: Collection) -> tuple[str, Doc]:
        rows, token = self._page(call, self._rows(call, collection))
        scopes = [collection.scope] if collection.scope else ["regions", "zones", "global"]
        if scopes in (["global"], [""]):
            raise NoMethod
        names = [f"{kind}/{key.name}" for kind in scopes for key, _ in self._store.every(kind)]
        items: dict[str, Doc] = {}
        for scope in [*names, *(["global"] if "global" in scopes or collection.name == "addresses" else [])]:
            inside = [document for key, document in rows if key.scope == scope]
            items[scope] = {collection.name: inside} if inside else {"warning": _empty(scope)}
        document: Doc = {
            "kind": f"{collection.kind}AggregatedList",
            "id": call.key.path,
            "selfLink": call.key.link,
            "items": items,
        }
        if token:
            document["nextPageToken"] = token
        return f"{collection.message}AggregatedList", document

    def _get(self, call: Call, collection: Collection) -> tuple[str, Doc]:
        if collection is _OPERATIONS:
            return "Operation", self._operation(call.key).document(self._store.operations.clock())
        document = self._store.get(call.key)
        return collection.message, collection.present(self._store, call.key, document)

    def _operation(self, key: Key) -> Operation:
        operation = self._store.operations.find(key)
        if operation is None:
            raise not_found(key.path)
        return operation

    def _on_operation(self, call: Call) -> Doc:
        operations = self._store.operations
        operation = self._operation(call.key)
        if call.verb == "delete":
            operations.forget(call.key)
            return {}
        if call.verb != "wait":
            raise NoMethod
        operations.wait(operation, _WAIT)
        return messages.conform("Operation", operation.document(operations.clock()))

    def _ask(self, call: Call) -> tuple[str, Doc] | None:
        """The methods of single collections that only ask."""
        store, key = self._store, call.key
        match key.collection, call.verb:
            case "images", "getFromFamily":
                image = catalog.image_of_family(store, key.project, key.name)
                if image is None:
                    raise not_found(f"projects/{key.project}/global/images/family/{key.name}")
                return "Image", image
            case "routers", "getRouterStatus":
                return "RouterStatusResponse", vpn_status.router_status(store, key, store.get(key))
            case "vpnGateways", "getStatus":
                return "VpnGatewaysGetStatusResponse", vpn_status.gateway_status(store, key, store.get(key))
            case "instances", "getSerialPortOutput":
                document = compute.serial_port_output(store, key, store.get(key), call.query)
                return "SerialPortOutput", document
        return None

    def _project(self, call: Call, user: str) -> Doc:
        store = self._store
        if call.verb == "get":
            return messages.conform(
                "Project",
                {
                    "kind": "compute#project",
                    "id": store.number,
                    "name": store.project,
                    "selfLink": call.key.link,
                    "defaultServiceAccount": store.service_account,
                    "defaultNetworkTier": "PREMIUM",
                    "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
                    "commonInstanceMetadata": store.metadata,
                    "quotas": quotas.of_project(store),
                },
            )
        if call.verb != "setCommonInstanceMetadata":
            raise NoMethod

        def change() -> tuple[Key, bool]:
            body, _ = messages.parse("Metadata", call.body)
            if body.get("fingerprint", "") not in ("", store.metadata["fingerprint"]):
                raise fingerprint_mismatch("metadata")
            store.metadata = compute.checked_metadata(body)
            return call.key, False

        operation = self._once(call, user, change)
        return messages.conform("Operation", operation.document(store.operations.clock()))

    # ---- changing ----------------------------------------------------------------------------------------

    def _change(self, call: Call, collection: Collection, user: str) -> Operation:
        changes: dict[str, Callable[[], tuple[Key, bool]]] = {
            "insert": lambda: self._insert(call, collection),
            "delete": lambda: self._delete(call, collection),
        }
        if collection.mutable:
            changes["patch"] = lambda: self._patch(call, collection)
        if collection.replaceable:
            changes["update"] = lambda: self._patch(call, collection)
        if collection.name == "instances":
            changes |= {verb: lambda: self._on_instance(call) for verb in (*compute.LIFE, *compute.SETTERS)}
        if collection.prepare is None or call.verb not in changes:
            raise NoMethod
        return self._once(call, user, changes[call.verb])

    def _once(self, call: Call, user: str, change: Callable[[], tuple[Key, bool]]) -> Operation:
        """Make a change, unless its request id was seen before; the operation tells of it either way.

        Args:
            change: does it; returns what it was about, and whether it takes until the world reports.
        """
        store = self._store
        request_id = call.query.get("requestId", "")
        request = (call.verb, call.key, call.body)
        if request_id:
            try:
                if uuid.UUID(request_id).int == 0:
                    raise ValueError
            except ValueError:
                raise invalid("requestId", request_id, "Must be a valid UUID, other than zero.") from None
            before = store.operations.repeated(request_id, request)
            if before:
                return before
        target_id: str = store.documents.get(call.key, {}).get("id", store.number)
        failure: ApiError | None = None
        try:
            target, held = change()
        except OperationError as error:
            target, held, failure = call.key, False, error
        target_id = store.documents.get(target, {}).get("id", target_id)
        operation = store.operations.start(call.verb, target, target_id, user, request_id, held=held)
        operation.error = failure
        if held:
            store.lives[target].waiting.append(operation)
        if call.verb == "insert" and not failure:
            store.inserting[target] = operation
        store.operations.remember(request_id, request, operation)
        return operation

    def _insert(self, call: Call, collection: Collection) -> tuple[Key, bool]:
        store = self._store
        document, _ = messages.parse(collection.message, call.body)
        name = check_name(document)
        key = Key(call.key.project, call.key.scope, collection.name, name)
        if key in store.documents:
            raise already_exists(key.path)
        check_labels(document.get("labels", {}))
        assert collection.prepare
        collection.prepare(store, key, document)
        store.add(key, messages.conform(collection.message, document), collection.kind)
        collection.added(store, key, store.documents[key])
        return key, collection.defers

    def _delete(self, call: Call, collection: Collection) -> tuple[Key, bool]:
        store, key = self._store, call.key
        document = store.get(key)
        if collection.name == "instances":
            collection.release(store, key, document)
            return key, lifecycle.delete(store, key)
        store.settle(key)
        collection.release(store, key, document)
        del store.documents[key]
        return key, False

    def _patch(self, call: Call, collection: Collection) -> tuple[Key, bool]:
        """Merge (patch) or replace (update) the fields that may change, then judge the whole as if it were new."""
        store, key = self._store, call.key
        kept = store.get(key)
        store.settle(key)
        body, emptied = messages.parse(collection.message, call.body)
        if collection.fingerprinted and body.get("fingerprint") != kept["fingerprint"]:
            raise fingerprint_mismatch("resource")
        for field, value in body.items():
            if field not in collection.mutable | {"fingerprint"} and not self._same(kept.get(field), value):
                raise invalid(f"resource.{field}", value, "The field cannot be changed.")
        document = dict(kept)
        gone = collection.mutable - body.keys() if call.verb == "update" else emptied & collection.mutable
        for field in gone:
            document.pop(field, None)
        for field in body.keys() & collection.mutable:
            merge = call.verb == "patch" and isinstance(body[field], dict) and isinstance(kept.get(field), dict)
            document[field] = kept[field] | body[field] if merge else body[field]
        assert collection.prepare
        collection.prepare(store, key, document)
        store.documents[key] = messages.conform(collection.message, document)
        return key, False

    def _same(self, kept: object, given: object) -> bool:
        """Whether two values of a field are equal, or name the same resource."""
        if isinstance(kept, str) and isinstance(given, str):
            key = parse_link(kept, self._store.project)
            return kept == given or (key is not None and key == parse_link(given, self._store.project))
        return kept == given

    def _on_instance(self, call: Call) -> tuple[Key, bool]:
        store, key = self._store, call.key
        document = store.get(key)
        if call.verb in compute.LIFE:
            return key, compute.LIFE[call.verb](store, key)
        message, change = compute.SETTERS[call.verb]
        body, _ = messages.parse(message, call.body)
        change(store, key, document, body)
        return key, False


def _empty(scope: str) -> Doc:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }
