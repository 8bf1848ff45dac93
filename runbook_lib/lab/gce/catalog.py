"""What Google offers before anybody creates anything: regions, zones, machine types and public images."""

from __future__ import annotations

from .collection import Collection
from .names import Key
from .quotas import with_quotas
from .store import Doc, Store

IMAGE_PROJECT = "debian-cloud"
# Machine types that small deployments use: virtual CPUs, memory in MB, whether the CPU is shared; figures from
# Google's table of general-purpose machine families.
_MACHINES = {
    "e2-micro": (2, 1024, True),
    "e2-small": (2, 2048, True),
    "e2-medium": (2, 4096, True),
    "e2-standard-2": (2, 8192, False),
    "e2-standard-4": (4, 16384, False),
    "f1-micro": (1, 614, True),
    "g1-small": (1, 1740, True),
    "n1-standard-1": (1, 3840, False),
    "n2-standard-2": (2, 8192, False),
}
# The second lacks Consul and Traefik, as what Debian itself publishes.
BARE = "debian-12-bare-v20260101"
_IMAGES = {"debian-12-bookworm-v20260101": "debian-12", BARE: "debian-12-bare"}


def fill(store: Store) -> None:
    """Put the catalogue into an empty store."""
    for region, zones in store.regions.items():
        region_key = Key(store.project, "", "regions", region)
        zone_keys = [Key(store.project, "", "zones", zone) for zone in zones]
        links = [key.link for key in zone_keys]
        store.add(region_key, {"description": region, "status": "UP", "zones": links}, "compute#region")
        for zone_key in zone_keys:
            zone: Doc = {"description": zone_key.name, "status": "UP", "region": region_key.link}
            store.add(zone_key, zone, "compute#zone")
            for name, (cpus, memory, shared) in _MACHINES.items():
                key = Key(store.project, f"zones/{zone_key.name}", "machineTypes", name)
                machine: Doc = {
                    "description": f"{cpus} vCPUs, {memory / 1024:g} GB RAM",
                    "guestCpus": cpus,
                    "memoryMb": memory,
                    "isSharedCpu": shared,
                    "architecture": "X86_64",
                    "maximumPersistentDisks": 16,
                    "maximumPersistentDisksSizeGb": "3072",
                }
                store.add(key, machine, "compute#machineType")
                machine["zone"] = zone_key.name  # the one resource whose zone is a bare name
    for name, family in _IMAGES.items():
        key = Key(IMAGE_PROJECT, "global", "images", name)
        image: Doc = {
            "family": family,
            "description": "Debian, Debian GNU/Linux, 12 (bookworm), amd64",
            "status": "READY",
            "architecture": "X86_64",
            "diskSizeGb": "10",
            "sourceType": "RAW",
        }
        store.add(key, image, "compute#image")


def image_of_family(store: Store, project: str, family: str) -> Doc | None:
    """The newest image of a family that is not deprecated."""
    images = [
        image
        for key, image in store.every("images")
        if key.project == project and image.get("family") == family and "deprecated" not in image
    ]
    return max(images, key=lambda image: str(image["creationTimestamp"]), default=None)


COLLECTIONS = (
    Collection("zones", "Zone", ""),
    Collection("regions", "Region", "", present=with_quotas),
    Collection("machineTypes", "MachineType", "zones"),
    Collection("images", "Image", "global"),
)
