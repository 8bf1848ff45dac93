from __future__ import annotations

import functools
import hashlib
import io
import platform
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runbook_lib.lab import consul_release
from runbook_lib.lab.errors import LabError

SCRIPT = "#!/bin/sh\necho 'Consul v{version}'\n"
ARCHIVE = f"consul_{consul_release.VERSION}_linux_amd64.zip"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


def program(path: Path, version: str = consul_release.VERSION) -> Path:
    """Something that answers `consul version` as Consul does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT.format(version=version))
    path.chmod(0o755)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a release as HashiCorp publishes it."""
    folder = tmp_path / "site" / consul_release.VERSION
    folder.mkdir(parents=True)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("consul", SCRIPT.format(version=consul_release.VERSION))
    (folder / ARCHIVE).write_bytes(content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    (folder / f"consul_{consul_release.VERSION}_SHA256SUMS").write_text(f"{'0' * 64}  other.zip\n{digest}  {ARCHIVE}\n")
    return folder


@pytest.fixture
def releases(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That folder, served; and a PATH without apt, so that there is no second source."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(site / "nothing"))
    handler = functools.partial(Quiet, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("sources", [["variable", "path", "cache"], ["path", "cache"], ["cache"], []])
def test_order(sources: list[str], tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin")}
    places = {
        "variable": tmp_path / "mine" / "consul-here",
        "path": tmp_path / "bin" / "consul",
        "cache": consul_release.cached(environ),
    }
    for source in sources:
        program(places[source])
    if "variable" in sources:
        environ["RUNBOOK_CONSUL"] = str(places["variable"])
    assert consul_release.locate(environ) == (places[sources[0]] if sources else None)


def test_a_wrong_variable_is_said(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "consul")
    environ = {"RUNBOOK_CONSUL": str(tmp_path / "none"), "PATH": str(tmp_path / "bin")}
    with pytest.raises(LabError, match=r"RUNBOOK_CONSUL is .*none"):
        consul_release.locate(environ)


def test_the_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = f"/home/somebody/.cache/runbook/tools/consul-{consul_release.VERSION}/consul"
    assert consul_release.cached({}) == Path(expected)


def test_fetched_once_and_whole(releases: str, tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    first = consul_release.ensure(environ, releases=releases)
    assert consul_release.version_of(first) == consul_release.VERSION
    assert list(first.parent.iterdir()) == [first]
    assert consul_release.ensure(environ, releases="http://127.0.0.1:1") == first


def test_many_may_fetch_at_once(releases: str, tmp_path: Path) -> None:
    target = tmp_path / "tools" / "consul"
    with ThreadPoolExecutor(4) as workers:
        got = list(workers.map(lambda _: consul_release.fetch(target, releases=releases), range(4)))
    assert set(got) == {target}
    assert list(target.parent.iterdir()) == [target]


def test_another_checksum_is_refused(releases: str, site: Path, tmp_path: Path) -> None:
    with (site / ARCHIVE).open("ab") as archive:
        archive.write(b"!")
    target = tmp_path / "tools" / "consul"
    with pytest.raises(LabError, match="checksum") as caught:
        consul_release.fetch(target, releases=releases)
    assert "Debian bullseye" in caught.value.message
    assert "RUNBOOK_CONSUL" in caught.value.remedy
    assert not list(target.parent.iterdir())


def test_another_version_is_refused(site: Path, tmp_path: Path, releases: str) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("consul", SCRIPT.format(version="9.9.9"))
    (site / ARCHIVE).write_bytes(content.getvalue())
    sums = f"{hashlib.sha256(content.getvalue()).hexdigest()}  {ARCHIVE}\n"
    (site / f"consul_{consul_release.VERSION}_SHA256SUMS").write_text(sums)
    with pytest.raises(LabError, match="does not run as Consul"):
        consul_release.fetch(tmp_path / "tools" / "consul", releases=releases)


@pytest.mark.parametrize("released", ["http://127.0.0.1:1", "not an address"])
def test_no_source_at_all(released: str, releases: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be fetched"):
        consul_release.fetch(tmp_path / "tools" / "consul", releases=released)


def test_what_is_found_must_run(tmp_path: Path) -> None:
    broken = program(tmp_path / "consul")
    broken.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(LabError, match="does not run as Consul"):
        consul_release.ensure({"RUNBOOK_CONSUL": str(broken)})


@pytest.mark.parametrize(
    ("sums", "expected"),
    [("aa  x.zip\nbb  y.zip\n", "bb"), ("aa  x.zip\n", None), ("", None), ("bb  my y.zip\n", None), ("bb\n", None)],
)
def test_checksum(sums: str, expected: str | None) -> None:
    assert consul_release.checksum(sums, "y.zip") == expected
