"""Where archives are, and which checksums they must have."""

from __future__ import annotations

import re

import pytest

from runbook_lib import releases
from runbook_lib.releases import PINNED, Program


def test_what_is_pinned_are_checksums_of_the_publishers_architectures() -> None:
    for (program, version), sums in PINNED.items():
        assert program in releases.PUBLISHERS and re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert sums and sums.keys() <= {"amd64", "arm64"}
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in sums.values())
    every = [one for sums in PINNED.values() for one in sums.values()]
    assert len(set(every)) == len(every), "no two archives have one checksum"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("none", ()),
        ("a" * 64, ("a" * 64,)),
        (f"{'a' * 64} {'b' * 64}", ("a" * 64, "b" * 64)),
        ("", tuple(PINNED["consul", "1.9.7"].values())),
    ],
)
def test_what_the_parameters_say_goes_before_what_is_pinned(given: str, wanted: tuple[str, ...]) -> None:
    assert releases.checksums("consul", "1.9.7", given) == wanted


def test_a_release_that_nobody_pinned_has_no_checksum() -> None:
    assert releases.checksums("consul", "0.0.1", "") == ()


@pytest.mark.parametrize(
    ("program", "version", "archive", "sums"),
    [
        (
            "consul",
            "1.8.7",
            "https://releases.hashicorp.com/consul/1.8.7/consul_1.8.7_linux_arm64.zip",
            "https://releases.hashicorp.com/consul/1.8.7/consul_1.8.7_SHA256SUMS",
        ),
        (
            "traefik",
            "3.7.15",
            "https://github.com/traefik/traefik/releases/download/v3.7.15/traefik_v3.7.15_linux_arm64.tar.gz",
            "https://github.com/traefik/traefik/releases/download/v3.7.15/traefik_v3.7.15_checksums.txt",
        ),
    ],
)
def test_archives_are_where_their_publishers_put_them(program: Program, version: str, archive: str, sums: str) -> None:
    assert releases.url(program, version, "arm64") == archive
    assert releases.sums_url(program, version) == sums


def test_a_mirror_has_the_publishers_paths() -> None:
    mirrored = releases.url("consul", "1.8.7", "amd64", "https://mirror.example.org/releases")
    assert mirrored == "https://mirror.example.org/releases/consul/1.8.7/consul_1.8.7_linux_amd64.zip"
