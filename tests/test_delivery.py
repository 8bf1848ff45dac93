"""Which secrets go where, and that what is right already is left alone. Real hosts get theirs in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from runbook_lib import bootstrap, credentials, delivery
from runbook_lib.access import Access, Result
from runbook_lib.credentials import Credentials
from runbook_lib.delivery import AGENT, deliver, files, names, services
from runbook_lib.errors import AccessError, WaitTimeout
from runbook_lib.params import Params
from runbook_lib.resources import Host

ROLES = ("bastion", "consul", "traefik", "web")


def host(role: str, cloud: str = "aws") -> Host:
    region = "us-west-2" if cloud == "aws" else "europe-west1"
    return Host(f"{cloud}-{role}", cloud, role, "z", region, role, "10.0.0.1", None, "running")  # type: ignore[arg-type]


@pytest.fixture
def held(tmp_path: Path) -> Credentials:
    found = credentials.of(Params(keys=str(tmp_path)))
    assert found is not None
    return found


def test_each_role_gets_the_tokens_it_works_with_and_no_other(held: Credentials) -> None:
    wanted = {
        "bastion": set(),
        "consul": {"management", "server", "names"},
        "traefik": {"client", "names", "traefik"},
        "web": {"client", "names"},  # its own comes with the service's definition
    }
    for cloud in ("aws", "gcp"):
        for role in ROLES:
            given = "".join(file.content for file in files(held, host(role, cloud)))
            for datacenter, tokens in held.tokens.items():
                here = datacenter == host(role, cloud).datacenter
                for name, token in tokens.items():
                    shared = name in ("names", "operator")
                    assert (token.secret in given) == (name in wanted[role] and (here or shared)), (role, name)


def test_the_authoritys_key_and_the_password_stay_with_the_operator(held: Credentials) -> None:
    for role in ROLES:
        given = "".join(file.content for file in files(held, host(role)))
        assert held.authority.key not in given
        assert held.dashboard_password not in given


def test_only_the_services_account_reads_them(held: Credentials) -> None:
    for role in ROLES:
        for file in files(held, host(role)):
            public = file.content == held.authority.certificate
            assert (file.mode, file.owner) == (
                ("0644", "root:root")
                if public
                else ("0640", "root:traefik" if file.path.startswith("/etc/traefik") else "root:consul")
            )
            assert file.content not in repr(file)


def test_certificates_say_who_is_a_server() -> None:
    assert names(host("consul")) == ("server.us-west-2.consul", "localhost")
    assert names(host("web", "gcp")) == ("client.europe-west1.consul", "localhost")


def test_traefik_starts_after_the_agent_it_asks() -> None:
    assert [services(host(role)) for role in ROLES] == [(), ("consul",), ("consul", "traefik"), ("consul",)]


class Disk:
    """A host's files, instead of SSH to it: what ``deliver`` asks and does, in order."""

    def __init__(self, params: Params, held: Credentials | None, record: str = bootstrap.FINISHED) -> None:
        self.params, self.credentials, self.record = params, held, record
        self.files: dict[str, str] = {}
        self.commands: list[str] = []

    def run(self, host: Host, command: str) -> Result:
        if bootstrap.BOOT_RECORD in command:
            return Result(self.record, "", 0, 0)
        if command.startswith("sed"):
            assert AGENT in command
            return Result(self.files.get(AGENT, "").partition("-----BEGIN PRIVATE KEY")[0], "", 0, 0)
        self.commands.append(command)
        return Result("", "", 0, 0)

    def put(self, host: Host, text: str, path: str, *, mode: str, owner: str) -> bool:
        changed = self.files.get(path) != text
        self.files[path] = text
        return changed


def test_delivered_once_then_left_alone(held: Credentials) -> None:
    disk = Disk(Params(), held)
    access = cast(Access, disk)
    [first] = deliver(access, [host("traefik"), host("bastion")])
    assert first.restarted == ("consul", "traefik")
    assert set(first.files) == {AGENT, *(file.path for file in files(held, host("traefik")))}
    assert disk.commands[-1] == "systemctl restart consul traefik"
    [again] = deliver(access, [host("traefik")])
    assert (again.files, again.restarted) == ((), ())
    assert disk.commands[-1] == "systemctl start consul traefik"
    assert json.loads(disk.files[bootstrap.SECRETS])["encrypt"] == held.gossip_key


def test_a_certificate_of_another_authority_is_replaced_alone(held: Credentials, tmp_path: Path) -> None:
    disk = Disk(Params(), held)
    deliver(cast(Access, disk), [host("web")])
    other = credentials.of(Params(keys=str(tmp_path / "other")))
    assert other is not None
    disk.files[AGENT] = other.authority.issue(names(host("web")))
    [mended] = deliver(cast(Access, disk), [host("web")])
    assert mended.files == (AGENT,)


def test_at_the_articles_level_there_is_nothing_to_bring() -> None:
    disk: Any = Disk(Params(security="article"), None)
    assert deliver(disk, [host("consul")]) == ()
    assert disk.commands == []


def test_a_boot_script_that_failed_is_told_at_once(held: Credentials) -> None:
    disk: Any = Disk(Params(), held, "runbook: boot failed at line 3: false")
    with pytest.raises(AccessError, match="the boot script of aws-web failed") as refused:
        deliver(disk, [host("web")])
    assert "line 3" in str(refused.value.seen)
    assert not disk.files


def test_a_boot_script_that_does_not_end_is_told_in_time(held: Credentials) -> None:
    disk: Any = Disk(Params(timeout=1), held, "")
    with pytest.raises(WaitTimeout, match="the boot script of aws-web to end"):
        delivery.until_booted(disk, host("web"))
