"""One account: its regions, its consoles, its client tokens, and which handler answers which service."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from botocore.model import OperationNotFoundError
from moto.core.request import Request
from moto.core.utils import utcnow
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse

from ..model import Hooks
from . import auth, imds, parameters, permissions, quotas, simulation
from .base import ACCOUNT, PARTITION, Lab
from .errors import JSON, RefusedError
from .instances import LabInstance
from .mends import Region
from .responses import LabResponse

_RENEW = timedelta(minutes=10)  # before role credentials end, an instance is given new ones


class ServerRequest(Request):
    """A request that reached a WSGI server, which adds the Date header itself."""

    from_wsgi_server = True


class Account:
    """The state of an emulated account; its methods are not thread-safe."""

    def __init__(
        self,
        hooks: Hooks,
        home: str,
        zones: tuple[str, ...],
        *,
        settle: float,
        durations: Mapping[str, float],
        keep: float,
    ) -> None:
        # moto keeps IAM and STS globally: a fresh account begins by emptying them.
        iam_backends[ACCOUNT][PARTITION].reset()
        sts_backends[ACCOUNT][PARTITION].reset()
        self._lab = Lab(hooks.changed, home, zones, settle, durations, keep)
        self._sessions = imds.Sessions()
        self._role_sessions: dict[tuple[str, str], Any] = {}
        self.tokens: dict[tuple[str, str, str], Any] = {}
        self._handlers: Mapping[str, Any] = {
            "ec2": type("Response", (LabResponse,), {"account": self}),
            "iam": IamResponse,
            "sts": TokenResponse,
        }
        self.region(home)

    def region(self, name: str) -> Region:
        """A region's state, made at first use.

        Raises:
            RefusedError: there is no such region.
        """
        if name not in self._lab.regions:
            if name not in [region.name for region in RegionsAndZonesBackend.regions]:
                raise RefusedError("AuthFailure", f"Credential should be scoped to a valid region, not '{name}'.", 401)
            self._lab.regions[name] = Region(name, self._lab)
        return self._lab.regions[name]  # type: ignore[return-value]  # all are Region

    def opened(self) -> list[Region]:
        """The regions that were ever used."""
        return list(self._lab.regions.values())  # type: ignore[arg-type]  # all are Region

    def instance(self, machine: str) -> LabInstance | None:
        """An instance of any region by id."""
        for region in self.opened():
            if found := region.get_instance_by_id(machine):
                return found  # type: ignore[return-value]  # all are LabInstance
        return None

    def answer(
        self, environ: dict[str, Any], body: bytes, service: str, region: str, action: str
    ) -> tuple[int, Mapping[str, Any], bytes]:
        """Let moto's handler, mended, answer: status, headers, body.

        Raises:
            RefusedError: a service or action that does not exist, or not here.
        """
        if service == "ssm":
            return parameters.answer(body, action, region)
        if service == "servicequotas":
            return 200, {"Content-Type": JSON}, quotas.answer(action, body, region)
        if (service, action) == ("iam", "SimulatePrincipalPolicy"):
            return 200, {"Content-Type": "text/xml"}, simulation.answer(permissions.form(environ, body))
        if service not in self._handlers:
            raise RefusedError(
                "UnsupportedOperation", f"The lab emulates EC2, IAM, STS, SSM and Service Quotas, not {service}."
            )
        if service == "ec2":
            self.region(region)
        # One account: headers and user agents that would lead moto elsewhere do not count.
        environ = {name: value for name, value in environ.items() if name != "HTTP_X_MOTO_ACCOUNT_ID"}
        environ["HTTP_HOST"] = f"{service}.{region}.amazonaws.com"
        try:
            status, headers, content = self._handlers[service]()._dispatch(ServerRequest(environ))
        except OperationNotFoundError:
            raise RefusedError("InvalidAction", f"The action {action} is not valid for this web service.") from None
        # moto's placeholder: every answer has an id of its own.
        text = content.decode() if isinstance(content, bytes) else content
        return int(status), headers, text.replace(">request-id<", f">{uuid.uuid4()}<").encode()

    def metadata(self, environ: dict[str, Any], instance: LabInstance) -> imds.Answer:
        if not instance.nics:
            return 404, ""
        return imds.answer(environ, instance, self._sessions, lambda role: self._role_session(role, instance))

    def _role_session(self, role: Any, instance: LabInstance) -> Any:
        key = (instance.id, role.arn)
        held = self._role_sessions.get(key)
        if held is None or held.expiration - utcnow() < _RENEW:
            held = self._role_sessions[key] = auth.role_session(role.arn, instance.id, instance.region_name)
        return held
