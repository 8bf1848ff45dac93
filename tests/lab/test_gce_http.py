"""The emulator's raw HTTP: who may ask, how refusals look, batches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import google.auth.jwt
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt

from tests.lab.test_gce import PROJECT, ZONE, Site, instance_body

ROOT = f"/compute/v1/projects/{PROJECT}"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = Site()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def http(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        yield client


def assertion(site: Site, scope: str = f"{SCOPE}compute", *, key: str = "", **claims: Any) -> str:
    info = site.gce.operator_credentials("http://x/token")
    signer = crypt.RSASigner.from_string(key or info["private_key"])
    now = int(time.time())
    base = {"iss": info["client_email"], "sub": info["client_email"], "iat": now, "exp": now + 600, "scope": scope}
    return google.auth.jwt.encode(signer, {**base, "aud": info["token_uri"], **claims}).decode()


def token(site: Site, http: httpx.Client, scope: str = f"{SCOPE}compute") -> str:
    answer = http.post("/token", data={"grant_type": GRANT, "assertion": assertion(site, scope)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def operator(site: Site, http: httpx.Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(site, http)}"}


# ---- who may ask ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer nonsense", "Bearer a.b.c", "Basic abc"])
def test_nobody_unknown_is_answered(http: httpx.Client, header: str | None) -> None:
    answer = http.get(f"{ROOT}/zones", headers={"Authorization": header} if header else {})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
    assert error["errors"][0]["location"] == "Authorization"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("scope", "reads", "writes"),
    [
        ("compute", 200, 200),
        ("cloud-platform", 200, 200),
        ("compute.readonly", 200, 403),
        ("devstorage.read_only compute.readonly", 200, 403),
        ("devstorage.read_only", 403, 403),
    ],
)
def test_scopes_decide(site: Site, http: httpx.Client, scope: str, reads: int, writes: int) -> None:
    whole = " ".join(f"{SCOPE}{name}" for name in scope.split())
    headers = {"Authorization": f"Bearer {token(site, http, whole)}"}
    assert http.get(f"{ROOT}/zones", headers=headers).status_code == reads
    body: dict[str, Any] = {"items": []}
    answer = http.post(f"{ROOT}/setCommonInstanceMetadata", headers=headers, json=body)
    assert answer.status_code == writes
    if writes == 403:
        error = answer.json()["error"]
        assert error["status"] == "PERMISSION_DENIED"
        assert error["errors"][0]["reason"] == "insufficientPermissions"
        assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_a_token_signed_by_the_operator_itself_is_taken(site: Site, http: httpx.Client) -> None:
    signed = assertion(site, aud="https://compute.googleapis.com/")
    assert http.get(f"{ROOT}/zones", headers={"Authorization": f"Bearer {signed}"}).status_code == 200


def other_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_grants_that_do_not_hold(site: Site, http: httpx.Client) -> None:
    past = int(time.time()) - 7200
    cases = {
        "invalid_grant": [
            {"grant_type": GRANT, "assertion": "nonsense"},
            {"grant_type": GRANT, "assertion": assertion(site, key=other_key())},
            {"grant_type": GRANT, "assertion": assertion(site, iat=past, exp=past + 600)},
            {"grant_type": GRANT, "assertion": assertion(site, iss="somebody@else")},
            {"grant_type": GRANT},
        ],
        "invalid_scope": [{"grant_type": GRANT, "assertion": assertion(site, "")}],
        "unsupported_grant_type": [{"grant_type": "password"}, {}],
    }
    for error, forms in cases.items():
        for form in forms:
            answer = http.post("/token", data=form)
            assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_key_file_is_made_for_its_token_uri(site: Site) -> None:
    info = site.gce.operator_credentials("http://127.0.0.1:1/token")
    assert (info["type"], info["token_uri"]) == ("service_account", "http://127.0.0.1:1/token")
    assert info["private_key"] == site.gce.operator_credentials("http://other/token")["private_key"]


# ---- shapes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/compute/v1", "/v1", ""])
def test_paths_with_and_without_the_services_name(http: httpx.Client, operator: dict[str, str], prefix: str) -> None:
    answer = http.get(f"{prefix}/projects/{PROJECT}/zones/{ZONE}", headers=operator)
    assert answer.json()["selfLink"] == f"https://www.googleapis.com{ROOT}/zones/{ZONE}"
    assert answer.json()["kind"] == "compute#zone"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"nmae": "net"},
            "Invalid JSON payload received. Unknown name \"nmae\" at 'resource': Cannot find field.",
        ),
        (
            {"name": "net", "routingConfig": {"mode": "GLOBAL"}},
            "Invalid JSON payload received. Unknown name \"mode\" at 'resource.routingConfig': Cannot find field.",
        ),
        ({"name": 7}, "Invalid value at 'resource.name'"),
        ([], "Invalid JSON payload received. Root element must be a message."),
    ],
)
def test_bodies_that_are_no_networks(http: httpx.Client, operator: dict[str, str], body: Any, message: str) -> None:
    answer = http.post(f"{ROOT}/global/networks", headers=operator, json=body)
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == 400
    assert error["message"].startswith(message)
    assert error["status"] == "INVALID_ARGUMENT"
    assert error["errors"] == [{"message": error["message"], "domain": "global", "reason": "badRequest"}]


def test_a_parameter_that_does_not_exist_is_refused(http: httpx.Client, operator: dict[str, str]) -> None:
    answer = http.get(f"{ROOT}/zones", headers=operator, params={"fliter": "x"})
    assert answer.status_code == 400
    assert 'Unknown name "fliter"' in answer.json()["error"]["message"]
    assert http.get(f"{ROOT}/zones", headers=operator, params={"alt": "json", "prettyPrint": "true"}).is_success


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", f"{ROOT}/global/disks"),
        ("GET", f"{ROOT}/zones/{ZONE}/networks"),
        ("POST", f"{ROOT}/zones"),
        ("DELETE", f"{ROOT}/zones/{ZONE}"),
        ("POST", f"{ROOT}/zones/{ZONE}/instances/x/sing"),
        ("GET", f"{ROOT}/aggregated/firewalls"),
        ("GET", "/token/x"),
    ],
)
def test_paths_that_are_no_methods(http: httpx.Client, operator: dict[str, str], method: str, path: str) -> None:
    assert http.request(method, path, headers=operator).status_code == 404


def test_an_instance_is_shown_as_google_shows_it(site: Site, http: httpx.Client, operator: dict[str, str]) -> None:
    site.network()
    site.insert("instance", instance_body("shown", public=True, tags={"items": ["a"]}), zone=ZONE)
    shown = http.get(f"{ROOT}/zones/{ZONE}/instances/shown", headers=operator).json()
    assert isinstance(shown["id"], str)
    assert shown["id"].isdigit()
    assert shown["zone"] == f"https://www.googleapis.com{ROOT}/zones/{ZONE}"
    assert shown["machineType"].endswith(f"zones/{ZONE}/machineTypes/e2-small")
    assert shown["networkInterfaces"][0]["accessConfigs"][0]["type"] == "ONE_TO_ONE_NAT"
    assert "initializeParams" not in shown["disks"][0]
    assert shown["status"] == "RUNNING"
    operations = http.get(f"{ROOT}/zones/{ZONE}/operations", headers=operator).json()
    insert = next(o for o in operations["items"] if o["targetLink"] == shown["selfLink"])
    assert (insert["status"], insert["operationType"], insert["targetId"]) == ("DONE", "insert", shown["id"])
    assert insert["name"].startswith("operation-")


def test_a_patch_with_an_empty_list_empties_it(site: Site, http: httpx.Client, operator: dict[str, str]) -> None:
    http.post(f"{ROOT}/global/networks", headers=operator, json={"name": "n2", "autoCreateSubnetworks": False})
    rule = {
        "name": "r",
        "network": "global/networks/n2",
        "allowed": [{"IPProtocol": "tcp"}],
        "sourceRanges": ["10.0.0.0/8"],
        "targetTags": ["a"],
    }
    assert http.post(f"{ROOT}/global/firewalls", headers=operator, json=rule).is_success
    assert http.patch(f"{ROOT}/global/firewalls/r", headers=operator, json={"targetTags": []}).is_success
    shown = http.get(f"{ROOT}/global/firewalls/r", headers=operator).json()
    assert "targetTags" not in shown
    assert shown["sourceRanges"] == ["10.0.0.0/8"]


def test_the_world_hears_of_changes_only(site: Site, http: httpx.Client, operator: dict[str, str]) -> None:
    before = site.world.changes
    http.get(f"{ROOT}/global/networks", headers=operator)
    http.post(f"{ROOT}/global/networks", headers=operator, json={"name": "Wrong"})
    assert site.world.changes == before
    http.post(f"{ROOT}/global/networks", headers=operator, json={"name": "right", "autoCreateSubnetworks": False})
    assert site.world.changes == before + 1


def test_several_calls_in_one_batch(http: httpx.Client, operator: dict[str, str]) -> None:
    calls = [
        ("GET", f"{ROOT}/zones?filter=name+eq+us-.*&maxResults=1", None),
        ("POST", f"{ROOT}/global/networks?alt=json", {"name": "batched", "autoCreateSubnetworks": False}),
        ("GET", f"https://compute.googleapis.com{ROOT}/global/networks/none", None),
    ]
    parts = []
    for number, (method, path, body) in enumerate(calls):
        text = json.dumps(body) if body else ""
        parts.append(
            "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: <id+{number}>\r\n\r\n"
            f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            f"{text}\r\n"
        )
    answer = http.post(
        "/batch/compute/v1",
        content="".join(parts) + "--b--",
        headers=operator | {"Content-Type": 'multipart/mixed; boundary="b"'},
    )
    assert answer.status_code == 200
    boundary = answer.headers["Content-Type"].partition('boundary="')[2].rstrip('"')
    found = answer.text.split(f"--{boundary}")[1:-1]
    assert [part.split("HTTP/1.1 ")[1][:3] for part in found] == ["200", "200", "404"]
    assert ["<response-id+" + str(n) + ">" in part for n, part in enumerate(found)] == [True] * 3
    assert '"us-central1-a"' in found[0]
    assert http.get(f"{ROOT}/global/networks/batched", headers=operator).status_code == 200
    assert http.post("/batch", content="x", headers=operator).status_code == 400
