"""The emulated account as the world sees it: an API, a metadata service, and what both say about networks."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..calls import READS
from ..model import CloudName, Hooks, Machine, MachineState, Network, Tunnel, TunnelStatus
from ..web import later
from .errors import CONSOLE, RefusedError

if TYPE_CHECKING:
    from .mends import Region

log = logging.getLogger(__name__)


class Ec2:
    """AWS's EC2, IAM, STS and public SSM parameters for one account (a ``model.Cloud``).

    One a process: moto keeps IAM's state globally.

    Args:
        hooks: what is needed of the world.
        region: home region; others answer too.
        zones: zone names that the home region offers; empty for all it has.
        settle: seconds that NAT gateways and VPN connections stay ``pending`` or ``deleting``.
        durations: seconds until what an action begins is done, by its name (``ec2:CreateNatGateway``), instead.
        keep: seconds that terminated instances and deleted gateways stay listed (AWS: about an hour).
    """

    name: CloudName = "aws"

    def __init__(
        self,
        hooks: Hooks,
        region: str = "us-west-2",
        zones: Sequence[str] = (),
        *,
        settle: float = 0.3,
        durations: Mapping[str, float] = MappingProxyType({}),
        keep: float = 3600,
    ) -> None:
        self._hooks = hooks
        self._home = region
        self._zones = tuple(zones)
        self._settle = settle
        self._durations = durations
        self._keep = keep
        self._lock = threading.RLock()
        self._ready = False

    def ready(self) -> None:
        """Load moto (about a second) and open the account; called once at start, later calls do nothing."""
        with self._lock:
            if self._ready:
                return
            from . import auth
            from .account import Account

            self._account = Account(
                self._hooks,
                self._home,
                self._zones,
                settle=self._settle,
                durations=self._durations,
                keep=self._keep,
            )
            self._auth = auth
            self._credentials = auth.create_operator()
            self._ready = True

    def operator_credentials(self) -> str:
        """The content of a shared credentials file whose default profile has administrator rights. A secret."""
        self.ready()
        return self._credentials

    # ---- the APIs ----------------------------------------------------------------------------------------

    def api(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """EC2, IAM, STS and SSM; the service is the one that the request is signed for."""
        self.ready()
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        caller = self._auth.scope(environ.get("HTTP_AUTHORIZATION", ""))
        action = self._auth.action(environ, body)
        service = caller.service if caller else "ec2"
        try:
            if action == "GetConsoleOutput":
                # Asked before the lock is taken: the world may be waiting for it.
                environ[CONSOLE] = self._console(self._auth.parameter(environ, body, "InstanceId"))
            with self._lock:
                status, headers, content = self._serve(environ, body, caller, action)
        except RefusedError as refusal:
            status, headers, content = refusal.status, refusal.headers(service), refusal.body(service)
        if status >= 500:
            log.error("%s:%s answered %s: %s", service, action, status, content[:2000])
        if status < 400 and service == "ec2" and not action.startswith(READS):
            self._hooks.changed()
        own = ("status", "content-length")
        sent = [(name, str(value)) for name, value in headers.items() if name.lower() not in own]
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", [*sent, ("Content-Length", str(len(content)))])
        return [content]

    def _serve(
        self, environ: dict[str, Any], body: bytes, caller: Any, action: str
    ) -> tuple[int, Mapping[str, Any], bytes]:
        self._auth.authorize(environ, body, caller, action)
        try:
            return self._account.answer(environ, body, caller.service, caller.region, action)
        except RefusedError:
            raise
        except NotImplementedError as error:
            log.warning("%s:%s is not emulated: %s", caller.service, action, error)
            raise RefusedError("UnsupportedOperation", f"The lab does not emulate this request: {error}") from error
        except Exception as error:
            log.exception("%s:%s failed", caller.service, action)
            raise RefusedError("InternalError", f"An internal error has occurred: {error!r}", 500) from error

    def _console(self, machine: str) -> str:
        with self._lock:
            known = self._account.instance(machine) is not None
        return self._hooks.console(machine) if known else ""

    def metadata(self, machine: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The instance metadata service as one instance sees it."""
        from . import imds

        self.ready()
        with self._lock:
            instance = self._account.instance(machine)
            found = self._account.metadata(environ, instance) if instance else (404, "")
        if instance:
            imds.limit_hops(environ, instance)
        ttl = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", "")
        return imds.respond(found, start_response, ttl=ttl)

    # ---- what the world asks -----------------------------------------------------------------------------

    def networks(self, tunnels: Mapping[str, TunnelStatus]) -> tuple[Network, ...]:
        """Every VPC with its interfaces, routes through the VPN included as far as ``tunnels`` are up."""
        from . import fabric

        with self._lock:
            self.report_tunnels(tunnels)
            return tuple(network for region in self._regions() for network in fabric.networks(region))

    def machines(self) -> tuple[Machine, ...]:
        """Every instance that exists, stopped ones too; shutting-down and terminated ones do not any more."""
        from . import fabric

        with self._lock:
            return tuple(machine for region in self._regions() for machine in fabric.machines(region))

    def tunnels(self) -> tuple[Tunnel, ...]:
        """AWS's end of both tunnels of every VPN connection."""
        from . import fabric

        with self._lock:
            return tuple(tunnel for region in self._regions() for tunnel in fabric.tunnels(region))

    def fail_nat_gateway(self, gateway: str) -> None:
        """Let a NAT gateway turn out as one that could not be made, as happens at AWS; an unknown one is ignored."""
        with self._lock:
            for region in self._regions():
                if nat := region.nat_gateways.get(gateway):
                    reason = "Network interface attachment failed: an internal error has occurred"
                    nat.fail("InternalError", reason)  # type: ignore[attr-defined]  # all are LabNat
        self._hooks.changed()

    def report_machine(self, machine: str, state: MachineState) -> None:
        """Let an instance's state follow its machine's; an unknown machine is ignored."""
        with self._lock:
            instance = self._account.instance(machine) if self._ready else None
            if instance is not None and (early := instance.early(state)) > 0:
                later(early, self.report_machine, machine, state)
                return
            again = instance is not None and instance.ec2_backend.report(instance, state)
        if again:
            self._hooks.changed()

    def report_tunnels(self, tunnels: Mapping[str, TunnelStatus]) -> None:
        """Let the VPN connections' telemetry and propagated routes follow the tunnels, by ``Tunnel.id``."""
        from . import fabric

        with self._lock:
            for region in self._regions():
                for connection, end in fabric.ends(region):
                    status = tunnels.get(f"{connection.id}:{end.outside}")
                    region.report_tunnel(connection, end, status or TunnelStatus(False, ""))

    def authorized_keys(self, machine: str) -> str:
        """The public key of the instance's key pair, as it was at launch; empty without one."""
        with self._lock:
            instance = self._account.instance(machine) if self._ready else None
            key = instance.public_key.strip() if instance else ""
        return f"{key}\n" if key else ""

    def _regions(self) -> list[Region]:
        return self._account.opened() if self._ready else []
