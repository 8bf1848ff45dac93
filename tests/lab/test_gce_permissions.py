"""What GCP's methods demand, members who have less, and the API that makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Forbidden
from google.cloud import compute_v1
from google.oauth2.credentials import Credentials

from runbook_lib.lab.gce.permissions import needs
from runbook_lib.lab.gce.routing import route
from runbook_lib.lab.restricted import Gcp
from tests.clouds.conftest import Emulated, gcp_lab

__all__ = ["gcp_lab"]  # the fixture

PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
COMPUTE = "https://www.googleapis.com/auth/compute"
P = "/compute/v1/projects/p"
NET = "projects/p/global/networks/n"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", f"{P}/global/networks", {}, [("compute.networks.list", "projects/p")]),
        ("GET", f"{P}/aggregated/instances", {}, [("compute.instances.list", "projects/p")]),
        ("GET", f"{P}/global/networks/n", {}, [("compute.networks.get", NET)]),
        ("GET", P, {}, [("compute.projects.get", "projects/p")]),
        (
            "POST",
            f"{P}/zones/z/operations/o/wait",
            {},
            [("compute.zoneOperations.get", "projects/p/zones/z/operations/o")],
        ),
        ("POST", f"{P}/global/networks", {"name": "n"}, [("compute.networks.create", NET)]),
        (
            "POST",
            f"{P}/global/firewalls",
            {"name": "f", "network": NET},
            [
                ("compute.firewalls.create", "projects/p/global/firewalls/f"),
                ("compute.networks.updatePolicy", NET),
            ],
        ),
        (
            "POST",
            f"{P}/zones/z/instances/i/setTags",
            {"items": ["a"]},
            [("compute.instances.setTags", "projects/p/zones/z/instances/i")],
        ),
        (
            "POST",
            f"{P}/regions/r/vpnTunnels",
            {
                "name": "t",
                "vpnGateway": "projects/p/regions/r/vpnGateways/g",
                "router": "projects/p/regions/r/routers/r",
            },
            [
                ("compute.vpnTunnels.create", "projects/p/regions/r/vpnTunnels/t"),
                ("compute.vpnGateways.use", "projects/p/regions/r/vpnGateways/g"),
                ("compute.routers.use", "projects/p/regions/r/routers/r"),
            ],
        ),
        (
            "POST",
            f"{P}/zones/z/instances",
            {
                "name": "i",
                "disks": [{"initializeParams": {}}],
                "networkInterfaces": [{"subnetwork": "projects/p/regions/r/subnetworks/s", "accessConfigs": [{}]}],
                "tags": {"items": ["a"]},
                "serviceAccounts": [{"email": "default"}],
            },
            [
                ("compute.instances.create", "projects/p/zones/z/instances/i"),
                ("compute.disks.create", "projects/p/zones/z/disks/i"),
                ("compute.subnetworks.use", "projects/p/regions/r/subnetworks/s"),
                ("compute.subnetworks.useExternalIp", "projects/p/regions/r/subnetworks/s"),
                ("compute.instances.setTags", "projects/p/zones/z/instances/i"),
                ("compute.instances.setServiceAccount", "projects/p/zones/z/instances/i"),
                ("iam.serviceAccounts.actAs", "1-compute@developer.gserviceaccount.com"),
            ],
        ),
    ],
)
def test_methods_demand_what_google_documents(method: str, path: str, body: Any, expected: Any) -> None:
    call = route(method, path, {}, json.dumps(body).encode() if body else b"")
    assert call is not None
    assert list(needs(call, {}, "1-compute@developer.gserviceaccount.com")) == expected


def test_deleting_what_hangs_on_a_network_changes_that_network() -> None:
    call = route("DELETE", f"{P}/global/routes/r", {}, b"")
    assert call is not None
    assert [need.permission for need in needs(call, {"network": NET}, "")] == [
        "compute.routes.delete",
        "compute.networks.updatePolicy",
    ]


def member(lab: Emulated, tmp_path: Path, permissions: list[str]) -> Any:
    """A client of the networks, of somebody who has some permissions."""
    account = Gcp(lab.url, Path(lab.credentials))
    file = tmp_path / "less.json"
    file.write_text(account.credentials())
    account.allow(permissions)
    return client("NetworksClient", lab, file)


def client(name: str, lab: Emulated, file: Path, scope: str = COMPUTE) -> Any:
    return getattr(compute_v1, name)(
        credentials=Credentials(token(file, scope)),
        client_options={"api_endpoint": lab.url},
    )


def token(file: Path, scope: str) -> str:
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    found: Any = service_account.Credentials.from_service_account_file(str(file), scopes=[scope])
    found.refresh(Request())
    return str(found.token)


def test_a_refusal_is_worded_as_google_s(gcp_lab: Emulated, tmp_path: Path) -> None:
    networks = member(gcp_lab, tmp_path, ["compute.networks.list"])
    assert list(networks.list(project="runbook-lab")) == []
    with pytest.raises(Forbidden) as caught:
        networks.insert_unary(project="runbook-lab", network_resource=compute_v1.Network(name="x"))
    message = "Required 'compute.networks.create' permission for 'projects/runbook-lab/global/networks/x'"
    assert message in str(caught.value)
    assert caught.value.errors[0]["reason"] == "forbidden"


def test_a_service_account_is_handed_on_by_who_may_act_as_it(gcp_lab: Emulated, tmp_path: Path) -> None:
    everything = ["create", "setServiceAccount", "setMetadata", "setTags", "setLabels"]
    member(gcp_lab, tmp_path, [f"compute.instances.{verb}" for verb in everything])
    instances = client("InstancesClient", gcp_lab, tmp_path / "less.json")
    body = compute_v1.Instance(name="i", service_accounts=[compute_v1.ServiceAccount(email="default", scopes=[])])
    with pytest.raises(BadRequest, match="does not have access to service account"):
        instances.insert_unary(project="runbook-lab", zone="europe-west1-b", instance_resource=body)


def test_members_are_made_and_asked_through_google_s_apis(gcp_lab: Emulated, tmp_path: Path) -> None:
    member(gcp_lab, tmp_path, ["compute.networks.get", "compute.networks.list"])
    base = f"{gcp_lab.url}/v1/projects/runbook-lab"
    bearer = {"Authorization": f"Bearer {token(tmp_path / 'less.json', PLATFORM)}"}
    asked = {"permissions": ["compute.networks.get", "compute.networks.delete"]}
    answer = requests.post(f"{base}:testIamPermissions", json=asked, headers=bearer, timeout=10)
    assert answer.json() == {"permissions": ["compute.networks.get"]}
    refused = requests.post(f"{base}:setIamPolicy", json={"policy": {}}, headers=bearer, timeout=10)
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (403, "forbidden")
    assert "resourcemanager.projects.setIamPolicy" in refused.text
    narrow = {"Authorization": f"Bearer {token(tmp_path / 'less.json', COMPUTE)}"}
    assert requests.post(f"{base}:testIamPermissions", json=asked, headers=narrow, timeout=10).status_code == 403
    assert requests.post(f"{base}:testIamPermissions", json=asked, timeout=10).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("/roles", {"roleId": "x!"}, "role ID"),
        ("/roles", {"roleId": "good", "role": {"includedPermissions": ["compute.*"]}}, "compute.* is not valid"),
        ("/serviceAccounts", {"accountId": "X"}, "account ID"),
        (":setIamPolicy", {"policy": {"bindings": [{"role": "projects/runbook-lab/roles/none"}]}}, "does not exist"),
        (
            ":setIamPolicy",
            {"policy": {"bindings": [{"role": "roles/owner", "members": ["serviceAccount:nobody@x"]}]}},
            "nobody@x does not exist",
        ),
        (":testIamPermissions", {"permissions": ["compute.*"]}, "without wildcards"),
        ("/roles/none", {}, "Method not found"),
    ],
)
def test_wrong_requests_are_refused(gcp_lab: Emulated, path: str, body: Any, part: str) -> None:
    bearer = {"Authorization": f"Bearer {token(Path(gcp_lab.credentials), PLATFORM)}"}
    answer = requests.post(f"{gcp_lab.url}/v1/projects/runbook-lab{path}", json=body, headers=bearer, timeout=10)
    assert answer.status_code in (400, 404)
    assert part in answer.json()["error"]["message"]
