"""Instances: what one must be, and what can be done with it."""

from __future__ import annotations

import re
from typing import Any

from . import lifecycle
from .catalog import image_of_family
from .collection import Collection
from .errors import ApiError, bad_request, fingerprint_mismatch, invalid, not_found, required
from .lifecycle import Life
from .names import Key, check_labels, parse_link
from .network import address_users, check_tags
from .operations import timestamp
from .store import Doc, Store, fingerprint, scope_of_zone

_METADATA_LIMIT = 256 * 1024  # bytes a value; Compute's documented limit
_SERIAL_LIMIT = 1024 * 1024  # bytes kept of the console; Compute's documented limit


def prepare_instance(store: Store, key: Key, document: Doc) -> None:
    _check_machine_type(store, key, document)
    disks, image = _disks(store, key, document)
    tags = list(document.get("tags", {}).get("items", ()))
    check_tags(tags, "resource.tags.items")
    check_labels(document.get("labels", {}))
    metadata = checked_metadata(document.get("metadata", {}))
    document["networkInterfaces"] = [_interface(store, key, document)]
    document |= {
        "disks": disks,
        "tags": {"items": tags, "fingerprint": fingerprint(tags)} if tags else {"fingerprint": fingerprint(tags)},
        "metadata": metadata,
        "labelFingerprint": fingerprint(document.get("labels", {})),
        "serviceAccounts": _service_accounts(store, document),
        "status": "PROVISIONING",
        "cpuPlatform": "Intel Broadwell",
        "lastStartTimestamp": timestamp(),
        "startRestricted": False,
    }
    document.setdefault("canIpForward", False)
    document.setdefault("deletionProtection", False)
    scheduling = document.setdefault("scheduling", {})
    for field, value in (
        ("automaticRestart", True),
        ("onHostMaintenance", "MIGRATE"),
        ("preemptible", False),
        ("provisioningModel", "STANDARD"),
    ):
        scheduling.setdefault(field, value)
    document["fingerprint"] = fingerprint(document)
    store.lives[key] = Life(image=image)


def _check_machine_type(store: Store, key: Key, document: Doc) -> None:
    text = document.get("machineType")
    if not text:
        raise required("resource.machineType")
    machine = parse_link(text, store.project)
    if machine is None or machine.collection != "machineTypes":
        raise invalid("resource.machineType", text, "The URL is malformed.")
    if machine.scope != key.scope:
        raise invalid("resource.machineType", text, f"The machine type must be in zone '{key.place}'.")
    if machine not in store.documents:
        raise invalid(
            "resource.machineType",
            text,
            f"Machine type with name '{machine.name}' does not exist in zone '{key.place}'.",
        )
    document["machineType"] = machine.link


def _disks(store: Store, key: Key, document: Doc) -> tuple[list[Doc], str]:
    """The boot disk, as an instance shows it, which tells its image no longer; and that image's name."""
    disks = document.get("disks", [])
    if len(disks) != 1 or not disks[0].get("boot", False):
        raise bad_request("Exactly one disk, a boot disk, must be specified.")
    wanted = disks[0].get("initializeParams", {})
    text = wanted.get("sourceImage")
    if not text:
        raise required("resource.disks[0].initializeParams.sourceImage")
    image = find_image(store, text)
    disk_type = wanted.get("diskType", "")
    if disk_type and f"/zones/{key.place}/" not in f"/{disk_type}":
        raise invalid("resource.disks[0].initializeParams.diskType", disk_type, "Must be in the instance's zone.")
    size = int(wanted.get("diskSizeGb", image["diskSizeGb"]))
    if size < int(image["diskSizeGb"]):
        raise invalid(
            "resource.disks[0].initializeParams.diskSizeGb",
            size,
            f"Requested disk size cannot be smaller than the image size ({image['diskSizeGb']} GB)",
        )
    disk = {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "interface": "SCSI",
        "index": 0,
        "boot": True,
        "autoDelete": disks[0].get("autoDelete", False),
        "deviceName": disks[0].get("deviceName", "persistent-disk-0"),
        "diskSizeGb": str(size),
        "architecture": image["architecture"],
        "source": Key(key.project, key.scope, "disks", wanted.get("diskName", key.name)).link,
    }
    return [disk], str(image["name"])


def find_image(store: Store, text: str) -> Doc:
    """The image that a link to an image or an image family names.

    Raises:
        ApiError: it names none.
    """
    key = parse_link(text, store.project)
    if key is None or key.collection != "images":
        raise invalid("resource.disks[0].initializeParams.sourceImage", text, "The URL is malformed.")
    if key.name.startswith("family/"):
        image = image_of_family(store, key.project, key.name.removeprefix("family/"))
        if image is None:
            raise not_found(key.path)
        return image
    return store.get(key)


def _interface(store: Store, key: Key, document: Doc) -> Doc:
    interfaces = document.get("networkInterfaces", [])
    if len(interfaces) != 1:
        raise bad_request("Exactly one network interface must be specified.")
    path = "resource.networkInterfaces[0]"
    interface = dict(interfaces[0])
    if not interface.get("subnetwork"):
        if not interface.get("network"):
            raise required(f"{path}.network")
        store.reference(interface, "network", "networks", "global", path=f"{path}.network")
        raise bad_request(
            f"Invalid value for field '{path}': ''. Network interface must specify a subnet if the network resource "
            "is in custom subnet mode."
        )
    region = scope_of_zone(key.place)
    subnet = store.reference(interface, "subnetwork", "subnetworks", region, path=f"{path}.subnetwork")
    network = store.get(subnet)["network"]
    if interface.get("network"):
        store.reference(interface, "network", "networks", "global", path=f"{path}.network")
        if interface["network"] != network:
            raise invalid(f"{path}.subnetwork", interface["subnetwork"], "The subnetwork is not in the network given.")
    wanted = interface.get("networkIP", "")
    interface |= {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": network,
        "networkIP": store.private_address(subnet, wanted, f"{path}.networkIP"),
        "stackType": "IPV4_ONLY",
    }
    configs = interface.get("accessConfigs", [])
    if len(configs) > 1:
        raise invalid(f"{path}.accessConfigs", len(configs), "At most one access config currently supported.")
    interface["accessConfigs"] = [_access_config(store, config, f"{path}.accessConfigs[0]") for config in configs]
    if not configs:
        del interface["accessConfigs"]
    interface["fingerprint"] = fingerprint(interface)
    return interface


