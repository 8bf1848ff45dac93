"""GCP asked beforehand: identity, permissions (Resource Manager), quotas (of project and region), names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from ...errors import CloudError, PrerequisiteError
from ...params import Params
from ...resources import CloudName, Found, Resource
from ...together import each
from ..survey import ADDRESSES, CPUS, Quota
from . import Gcp, credentials
from .api import Api
from .kinds import KINDS, belongs

_RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com"
_AT_ONCE = 100  # permissions in one question, at most
_SECONDS = 60
# GCP's metrics of quotas and what is counted: of the project, and of a region.
_OF_PROJECT: Mapping[str, str] = {
    "NETWORKS": "network",
    "SUBNETWORKS": "subnetwork",
    "FIREWALLS": "firewall",
    "ROUTES": "route",
    "ROUTERS": "router",
    "VPN_GATEWAYS": "vpn_gateway",
    "EXTERNAL_VPN_GATEWAYS": "external_vpn_gateway",
    "VPN_TUNNELS": "vpn_tunnel",
    "CPUS_ALL_REGIONS": CPUS,
}
_OF_REGION: Mapping[str, str] = {"CPUS": CPUS, "INSTANCES": "instance", "IN_USE_ADDRESSES": ADDRESSES}


class GcpSurveyor:
    """``clouds.survey.Surveyor`` for GCP.

    Args:
        params: the deployment.
    """

    name: CloudName = "gcp"

    def __init__(self, params: Params) -> None:
        self._params = params
        self._api = Api(params)
        self._gcp = Gcp(self._api)
        self._reader = credentials.load(params, credentials.READ_ONLY)

    def identity(self) -> str:
        """See ``Surveyor.identity``; that a token is handed out shows that the credentials are good."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            self._reader.refresh(Request())
        except (GoogleAuthError, OSError) as error:
            raise PrerequisiteError(
                "Google does not accept the credentials",
                resource="gcp_credentials",
                seen=str(error),
                remedy="gcloud auth application-default login, or name another file in gcp_credentials; in the lab, "
                "is it up? (runbook lab status)",
            ) from None
        account = getattr(self._reader, "service_account_email", "")
        return f"{account or 'the user of the credentials'} in project {self._params.gcp_project}"

    def check(self) -> None:
        """See ``Surveyor.check``."""
        self._gcp.check()

    def found(self) -> Mapping[str, Found]:
        """See ``Surveyor.found``."""
        return self._gcp.inventory()

    def denied(self, permissions: Iterable[str]) -> tuple[str, ...]:
        """See ``Surveyor.denied``."""
        asked = sorted(permissions)
        granted: set[str] = set()
        for start in range(0, len(asked), _AT_ONCE):
            granted.update(self._granted(asked[start : start + _AT_ONCE]))
        return tuple(one for one in asked if one not in granted)

    def quotas(self) -> tuple[Quota, ...]:
        """See ``Surveyor.quotas``."""
        params = self._params
        client = self._api.client("RegionsClient")
        region = self._api.call(f"gcp region {params.gcp_region}", client.get, {"region": params.gcp_region})
        zone, size = params.gcp_zones[0], params.gcp_machine_type
        machine = self._api.client("MachineTypesClient")
        kind = self._api.call(f"gcp machine type {size}", machine.get, {"zone": zone, "machine_type": size})
        return (
            *_quotas(self._project(), _OF_PROJECT, "", kind.guest_cpus),
            *_quotas(region, _OF_REGION, f" in {params.gcp_region}", kind.guest_cpus),
        )

    def taken(self, wanted: Iterable[Resource]) -> tuple[str, ...]:
        """See ``Surveyor.taken``: in a project a name is one thing's."""
        keys = {resource.key for resource in wanted}
        deployment = self._params.deployment
        lists = each(self._gcp.named, KINDS.values())
        return tuple(
            key
            for kind, messages in zip(KINDS, lists, strict=True)
            for message in messages
            if not belongs(message, deployment) and (key := f"gcp:{kind}:{message.name}") in keys
        )

    def _project(self) -> Any:
        return self._api.call(f"gcp project {self._params.gcp_project}", self._api.client("ProjectsClient").get, {})

    def _granted(self, permissions: list[str]) -> list[str]:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession
        from requests import RequestException

        base = self._params.gcp_endpoint or _RESOURCE_MANAGER
        url = f"{base}/v1/projects/{self._params.gcp_project}:testIamPermissions"
        try:
            with AuthorizedSession(self._reader) as session:
                answer = session.post(url, json={"permissions": permissions}, timeout=_SECONDS)
            said = answer.json()
        except (GoogleAuthError, RequestException) as error:
            raise CloudError(
                "GCP could not be asked", resource="gcp permissions", seen=str(error), remedy="check the network"
            ) from error
        if answer.status_code != 200:
            message = said.get("error", {}).get("message", answer.reason)
            disabled = "gcloud services enable cloudresourcemanager.googleapis.com, then wait a few minutes"
            raise CloudError(
                f"GCP refused: {message}",
                resource="gcp permissions",
                seen=f"HTTP {answer.status_code}",
                remedy=disabled if answer.status_code == HTTPStatus.FORBIDDEN else "check it again in a minute",
            )
        return list(said.get("permissions", []))


def _quotas(message: Any, metrics: Mapping[str, str], where: str, cpus: int) -> Iterator[Quota]:
    for quota in message.quotas:
        if counts := metrics.get(quota.metric):
            each = cpus if counts == CPUS else 1
            yield Quota(f"{quota.metric}{where}", counts, int(quota.limit), int(quota.usage), each)
