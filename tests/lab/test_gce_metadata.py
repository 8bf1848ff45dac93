"""The metadata server, as an instance asks it over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from werkzeug.serving import make_server

from tests.lab.test_gce import PROJECT, REGION, ZONE, Quiet, Site

READ_ONLY = "https://www.googleapis.com/auth/compute.readonly"
V1 = "/computeMetadata/v1"
FLAVOR = {"Metadata-Flavor": "Google"}
NUMBER = "projects/[0-9]+"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = Site()
    try:
        found.network()
        found.instance(
            "server",
            public=True,
            tags={"items": ["consul-servers", "ssh"]},
            metadata={"items": [{"key": "startup-script", "value": "true"}, {"key": "a-b", "value": "x"}]},
            service_accounts=[{"email": "default", "scopes": [READ_ONLY]}],
        )
        found.instance("plain")
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def ask(site: Site) -> Iterator[Callable[..., httpx.Response]]:
    """GET as one instance: ``ask(path, machine=..., headers=...)``."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # The world tells instances apart by address; a header does here.
        return site.gce.metadata(environ["HTTP_MACHINE"], environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False)

    def get(path: str, machine: str = "server", headers: dict[str, str] | None = None) -> httpx.Response:
        return client.get(path, headers={**(FLAVOR if headers is None else headers), "Machine": f"{ZONE}/{machine}"})

    try:
        yield get
    finally:
        client.close()
        server.shutdown()
        server.server_close()


Ask = Callable[..., httpx.Response]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("project/project-id", PROJECT),
        ("project/numeric-project-id", "[0-9]{12}"),
        ("instance/name", "server"),
        ("instance/hostname", "server.c.runbook-lab.internal"),
        ("instance/id", "[0-9]{19}"),
        ("instance/zone", f"{NUMBER}/zones/{ZONE}"),
        ("instance/machine-type", f"{NUMBER}/machineTypes/e2-small"),
        ("instance/tags", r'\["consul-servers", "ssh"\]'),
        ("instance/tags?alt=text", "consul-servers\nssh\n"),
        ("instance/attributes/", "startup-script\na-b\n"),
        ("instance/attributes/startup-script", "true"),
        ("instance/attributes/?recursive=true", '{"startup-script": "true", "a-b": "x"}'),
        ("instance/service-accounts/", r"[0-9]{12}-compute@developer.gserviceaccount.com/\ndefault/\n"),
        ("instance/service-accounts/default/", "aliases\nemail\nscopes\ntoken\n"),
        ("instance/service-accounts/default/email", "[0-9]{12}-compute@developer.gserviceaccount.com"),
        ("instance/service-accounts/default/scopes", f"{READ_ONLY}\n"),
        ("instance/network-interfaces/", "0/\n"),
        ("instance/network-interfaces/0/ip", "172.27.3.130"),
        ("instance/network-interfaces/0/mac", "42:01:ac:1b:03:82"),
        ("instance/network-interfaces/0/gateway", "172.27.3.129"),
        ("instance/network-interfaces/0/subnetmask", "255.255.255.192"),
        ("instance/network-interfaces/0/network", f"{NUMBER}/networks/net"),
        ("instance/network-interfaces/0/access-configs/0/external-ip", r"203\.0\.113\.[0-9]+"),
        ("", "instance/\nproject/\n"),
        ("?recursive=true&alt=text", "(?s).*instance/network-interfaces/0/ip 172.27.3.130\n.*"),
    ],
)
def test_what_an_instance_learns(ask: Ask, path: str, expected: str) -> None:
    answer = ask(f"{V1}/{path}")
    assert answer.status_code == 200
    assert answer.headers["Metadata-Flavor"] == "Google"
    assert re.fullmatch(expected, answer.text), answer.text


def test_everything_at_once_is_json(ask: Ask) -> None:
    answer = ask(f"{V1}/?recursive=true")
    assert answer.headers["Content-Type"].startswith("application/json")
    instance = answer.json()["instance"]
    assert instance["machineType"].endswith("e2-small")
    assert instance["attributes"] == {"startup-script": "true", "a-b": "x"}
    assert instance["networkInterfaces"][0]["accessConfigs"][0]["type"] == "ONE_TO_ONE_NAT"
    assert set(instance["serviceAccounts"]["default"]) == {"aliases", "email", "scopes"}


def test_a_directory_is_asked_for_with_a_slash(ask: Ask) -> None:
    answer = ask(f"{V1}/instance/attributes")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{V1}/instance/attributes/")


@pytest.mark.parametrize(
    ("path", "machine", "headers", "status"),
    [
        ("instance/name", "server", {}, 403),
        ("instance/name", "server", {"Metadata-Flavor": "Other"}, 403),
        ("instance/name", "server", {**FLAVOR, "X-Forwarded-For": "192.0.2.7"}, 403),
        ("instance/none", "server", FLAVOR, 404),
        ("instance/name/none", "server", FLAVOR, 404),
        ("instance/attributes/none", "server", FLAVOR, 404),
        ("instance/network-interfaces/1/ip", "server", FLAVOR, 404),
        ("instance/name", "unknown", FLAVOR, 404),
        ("instance/service-accounts/default/token", "plain", FLAVOR, 404),
        ("instance/network-interfaces/0/access-configs/0/external-ip", "plain", FLAVOR, 404),
    ],
)
def test_what_an_instance_does_not_learn(
    ask: Ask, path: str, machine: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(f"{V1}/{path}", machine, headers)
    assert answer.status_code == status
    assert answer.headers["Metadata-Flavor"] == "Google"


def test_clients_can_tell_that_they_are_on_google(ask: Ask) -> None:
    assert ask("/", headers={}).headers["Metadata-Flavor"] == "Google"


def test_a_token_carries_the_scopes_granted_whatever_is_asked(site: Site, ask: Ask) -> None:
    wish = "https://www.googleapis.com/auth/cloud-platform"
    token = ask(f"{V1}/instance/service-accounts/default/token?scopes={wish}").json()
    assert (token["token_type"], token["expires_in"] > 3000) == ("Bearer", True)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    root = f"{site.url}/compute/v1/projects/{PROJECT}"
    with httpx.Client(trust_env=False, headers=headers) as client:
        found = client.get(f"{root}/zones/{ZONE}/instances", params={"filter": 'tags.items:"consul-servers"'}).json()
        assert [item["networkInterfaces"][0]["networkIP"] for item in found["items"]] == ["172.27.3.130"]
        refused = client.delete(f"{root}/regions/{REGION}/subnetworks/net-public")
        assert refused.status_code == 403
        assert refused.json()["error"]["errors"][0]["reason"] == "insufficientPermissions"