def _access_config(store: Store, config: Doc, path: str) -> Doc:
    kind = config.get("type", "ONE_TO_ONE_NAT")
    if kind != "ONE_TO_ONE_NAT":
        raise invalid(f"{path}.type", kind, "Must be ONE_TO_ONE_NAT.")
    address = config.get("natIP", "")
    if address:
        reserved = {a["address"] for _, a in store.every("addresses") if a["addressType"] == "EXTERNAL"}
        if address not in reserved:
            raise invalid(f"{path}.natIP", address, "The specified external IP address was not found.")
        if address_users(store, address):
            raise invalid(f"{path}.natIP", address, "The specified external IP address is already in use.")
    return {
        "kind": "compute#accessConfig",
        "type": kind,
        "name": config.get("name", "External NAT"),
        "natIP": address or store.public_address(),
        "networkTier": config.get("networkTier", "PREMIUM"),
    }


def _service_accounts(store: Store, document: Doc) -> list[Doc]:
    accounts: list[Doc] = document.get("serviceAccounts", [])
    if len(accounts) > 1:
        raise invalid("resource.serviceAccounts", len(accounts), "At most one service account is allowed.")
    for account in accounts:
        if account.get("email", "default") in ("default", store.service_account):
            account["email"] = store.service_account
        else:
            raise not_found(f"projects/{store.project}/serviceAccounts/{account['email']}")
        for scope in account.get("scopes", ()):
            if not re.fullmatch(r"https://www\.googleapis\.com/auth/[a-z0-9._-]+", scope):
                raise invalid("resource.serviceAccounts[0].scopes", scope, "Must be the URI of a scope.")
    return accounts


def checked_metadata(metadata: Doc) -> Doc:
    """Metadata with its fingerprint.

    Raises:
        ApiError: a key or value that Compute does not take.
    """
    items = metadata.get("items", [])
    seen: set[str] = set()
    for item in items:
        name = item.get("key", "")
        if not re.fullmatch(r"[a-zA-Z0-9-_]{1,128}", name):
            raise invalid("resource.metadata.items.key", name, "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'")
        if name in seen:
            raise invalid("resource.metadata", name, "Duplicate metadata key.")
        seen.add(name)
        if len(item.get("value", "").encode()) > _METADATA_LIMIT:
            raise invalid("resource.metadata.items.value", f"{name}: ...", "Value is too large: maximum size 262144.")
    kept: Doc = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
    return kept | ({"items": items} if items else {})


def release_instance(store: Store, key: Key, document: Doc) -> None:
    if document["deletionProtection"]:
        raise ApiError(
            400,
            "invalidResourceUsage",
            "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion.'.",
        )


# ---- what can be done with an instance -----------------------------------------------------------------------


def set_tags(store: Store, key: Key, document: Doc, body: Doc) -> None:
    _check_fingerprint(body, document["tags"], "tags")
    items = body.get("items", [])
    check_tags(items, "resource.items")
    document["tags"] = {"fingerprint": fingerprint(items)} | ({"items": items} if items else {})


def set_metadata(store: Store, key: Key, document: Doc, body: Doc) -> None:
    _check_fingerprint(body, document["metadata"], "metadata")
    document["metadata"] = checked_metadata(body)


def set_labels(store: Store, key: Key, document: Doc, body: Doc) -> None:
    _check_fingerprint(
        {"fingerprint": body.get("labelFingerprint")}, {"fingerprint": document["labelFingerprint"]}, "labels"
    )
    labels = body.get("labels", {})
    check_labels(labels)
    document["labels"] = labels
    document["labelFingerprint"] = fingerprint(labels)


def _check_fingerprint(given: Doc, current: Doc, what: str) -> None:
    if given.get("fingerprint") != current["fingerprint"]:
        raise fingerprint_mismatch(what)


def serial_port_output(store: Store, key: Key, document: Doc, query: Any) -> Doc:
    """Console output from byte ``start`` on, and where the next call should start."""
    port = query.get("port", "1")
    if port not in ("1", "2", "3", "4"):
        raise invalid("port", port, "Must be between 1 and 4.")
    console = store.console(f"{key.place}/{key.name}").encode() if port == "1" else b""
    try:
        start = int(query.get("start", "0"))
    except ValueError:
        raise invalid("start", query["start"], "Must be a number.") from None
    if start < 0:
        start = max(0, len(console) + start)
    start = max(start, len(console) - _SERIAL_LIMIT)
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{key.link}/serialPort",
        "contents": console[start:].decode(errors="replace"),
        "start": str(start),
        "next": str(max(start, len(console))),
    }


COLLECTIONS = (
    Collection(
        "instances",
        "Instance",
        "zones",
        prepare=prepare_instance,
        release=release_instance,
        defers=True,
    ),
)
LIFE = {"start": lifecycle.start, "stop": lifecycle.stop, "reset": lifecycle.reset}
SETTERS = {
    "setTags": ("Tags", set_tags),
    "setMetadata": ("Metadata", set_metadata),
    "setLabels": ("InstancesSetLabelsRequest", set_labels),
}
