"""Releases of Consul and Traefik: where their archives are, and which checksums those must have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Program = Literal["consul", "traefik"]
PROGRAMS: tuple[Program, ...] = ("consul", "traefik")
# Instead of a checksum: nothing is fetched, because the image brings the program.
ON_IMAGE = "none"
# What may be given for a checksum; several where hosts of several architectures fetch archives of their own.
CHECKSUMS = rf"{ON_IMAGE}|[0-9a-f]{{64}}( [0-9a-f]{{64}})*"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where a program's releases are published; ``{version}`` and ``{architecture}`` are filled in.

    Args:
        site: the publisher's own site.
        archive: path of an archive, on the site and on a mirror of it alike.
        sums: path of the publisher's list of checksums.
    """

    site: str
    archive: str
    sums: str


PUBLISHERS: Mapping[Program, Publisher] = {
    "consul": Publisher(
        "https://releases.hashicorp.com",
        "consul/{version}/consul_{version}_linux_{architecture}.zip",
        "consul/{version}/consul_{version}_SHA256SUMS",
    ),
    "traefik": Publisher(
        "https://github.com",
        "traefik/traefik/releases/download/v{version}/traefik_v{version}_linux_{architecture}.tar.gz",
        "traefik/traefik/releases/download/v{version}/traefik_v{version}_checksums.txt",
    ),
}
# SHA-256 of archives by Debian's name of the architecture. Only what was found published in a second place beside the
# archive itself stands here; of any other release the parameters tell it.
PINNED: Mapping[tuple[Program, str], Mapping[str, str]] = {
    # HashiCorp's own Homebrew formula (hashicorp/homebrew-tap, Formula/consul.rb, "Bump consul to 1.9.7").
    ("consul", "1.9.7"): {
        "amd64": "750d7b2778d1dea326d573d096daae9592144450feef053c258cf01adcb69ee6",
        "arm64": "d61e4f232ab7041fc3429de34d6125aaa1bcbafffd0f2ae0e87d191832b50c09",
    },
    # Two independent projects that pin it quote the same; one of them quotes the one for arm64.
    ("traefik", "3.7.5"): {
        "amd64": "9da81a928fde965c2c4678698bbc28bc3f600223b14c32b35bd480bf5ec863dc",
        "arm64": "9892c0974a3958d95f049d5dad3d751ba3597bdc33e96255d2369aad3d2bfeca",
    },
    # Two independent projects that pin it quote the same.
    ("traefik", "3.7.10"): {"amd64": "01811bb12d44f17280550f425f5e3128d6c325f2665c09e67a651ca535f490ce"},
}


def checksums(program: Program, version: str, given: str) -> tuple[str, ...]:
    """The checksums of which an archive must have one; none where nothing is to be fetched.

    Args:
        program: ``consul`` or ``traefik``.
        version: its release.
        given: what the parameters say: checksums, ``none``, or nothing for the pinned ones.
    """
    if given == ON_IMAGE:
        return ()
    return tuple(given.split()) or tuple(PINNED.get((program, version), {}).values())


def lacking(program: Program, version: str, given: str) -> str:
    """What the parameters have to tell yet, and how to get it; empty where nothing is missing."""
    if given == ON_IMAGE or checksums(program, version, given):
        return ""
    return (
        f"the SHA-256 of {program} {version}, which is not pinned here"
        f" (curl -sSL {sums_url(program, version)} prints it), or {ON_IMAGE} where the image brings {program}"
    )


def url(program: Program, version: str, architecture: str, mirror: str = "") -> str:
    """Where an archive is fetched from.

    Args:
        program: ``consul`` or ``traefik``.
        version: its release.
        architecture: Debian's name of the architecture, or what a shell makes one of.
        mirror: base URL of a mirror; empty for the publisher's own site.
    """
    publisher = PUBLISHERS[program]
    path = publisher.archive.format(version=version, architecture=architecture)
    return f"{mirror or publisher.site}/{path}"


def sums_url(program: Program, version: str) -> str:
    """Where the publisher lists the checksums of a release."""
    publisher = PUBLISHERS[program]
    return f"{publisher.site}/{publisher.sums.format(version=version)}"
