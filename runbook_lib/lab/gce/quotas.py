"""What a project may have, and has: the ``quotas`` of the project and of its regions; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .names import Key
from .store import Doc, Store

# metric -> collection and limit. Limits are those of a project that is not new, as `gcloud compute project-info
# describe` shows them; the metrics are those that the deployments here come near.
_PROJECT = {
    "NETWORKS": ("networks", 5),
    "SUBNETWORKS": ("subnetworks", 100),
    "FIREWALLS": ("firewalls", 100),
    "ROUTES": ("routes", 200),
    "ROUTERS": ("routers", 10),
    "VPN_GATEWAYS": ("vpnGateways", 5),
    "EXTERNAL_VPN_GATEWAYS": ("externalVpnGateways", 5),
    "VPN_TUNNELS": ("vpnTunnels", 10),
    "CPUS_ALL_REGIONS": ("", 32),
}
_REGION = {"CPUS": 24, "IN_USE_ADDRESSES": 8, "INSTANCES": 720}


def of_project(store: Store) -> list[Doc]:
    """The project's quotas."""
    instances = [document for _, document in store.every("instances")]
    counted = {
        metric: sum(1 for _ in store.every(collection)) if collection else _cpus(store, instances)
        for metric, (collection, _) in _PROJECT.items()
    }
    return [_quota(metric, limit, counted[metric]) for metric, (_, limit) in _PROJECT.items()]


def of_region(store: Store, region: str) -> list[Doc]:
    """One region's quotas."""
    zones = {f"zones/{zone}" for zone in store.regions[region]}
    inside = [document for key, document in store.every("instances") if key.scope in zones]
    counted = {
        "CPUS": _cpus(store, inside),
        "IN_USE_ADDRESSES": sum(1 for _ in _public(inside)),
        "INSTANCES": len(inside),
    }
    return [_quota(metric, limit, counted[metric]) for metric, limit in _REGION.items()]


def with_quotas(store: Store, key: Key, document: Doc) -> Doc:
    """A region's document as it is shown: with its quotas."""
    return {**document, "quotas": of_region(store, key.name)}


def _quota(metric: str, limit: int, usage: int) -> Doc:
    return {"metric": metric, "limit": float(limit), "usage": float(usage)}


def _cpus(store: Store, instances: list[Doc]) -> int:
    return sum(int(store.find(instance["machineType"])["guestCpus"]) for instance in instances)


def _public(instances: list[Doc]) -> Iterator[Any]:
    for instance in instances:
        for interface in instance.get("networkInterfaces", ()):
            yield from (one for one in interface.get("accessConfigs", ()) if one.get("natIP"))
