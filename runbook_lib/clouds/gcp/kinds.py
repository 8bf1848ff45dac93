"""What each kind of GCP resource is called, where it lives, and how one becomes a ``Found``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ...bootstrap import written_for
from ...params import Params
from ...resources import Found
from ...topology.names import is_ours
from ..base import Secret

Scope = Literal["global", "region", "zone"]
# Metadata keys that the runbook sets; others on an instance are somebody else's business.
METADATA_KEYS = frozenset({"startup-script", "ssh-keys"})
# Not (or not as given) in what the API reports, so not compared. Keys must not be read at all.
UNREPORTED = frozenset({"disks", "shared_secret", "shared_secret_hash"})
# Instance states (Compute Engine's words): on the way up, and down.
STARTING = frozenset({"PENDING", "PROVISIONING", "STAGING", "REPAIRING"})
STOPPED = frozenset({"STOPPING", "TERMINATED", "STOPPED", "SUSPENDING", "SUSPENDED"})


class Kind(NamedTuple):
    """One kind of resource.

    Args:
        name: in snake case, as the API's request messages spell it.
        scope: whether it lives in the project, in a region or in a zone.
    """

    name: str
    scope: Scope

    @property
    def message(self) -> str:
        """The name of its message type."""
        return "".join(part.title() for part in self.name.split("_"))

    @property
    def client(self) -> str:
        """The name of its client class."""
        return f"{self.message}sClient"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("network", "global"),
        Kind("subnetwork", "region"),
        Kind("firewall", "global"),
        Kind("route", "global"),
        Kind("router", "region"),
        Kind("vpn_gateway", "region"),
        Kind("external_vpn_gateway", "global"),
        Kind("vpn_tunnel", "region"),
        Kind("instance", "zone"),
    )
}
# The part of a router that is set only after the tunnels exist which in turn need the router.
PEERING = "router_peering"
PEERING_FIELDS = ("interfaces", "bgp_peers")


def belongs(message: Any, deployment: str) -> bool:
    """Whether a listed resource is this deployment's: by label or description, as one name may begin another."""
    if not message.name.startswith(f"{deployment}-"):
        return False
    labels = getattr(message, "labels", {})
    return bool(labels.get("deployment") == deployment or message.description == f"deployment={deployment}")


def is_unmarked(kind: str, message: Any, params: Params) -> bool:
    """Whether a listed resource is this deployment's though its description or label was taken away.

    It has exactly our name, and what stays as it was made is ours: an instance's script, or the network of a firewall
    rule or router, which may be any if the deployment was given one. Other kinds cannot lose their descriptions.
    """
    owner = getattr(message, "labels", {}).get("deployment", "")
    if owner or message.description.startswith("deployment="):
        return False
    if not is_ours(params.deployment, f"gcp:{kind}", message.name):
        return False
    if kind == "instance":
        scripts = [item.value for item in message.metadata.items if item.key == "startup-script"]
        node = message.name.removeprefix(f"{params.deployment}-")
        return any(written_for(script) == (params.deployment, node) for script in scripts)
    if kind not in ("firewall", "router"):
        return False
    return bool(params.network_state) or message.network.endswith(f"/{params.deployment}-network")


def to_found(kind: str, message: Any) -> Found:
    """A resource as the API reports it, in the contract's form."""
    spec = fields(message)
    attributes: dict[str, Any] = {"id": str(message.id), "self_link": message.self_link, "name": message.name}
    for scope in ("region", "zone"):
        if spec.get(scope):
            attributes[scope] = spec[scope].rpartition("/")[2]
    if kind == "vpn_gateway":
        attributes |= {f"address_{n}": one.ip_address for n, one in enumerate(message.vpn_interfaces)}
    elif kind == "vpn_tunnel":
        attributes |= {"state": message.status, "detail": message.detailed_status}
    elif kind == "instance":
        attributes |= _instance_attributes(message)
        spec["metadata"] = {"items": [i for i in spec["metadata"]["items"] if i["key"] in METADATA_KEYS]}
        spec["service_accounts"] = [_account(account) for account in spec["service_accounts"]]
    return Found(f"gcp:{kind}:{message.name}", attributes["id"], attributes, spec)


def to_peering(router: Any) -> Found | None:
    """The peering of a router, if it has any."""
    spec = {name: value for name, value in fields(router).items() if name in (*PEERING_FIELDS, "region")}
    if not any(spec[name] for name in PEERING_FIELDS):
        return None
    region = spec["region"].rpartition("/")[2]
    attributes = {"id": str(router.id), "self_link": router.self_link, "name": router.name, "region": region}
    return Found(f"gcp:{PEERING}:{router.name}", str(router.id), attributes, spec)


def fields(message: Any) -> dict[str, Any]:
    """Every field of a message, unset ones as what unset means: 0, empty, ``False`` or ``None``."""
    said = type(message).to_dict(message, use_integers_for_enums=False)
    whole = {name: said.get(name, _unset(field)) for name, field in type(message).meta.fields.items()}
    if "metadata" in whole:
        whole["metadata"] = whole["metadata"] or {"items": []}
    return {name: value for name, value in whole.items() if name not in UNREPORTED}


def plain(value: Any) -> Any:
    """A spec with its secrets as ordinary text, for the request alone."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str.__str__(value) if isinstance(value, Secret) else value


def secrets(value: Any) -> list[str]:
    """The texts in a spec that no message may show."""
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in secrets(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in secrets(item)]
    return [str.__str__(value)] if isinstance(value, Secret) else []


def _instance_attributes(message: Any) -> dict[str, Any]:
    interface = message.network_interfaces[0] if message.network_interfaces else None
    public = [access.nat_i_p for access in interface.access_configs if access.nat_i_p] if interface else []
    return {
        "role": message.labels.get("role", ""),
        "private_ip": interface.network_i_p if interface else "",
        "public_ip": public[0] if public else None,
        "state": message.status,
        "ready": message.status not in STARTING,
        "running": message.status not in STOPPED,
    }


def _account(account: Mapping[str, Any]) -> dict[str, Any]:
    # "default" is accepted for the project's Compute Engine account, and reported as its address.
    email = account["email"]
    default = email.endswith("-compute@developer.gserviceaccount.com")
    return {**account, "email": "default" if default else email}


def _unset(field: Any) -> Any:
    if field.repeated:
        return []
    if field.message is not None:
        return None
    return {"STRING": "", "BOOL": False}.get(field.proto_type.name, 0)
