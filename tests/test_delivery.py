"""Which secrets go where, and that what is right already is left alone. Real hosts get theirs in tests/e2e."""

from __future__ import annotations

import subprocess
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
    """A host's folder, instead of SSH to it: scripts run in this machine's shell, with paths that lead there."""

    def __init__(
        self, root: Path, held: Credentials | None, params: Params | None = None, record: str = bootstrap.FINISHED
    ) -> None:
        self.root, self.credentials = root, held
        self.params = params or Params()
        self.record = record
        (root / "etc").mkdir(parents=True)

    def run(self, host: Host, command: str, *, text: str = "") -> Result:
        if bootstrap.BOOT_RECORD in command:
            return Result(self.record, "", 0, 0)
        # An ordinary user's files belong to that user, whatever the archive says.
        here = command.replace("--same-owner", "--no-same-owner").replace("/etc/", f"{self.root}/etc/")
        here = here.replace('"/$', f'"{self.root}/$')
        done = subprocess.run(
            ["bash", "-c", f'systemctl() {{ echo "systemctl $*" >>{self.root}/told; }}\n{here}'],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        return Result(done.stdout, done.stderr, 0, 0)

    @property
    def commands(self) -> list[str]:
        """What the service manager was told."""
        told = self.root / "told"
        return told.read_text().splitlines() if told.exists() else []

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")


@pytest.fixture
def disk(tmp_path: Path, held: Credentials) -> Disk:
    return Disk(tmp_path / "host", held)


def test_delivered_once_then_left_alone(disk: Disk, held: Credentials) -> None:
    access = cast(Access, disk)
    [first] = deliver(access, [host("traefik"), host("bastion")])
    assert first.restarted == ("consul", "traefik")
    assert set(first.files) == {AGENT, *(file.path for file in files(held, host("traefik")))}
    assert disk.commands == ["systemctl start consul traefik"], "what never ran needs no restart"
    for file in files(held, host("traefik")):
        assert disk.file(file.path).read_text() == file.content
        assert disk.file(file.path).stat().st_mode & 0o777 == int(file.mode, 8)
    [again] = deliver(access, [host("traefik")])
    assert (again.files, again.restarted) == ((), ())
    assert disk.commands[-1] == "systemctl start consul traefik"
    assert sorted(path.name for path in disk.file("/etc").iterdir()) == ["consul", "traefik"], "nothing else is left"


def test_a_certificate_of_another_authority_is_replaced_alone(disk: Disk, tmp_path: Path) -> None:
    deliver(cast(Access, disk), [host("web")])
    other = credentials.of(Params(keys=str(tmp_path / "other")))
    assert other is not None
    disk.file(AGENT).write_text(other.authority.issue(names(host("web"))))
    [mended] = deliver(cast(Access, disk), [host("web")])
    assert mended.files == (AGENT,)
    assert disk.commands == ["systemctl start consul", "systemctl restart consul"]


def test_at_the_articles_level_there_is_nothing_to_bring(tmp_path: Path) -> None:
    disk: Any = Disk(tmp_path, None, Params(security="article"))
    assert deliver(disk, [host("consul")]) == ()
    assert disk.commands == []


def test_a_boot_script_that_failed_is_told_at_once(held: Credentials, tmp_path: Path) -> None:
    disk: Any = Disk(tmp_path / "host", held, record="runbook: boot failed at line 3: false")
    disk.console = lambda host: f"old\n{'early' * 3}\n\nno space left on {host.name}\nrunbook: boot failed\n"
    with pytest.raises(AccessError, match="the boot script of aws-web failed") as refused:
        deliver(disk, [host("web")])
    seen = str(refused.value.seen).splitlines()
    assert "line 3" in seen[0]
    assert seen[-2:] == ["console: no space left on aws-web", "console: runbook: boot failed"]
    assert not list(disk.file("/etc").iterdir())


def test_at_the_articles_level_a_boot_script_that_failed_is_told_too(tmp_path: Path) -> None:
    disk: Any = Disk(tmp_path / "host", None, Params(security="article"), "runbook: boot failed at line 3: false")
    disk.console = lambda _: ""
    with pytest.raises(AccessError, match="the boot script of aws-consul failed"):
        deliver(disk, [host("consul")])


def test_a_boot_script_that_does_not_end_is_told_in_time(held: Credentials, tmp_path: Path) -> None:
    disk: Any = Disk(tmp_path / "host", held, Params(timeout=1), "")
    with pytest.raises(WaitTimeout, match="the boot script of aws-web to end"):
        delivery.until_booted(disk, host("web"))
