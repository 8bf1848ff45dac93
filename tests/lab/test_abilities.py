from __future__ import annotations

import platform
from pathlib import Path

import pytest

from runbook_lib.lab import abilities


@pytest.mark.parametrize(
    ("sysctls", "expected"),
    [
        ({"kernel.unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "kernel.apparmor_restrict_unprivileged_userns=0"),
        ({"user.max_user_namespaces": "0"}, "user.max_user_namespaces=10000"),
        ({"user.max_user_namespaces": "96365", "kernel.unprivileged_userns_clone": "1"}, "as root"),
        ({}, "as root"),
    ],
)
def test_how_user_namespaces_are_allowed(sysctls: dict[str, str], expected: str) -> None:
    assert expected in abilities.user_namespaces(sysctls)


def test_what_cannot_be_done_comes_with_a_remedy(tmp_path: Path) -> None:
    found = abilities.abilities(path=str(tmp_path))  # no unshare there: every probe fails
    assert [ability.name for ability in found if ability.ok] == ["Linux"] * (platform.system() == "Linux")
    assert all(ability.how_to_get for ability in found if not ability.ok)


def test_elsewhere_only_linux_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    (only,) = abilities.abilities()
    assert (only.name, only.ok) == ("Linux", False)
    assert "WSL 2" in only.how_to_get


@pytest.mark.lab
def test_this_machine_can_run_the_lab() -> None:
    assert not [ability for ability in abilities.abilities() if ability.essential and not ability.ok]
