"""Archives that can be pinned, and instances of both clouds that install from them, or refuse to."""

from __future__ import annotations

import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib import delivery, releases
from runbook_lib.errors import AccessError
from runbook_lib.lab import host, mirror, tools
from runbook_lib.lab.errors import LabError
from runbook_lib.lab.model import MIRROR_NAME, PUBLIC
from runbook_lib.params import Params
from runbook_lib.resources import Host, resolve
from runbook_lib.site import Site, open_site

WRONG = "0" * 64


# ---- the mirror --------------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """Small programs in place of the real ones: what is packed does not matter to packing."""
    made = {}
    for name in ("consul", "traefik"):
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\necho {name}\n")
        made[name] = str(file)
    return made


def ask(one: mirror.Mirror, path: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    said: list[Any] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": "198.51.100.9"}
    body = b"".join(one.answer(environ, lambda status, headers: said.extend((status, dict(headers)))))
    return said[0], said[1], body


def test_archives_hold_the_programs_under_the_publishers_paths(tmp_path: Path, programs: dict[str, str]) -> None:
    one = mirror.Mirror(tmp_path, programs)
    consul, traefik = one.archives()
    for archive in (consul, traefik):
        wanted = releases.url(archive.program, archive.version, "amd64", "https://m")  # type: ignore[arg-type]  # its names
        architecture = mirror.ARCHITECTURES[platform.machine()]
        assert f"https://m/{archive.path}" == wanted.replace("amd64", architecture)
        status, headers, body = ask(one, f"/{archive.path}")
        assert (status, int(headers["Content-Length"])) == ("200 OK", len(body))
        assert hashlib.sha256(body).hexdigest() == archive.sha256
        if archive is consul:
            content = zipfile.ZipFile(io.BytesIO(body)).read("consul")
        else:
            with tarfile.open(fileobj=io.BytesIO(body)) as packed:
                file = packed.extractfile("traefik")
                assert file is not None
                content = file.read()
        assert content == Path(programs[archive.program]).read_bytes()


def test_the_same_programs_give_the_same_checksums(tmp_path: Path, programs: dict[str, str]) -> None:
    sums = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        sums.append([archive.sha256 for archive in mirror.Mirror(tmp_path / name, programs).archives()])
    assert sums[0] == sums[1]


def test_who_asks_at_once_gets_whole_archives(tmp_path: Path, programs: dict[str, str]) -> None:
    """Two mirrors of one folder are the world's and that of ``runbook lab params --bare``."""
    mirrors = [mirror.Mirror(tmp_path, programs) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: mirrors[index % 2].archives(), range(8)))
    assert len({tuple(archive.sha256 for archive in archives) for archives in answers}) == 1


def test_requests_are_written_down(tmp_path: Path, programs: dict[str, str]) -> None:
    one = mirror.Mirror(tmp_path, programs)
    path = one.archives()[0].path
    assert ask(one, f"/{path}", "HEAD")[2] == b""
    assert ask(one, "/consul/0.0.1/consul_0.0.1_linux_amd64.zip")[0] == "404 Not Found"
    lines = [line.split()[1:] for line in (tmp_path / mirror.LOG).read_text().splitlines()]
    expected = [["198.51.100.9", "200", path], ["198.51.100.9", "404", "consul/0.0.1/consul_0.0.1_linux_amd64.zip"]]
    assert lines == expected


