"""The images that the lab's AWS offers: Debian's, prepared and bare."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.amis import Ami

IMAGE_OWNER = "136693071363"  # the account that publishes Debian's images (wiki.debian.org, Cloud/AmazonEC2Image)
IMAGE_NAME, IMAGE_ID = "debian-12-amd64-20260101-1", "ami-0deb1a12000000001"
# The same without Consul and Traefik, as Debian itself publishes it.
BARE_NAME, BARE_ID = "debian-12-bare-amd64-20260101-1", "ami-0deb1a12000000002"
# Public parameters of Systems Manager under which Debian publishes its newest image.
PARAMETERS = {f"/aws/service/debian/release/{release}/latest/amd64": IMAGE_ID for release in ("12", "bookworm")}


def load(backend: Any) -> None:
    """Put the images into a region; moto would load hundreds, none of which would boot here."""
    for name, identity in ((IMAGE_NAME, IMAGE_ID), (BARE_NAME, BARE_ID)):
        image = Ami(
            backend,
            identity,
            name=name,
            description="Debian 12 (the lab's)",
            owner_id=IMAGE_OWNER,
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            hypervisor="xen",
            image_location=f"{IMAGE_OWNER}/{name}",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            boot_mode="uefi-preferred",
            region_name=f"{backend.region_name}a",
        )
        image.ebs_snapshot.owner_id = IMAGE_OWNER
        backend.amis[identity] = image
