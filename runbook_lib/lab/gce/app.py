"""The emulator itself: Compute's API and the metadata server over HTTP, and the world behind them."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from ..model import CloudName, Hooks, Machine, MachineState, Network, Tunnel, TunnelStatus
from ..web import later
from . import batch, catalog, fabric, lifecycle, messages
from .auth import Auth, GrantError
from .errors import ApiError, forbidden, may_not_act_as
from .iam import Iam
from .members import Members
from .metadata import MetadataServer
from .names import Key
from .permissions import ACT_AS, needs
from .routing import Call, route
from .service import NoMethod, Service
from .store import Store

log = logging.getLogger("lab.gce")

REGIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "europe-west1": ("europe-west1-b", "europe-west1-c", "europe-west1-d"),
        "us-central1": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"),
    }
)
_TOKEN_PATHS = ("/token", "/oauth2/v4/token")
StartResponse = Callable[..., Any]


class Gce:
    """One project on an emulated Compute Engine; implements ``Cloud`` of ``lab/model.py``.

    Args:
        hooks: what it needs of the world.
        project: project id.
        regions: zones (full names) by region.
        operation_seconds: how long an operation lasts that does not depend on an instance.
        durations: the same for single methods (``compute.networks.insert``); an instance's take that long at least.
    """

    name: CloudName = "gcp"

    def __init__(
        self,
        hooks: Hooks,
        project: str,
        *,
        regions: Mapping[str, Sequence[str]] = REGIONS,
        operation_seconds: float = 0.05,
        durations: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._hooks = hooks
        # Numbers of real projects are as opaque; this one is the same for the same name.
        number = str(10**11 + zlib.crc32(project.encode()))
        self._store = Store(project, number, regions, operation_seconds, hooks.console, durations=durations)
        catalog.fill(self._store)
        self._service = Service(self._store)
        self._auth = Auth(project)
        self._members = Members(project, self._auth.operator, self._store.service_account)
        self._iam = Iam(project, self._members, self._auth)
        self._metadata = MetadataServer(self._store, self._auth)

    def ready(self) -> None:
        """Load what is slow: Google's messages, and what checks signatures."""
        messages.types()
        self._auth.prepare()

    def operator_credentials(self, token_uri: str) -> dict[str, str]:
        """A service account key file's content (secret) that may do everything in the project.

        Args:
            token_uri: where clients exchange it for a token: this API's ``/token``.
        """
        return self._auth.credentials(token_uri)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Everything that the project holds now, by path; what Google offers to all (regions, images) included."""
        with self._store.lock:
            return {key.path: dict(document) for key, document in self._store.documents.items()}

    # ---- HTTP --------------------------------------------------------------------------------------------

    def api(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Compute's API, the token endpoint and batches of calls (WSGI)."""
        request = Request(environ)
        try:
            if request.path in _TOKEN_PATHS:
                response = self._token(request)
            elif request.path == "/batch" or request.path.startswith("/batch/"):
                response = batch.respond(request, self._respond)
            elif self._iam.answers(request.path):
                response = self._administer(request)
            else:
                response = self._respond(request)
        except HTTPException as error:
            response = Response(str(error), status=error.code, content_type="text/plain; charset=utf-8")
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = _json(500, ApiError(500, "backendError", "Internal error.").document())
        return response(environ, start_response)

    def metadata(self, machine: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The metadata server as one instance sees it (WSGI)."""
        response = self._metadata.respond(_key(self._store.project, machine), Request(environ))
        return response(environ, start_response)

    def _token(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status=405)
        try:
            return _json(200, self._auth.grant(request.form.to_dict()))
        except GrantError as error:
            return _json(400, error.document)

    def _administer(self, request: Request) -> Response:
        """The answer to a call of IAM or Resource Manager."""
        authorization, token_uri = request.headers.get("Authorization", ""), f"{request.host_url}token"
        try:
            return _json(
                200,
                self._iam.answer(request.method, request.path, request.get_data(), authorization, token_uri),
            )
        except ApiError as error:
            return _json(error.code, error.document())

    def _permit(self, call: Call, email: str) -> None:
        """Refuse a caller who lacks a permission that the call demands; the store's lock is held.

        Raises:
            ApiError: naming the first one.
        """
        if call.key.project != self._store.project:
            return  # Google's public images are everybody's; other projects are not there
        kept = self._store.documents.get(call.key, {})
        for need in needs(call, kept, self._store.service_account):
            if not self._members.may(email, need.permission):
                raise (
                    may_not_act_as(need.resource, email)
                    if need.permission == ACT_AS
                    else forbidden(need.permission, need.resource)
                )

    def _respond(self, request: Request) -> Response:
        """The answer to one call."""
        call = route(request.method, request.path, request.args.to_dict(), request.get_data())
        if call is None:
            return _no_method()
        try:
            authorization = request.headers.get("Authorization", "")
            caller = self._auth.caller(authorization, write=call.writes, method=call.method)
            with self._store.lock:
                self._permit(call, caller.email)
                document = self._service.answer(call, caller.email)
        except NoMethod:
            return _no_method()
        except ApiError as error:
            response = _json(error.code, error.document())
            if error.code == 401:
                response.headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/"'
            return response
        if call.writes:
            self._hooks.changed()
        return _json(200, document)

    # ---- the world ---------------------------------------------------------------------------------------

    def networks(self, tunnels: Mapping[str, TunnelStatus]) -> tuple[Network, ...]:
        """See ``Cloud.networks``."""
        with self._store.lock:
            return fabric.networks(self._store, tunnels)

    def machines(self) -> tuple[Machine, ...]:
        """See ``Cloud.machines``."""
        with self._store.lock:
            return fabric.machines(self._store)

    def tunnels(self) -> tuple[Tunnel, ...]:
        """See ``Cloud.tunnels``."""
        with self._store.lock:
            return fabric.tunnels(self._store)

    def report_machine(self, machine: str, state: MachineState) -> None:
        """See ``Cloud.report_machine``."""
        key = _key(self._store.project, machine)
        with self._store.lock:
            if (early := lifecycle.early(self._store, key, state)) > 0:
                later(early, self.report_machine, machine, state)
                return
            changed = lifecycle.report(self._store, key, state)
        if changed:
            self._hooks.changed()

    def report_tunnels(self, tunnels: Mapping[str, TunnelStatus]) -> None:
        """See ``Cloud.report_tunnels``."""
        with self._store.lock:
            self._store.tunnels = dict(tunnels)

    def authorized_keys(self, machine: str) -> str:
        """See ``Cloud.authorized_keys``: root's lines among the ``ssh-keys`` of instance and project."""
        with self._store.lock:
            instance = self._store.documents.get(_key(self._store.project, machine), {})
            return fabric.authorized_keys(instance, self._store.metadata)


def _key(project: str, machine: str) -> Key:
    zone, _, name = machine.partition("/")
    return Key(project, f"zones/{zone}", "instances", name)


def _json(code: int, document: Mapping[str, Any]) -> Response:
    return Response(json.dumps(document, indent=2) + "\n", code, content_type="application/json; charset=UTF-8")


def _no_method() -> Response:
    """Google answers a path that is no method with a web page."""
    text = "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>The requested URL was not found on this server.\n"
    return Response(text, 404, content_type="text/html; charset=UTF-8")