def test_an_unknown_processor_is_told(
    tmp_path: Path, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(LabError, match="s390x"):
        mirror.Mirror(tmp_path, programs).archives()


# ---- instances ---------------------------------------------------------------------------------------------------

CONSUL = ("server-aws-consul-1", "server-gcp-consul-1")
TRAEFIK = ("server-aws-traefik-1", "server-gcp-traefik-1")


class Ground:
    """Networks of one deployment in both clouds of a lab, and instances on them one by one."""

    def __init__(self, lab: host.Lab, keys: Path) -> None:
        self.lab = lab
        home = Path(lab.home)
        self._given: dict[str, Any] = {
            "deployment": "bare",
            "aws_endpoint": lab.aws_endpoint,
            "aws_credentials": str(home / "aws-credentials"),
            "gcp_endpoint": lab.gcp_endpoint,
            "gcp_credentials": str(home / "gcp-credentials.json"),
            "internet_proxy": lab.internet_proxy,
            "keys": str(keys),
            "aws_image": "debian-12-bare-amd64-*",
            "gcp_image": "projects/debian-cloud/global/images/family/debian-12-bare",
            "release_mirror": f"https://{MIRROR_NAME}",
            "consul_servers": 1,
        }
        for archive in lab.releases():
            self._given |= {f"{archive.program}_version": archive.version, f"{archive.program}_sha256": archive.sha256}

    def open(self, **changes: str) -> Site:
        return open_site(Params.parse({**self._given, **changes}, source="test"))

    def boot(self, site: Site, *names: str) -> tuple[Host, ...]:
        """Make instances, or make them anew, as the parameters want them."""
        found = site.found()

        def one(name: str) -> None:
            resource = next(r for r in site.topology.resources if r.name == f"bare-{name}" and r.kind == "instance")
            cloud = site.clouds[resource.cloud]
            if old := found.get(resource.key):
                cloud.destroy(old)
            cloud.wait(cloud.create(resource, resolve(resource.spec, found)))

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(one, names))
        return tuple(site.host(name) for name in names)

    def requests(self) -> list[list[str]]:
        """(address, status, path) of each request that the mirror got."""
        log = Path(self.lab.home) / mirror.LOG
        return [line.split()[1:] for line in log.read_text().splitlines()] if log.exists() else []

    def inside(self, machine: Host, command: str) -> str:
        words = [*self.lab.enter(self.lab.node(f"bare-{machine.name}")), "sh", "-c", command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


@pytest.fixture(scope="module")
def ground(lab: host.Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(lab, tmp_path_factory.mktemp("bare") / "keys")
    site = made.open()
    try:
        site.apply(site.plan("00_provision"))
        yield made
    finally:
        site.apply(site.plan("05_teardown"))
        site.close()


@pytest.fixture
def sites(ground: Ground) -> Iterator[list[Site]]:
    """Deployments that are closed afterwards."""
    opened: list[Site] = []
    yield opened
    for site in opened:
        site.close()


@pytest.mark.lab
def test_the_lab_tells_what_a_parameter_file_needs_for_bare_images(lab: host.Lab) -> None:
    command = [sys.executable, "-m", "runbook_lib.cli", "lab", "params", "--name", lab.name, "--bare"]
    said = yaml.safe_load(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    params = Params.parse(said, source="test")
    for archive in lab.releases():
        assert getattr(params, f"{archive.program}_version") == archive.version
        assert getattr(params, f"{archive.program}_sha256") == archive.sha256
    assert "bare" in params.aws_image and "bare" in params.gcp_image and MIRROR_NAME in params.release_mirror


@pytest.mark.lab
def test_bare_instances_install_what_is_pinned_and_run_it(ground: Ground, sites: list[Site]) -> None:
    sites.append(site := ground.open())
    before = len(ground.requests())
    machines = ground.boot(site, *CONSUL, *TRAEFIK)
    site.access.wait_for(machines)
    delivery.deliver(site.access, machines)

    archives = {archive.program: archive for archive in ground.lab.releases()}
    for machine in machines:
        for program in ("consul", *(["traefik"] if machine.role == "traefik" else [])):
            archive = archives[program]
            source = f"installing {program} {archive.version} from https://{MIRROR_NAME}/{archive.path}"
            assert source in site.console(machine)
            assert ground.inside(machine, f"command -v {program}; readlink -f $(command -v {program})") == "\n".join(
                [f"/usr/local/bin/{program}"] * 2
            )
            assert archive.version in ground.inside(machine, f"{program} version")
            assert f"/usr/local/bin/{program}" in ground.inside(machine, "readlink /proc/[0-9]*/exe").split()

    asked = ground.requests()[before:]
    assert {status for _, status, _ in asked} == {"200"}
    assert sorted(path for _, _, path in asked) == sorted(
        [archives["consul"].path] * 4 + [archives["traefik"].path] * 2
    )
    # Private hosts came by the NAT gateway, which is no host, and by GCP's bastion.
    hosts = {machine.public_ip: machine for machine in site.hosts()}
    by_nat = [address for address, _, _ in asked if address not in hosts]
    assert len(by_nat) == 1 and ip_address(by_nat[0]) in ip_network(PUBLIC["aws"])
    assert [address for address, _, _ in asked].count(site.host("bastion-gcp").public_ip or "") == 1


@pytest.mark.lab
@pytest.mark.parametrize(
    ("changes", "said", "status"),
    [
        ({"consul_sha256": WRONG}, f"nothing of it was installed: SHA-256 expected {WRONG}, seen SEEN", ["200"]),
        ({"consul_version": "0.0.1"}, "consul_0.0.1_linux_ARCH.zip cannot be fetched: curl: (22)", ["404"]),
        ({"consul_sha256": "none"}, "consul is not on the image, and there is no checksum to fetch it by", []),
    ],
    ids=["wrong checksum", "no such release", "nothing pinned"],
)
def test_what_is_not_as_pinned_is_refused(
    ground: Ground, sites: list[Site], changes: dict[str, str], said: str, status: list[str]
) -> None:
    sites.append(site := ground.open(**changes))
    before = len(ground.requests())
    machines = ground.boot(site, *CONSUL)
    archive = next(archive for archive in ground.lab.releases() if archive.program == "consul")
    said = said.replace("SEEN", archive.sha256).replace("ARCH", Path(archive.path).stem.rpartition("_")[2])
    site.access.wait_for(machines)
    for machine in machines:
        with pytest.raises(AccessError, match=f"the boot script of {machine.name} failed") as refused:
            delivery.until_booted(site.access, machine)
        assert "boot failed: " in str(refused.value.seen) and said in str(refused.value.seen)
        assert said in site.console(machine)
        assert ground.inside(machine, "command -v consul; ls /usr/local/bin; ls -d /tmp/tmp.* 2>/dev/null") == ""
    assert [one for _, one, _ in ground.requests()[before:]] == status * len(CONSUL)


@pytest.mark.lab
def test_a_prepared_image_of_the_wanted_release_fetches_nothing(ground: Ground, sites: list[Site]) -> None:
    prepared = {"aws_image": Params().aws_image, "gcp_image": Params().gcp_image}
    sites.append(site := ground.open(**prepared))
    before = ground.requests()
    machines = ground.boot(site, *CONSUL)
    site.access.wait_for(machines)
    delivery.deliver(site.access, machines)
    for machine in machines:
        assert "/usr/local/lib/lab/consul" in ground.inside(machine, "readlink /proc/[0-9]*/exe").split()
        assert f"consul {site.params.consul_version} is on the image" in site.console(machine)
    assert ground.requests() == before


@pytest.mark.lab
def test_a_prepared_image_of_another_release_gets_the_wanted_one_or_says_that_it_stays(
    ground: Ground, sites: list[Site]
) -> None:
    has = tools.version_of("consul")
    prepared = {"aws_image": Params().aws_image, "gcp_image": Params().gcp_image, "consul_version": "0.0.1"}
    sites.append(site := ground.open(**prepared, consul_sha256="none"))
    [machine] = ground.boot(site, CONSUL[0])
    site.access.wait_for([machine])
    delivery.until_booted(site.access, machine)
    assert f"consul {has} is on the image and stays, though 0.0.1 is wanted" in site.console(machine)

    sites.append(site := ground.open(**prepared))
    [machine] = ground.boot(site, CONSUL[0])
    site.access.wait_for([machine])
    with pytest.raises(AccessError):
        delivery.until_booted(site.access, machine)
    assert f"installing consul 0.0.1 instead of {has} from" in site.console(machine)
