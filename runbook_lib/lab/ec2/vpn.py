"""Site-to-site VPN: gateways, connections with two tunnels each, static routes, propagation."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.customer_gateways import CustomerGateway
from moto.ec2.models.vpn_connections import VPNConnection
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment, VpnGateway
from moto.ec2.utils import random_vpn_connection_id

from ..model import TunnelStatus
from .base import Ageing, Lab, refuse
from .routes import RouteBackend
from .tunnels import TunnelEnd, complete, configuration, refusals

AMAZON_ASN = 64512  # AWS's default for a virtual private gateway (VPC User Guide, CreateVpnGateway)


class LabConnection(Ageing, VPNConnection):  # type: ignore[override]  # state follows the clock
    """A VPN connection with two tunnels of its own; moto's share one constant address and key."""

    creates, deletes = "ec2:CreateVpnConnection", "ec2:DeleteVpnConnection"

    def __init__(
        self,
        backend: Any,
        customer: CustomerGateway,
        gateway: VpnGateway,
        options: Mapping[str, Any],
        tags: dict[str, str],
    ) -> None:
        self.ec2_backend = backend
        self.id = random_vpn_connection_id()
        self.type = "ipsec.1"
        self.category = "VPN"
        self.customer = customer
        self.gateway = gateway
        self.customer_gateway_id = customer.id
        self.vpn_gateway_id = gateway.id
        self.transit_gateway_id = None
        self.static = str(options.get("StaticRoutesOnly", False)).lower() == "true"
        self.given = options
        self.static_networks: list[str] = []
        self.tunnels: list[TunnelEnd] = []  # type: ignore[assignment]  # moto has none
        self.add_tags(tags)
        self.begin(backend.lab)

    @property
    def options(self) -> dict[str, Any]:  # type: ignore[override]  # moto has none
        return {
            "EnableAcceleration": False,
            "StaticRoutesOnly": self.static,
            "LocalIpv4NetworkCidr": self.given.get("LocalIpv4NetworkCidr", "0.0.0.0/0"),
            "RemoteIpv4NetworkCidr": self.given.get("RemoteIpv4NetworkCidr", "0.0.0.0/0"),
            "TunnelInsideIpVersion": "ipv4",
            "TunnelOptions": [tunnel.shown() for tunnel in self.tunnels],
        }

    @property
    def routes(self) -> list[dict[str, str]]:
        return [
            {"DestinationCidrBlock": network, "Source": "Static", "State": "available"}
            for network in self.static_networks
        ]

    @property
    def vgw_telemetry(self) -> list[dict[str, Any]]:
        return [tunnel.telemetry() for tunnel in self.tunnels]

    @property
    def customer_gateway_configuration(self) -> str:
        return configuration(
            self.id,
            (self.customer.id, self.customer.ip_address, int(self.customer.bgp_asn)),
            (self.gateway.id, int(self.gateway.amazon_side_asn or AMAZON_ASN)),
            self.tunnels,
            static=self.static,
        )

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name == "vpn-connection-id":
            return self.id
        if filter_name == "bgp-asn":
            return str(self.customer.bgp_asn)
        if filter_name == "option.static-routes-only":
            return self.static
        return super().get_filter_value(filter_name, method_name)

    @property
    def announced(self) -> list[str]:
        """Networks behind the customer gateway, as far as a tunnel is up."""
        up = [tunnel for tunnel in self.tunnels if tunnel.up]
        if self.died is not None or not up:
            return []
        if self.static:
            return list(self.static_networks)
        return sorted({network for tunnel in up for network in tunnel.learned})


class LabAttachment(VPCGatewayAttachment):
    """A virtual private gateway's attachment, which takes as long as the lab was told; moto's takes no time."""

    def __init__(self, lab: Lab, vpc_id: str) -> None:
        self._lab = lab
        self._died: float | None = None
        self._born = time.monotonic()
        super().__init__(vpc_id)
        lab.later(lab.durations.get("ec2:AttachVpnGateway", 0))

    @property
    def state(self) -> str:
        now = time.monotonic()
        if self._died is not None:
            return "detaching" if now - self._died < self._lab.durations.get("ec2:DetachVpnGateway", 0) else "detached"
        return "attaching" if now - self._born < self._lab.durations.get("ec2:AttachVpnGateway", 0) else "attached"

    @state.setter
    def state(self, state: str | None) -> None:
        if state == "detached" and self._died is None:
            self._died = time.monotonic()


class VpnBackend(RouteBackend):
    """Virtual private gateways, customer gateways, VPN connections."""

    # ---- gateways ----------------------------------------------------------------------------------------

    def create_customer_gateway(
        self, gateway_type: str, ip_address: str, bgp_asn: str, tags: dict[str, str] | None = None
    ) -> CustomerGateway:
        """Idempotent by type, address and AS number, as EC2's reference says; moto makes another."""
        try:
            ipaddress.IPv4Address(ip_address)
        except ValueError:
            refuse("InvalidParameterValue", f"Value ({ip_address}) for parameter ipAddress is invalid.")
        if gateway_type != "ipsec.1":
            refuse("InvalidParameterValue", f"Value ({gateway_type}) for parameter type is invalid.")
        for gateway in self.customer_gateways.values():
            same = (gateway.ip_address, gateway.bgp_asn) == (ip_address, str(bgp_asn or 65000))
            if same and gateway.state == "available":
                return gateway
        return super().create_customer_gateway(gateway_type, ip_address, str(bgp_asn or 65000), tags)

    def delete_customer_gateway(self, customer_gateway_id: str) -> None:
        self.get_customer_gateway(customer_gateway_id)
        if any(c.customer_gateway_id == customer_gateway_id for c in self._living()):
            refuse("IncorrectState", "The customer gateway is in use.")
        super().delete_customer_gateway(customer_gateway_id)

    def create_vpn_gateway(
        self,
        gateway_type: str = "ipsec.1",
        amazon_side_asn: str | None = None,
        availability_zone: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> VpnGateway:
        asn = int(amazon_side_asn or AMAZON_ASN)
        if not (64512 <= asn <= 65534 or 4_200_000_000 <= asn <= 4_294_967_294 or asn in (7224, 9059, 10124, 17493)):
            refuse("InvalidParameterValue", f"Value ({asn}) for parameter amazonSideAsn is invalid.")
        return super().create_vpn_gateway(gateway_type, asn, availability_zone, tags)  # type: ignore[arg-type]  # a long

    def describe_vpn_gateways(self, filters: Any = None, vpn_gw_ids: list[str] | None = None) -> list[VpnGateway]:
        """moto ignores unknown ids."""
        for wanted in vpn_gw_ids or []:
            self.get_vpn_gateway(wanted)
        return super().describe_vpn_gateways(filters, vpn_gw_ids)

    def attach_vpn_gateway(self, vpn_gateway_id: str, vpc_id: str) -> VPCGatewayAttachment:
        """One VPC a gateway, one gateway a VPC; moto moves the gateway."""
        gateway = self.get_vpn_gateway(vpn_gateway_id)
        if gateway.state == "deleted":
            refuse("InvalidVpnGatewayID.NotFound", f"The vpnGateway ID '{vpn_gateway_id}' does not exist")
        self.get_vpc(vpc_id)
        attached = _holding(gateway)
        if attached == [vpc_id]:
            return gateway.attachments[vpc_id]
        others = [g for g in self.vpn_gateways.values() if g is not gateway and vpc_id in _holding(g)]
        if attached or others:
            refuse("VpnGatewayAttachmentLimitExceeded", "The virtual private gateway or VPC has an attachment already")
        super().attach_vpn_gateway(vpn_gateway_id, vpc_id)
        gateway.attachments[vpc_id] = LabAttachment(self.lab, vpc_id)  # type: ignore[abstract]  # moto's leftovers of CloudFormation
        return gateway.attachments[vpc_id]

    def detach_vpn_gateway(self, vpn_gateway_id: str, vpc_id: str) -> VPCGatewayAttachment:
        attachment = super().detach_vpn_gateway(vpn_gateway_id, vpc_id)
        for table in self.route_tables.values():
            if table.vpc_id == vpc_id:
                self.disable_propagation(table.id, vpn_gateway_id)
        return attachment

    def delete_vpn_gateway(self, vpn_gateway_id: str) -> VpnGateway:
        """Not while attached or with connections; moto does not look."""
        gateway = self.get_vpn_gateway(vpn_gateway_id)
        if _holding(gateway) or any(c.vpn_gateway_id == vpn_gateway_id for c in self._living()):
            refuse("IncorrectState", f"The vpnGateway '{vpn_gateway_id}' is in use.")
        return super().delete_vpn_gateway(vpn_gateway_id)

    # ---- connections -------------------------------------------------------------------------------------

    def connect(
        self, kind: str, customer_id: str, gateway_id: str | None, options: dict[str, Any], tags: dict[str, str]
    ) -> LabConnection:
        """CreateVpnConnection with its Options; moto ignores them."""
        if kind != "ipsec.1":
            refuse("InvalidParameterValue", f"Value ({kind}) for parameter type is invalid.")
        if not gateway_id:
            refuse("MissingParameter", "The request must contain the parameter vpnGatewayId (the lab has no others)")
        customer = self.get_customer_gateway(customer_id)
        gateway = self.get_vpn_gateway(gateway_id)
        if customer.state != "available" or gateway.state != "available":
            refuse("IncorrectState", f"{customer_id} or {gateway_id} is not available.")
        for connection in self._living():
            if (connection.customer_gateway_id, connection.vpn_gateway_id) == (customer_id, gateway_id):
                return connection
        asked = [*options.get("TunnelOptions", []), {}, {}]
        if len(asked) > 4:
            refuse("InvalidParameterValue", "A VPN connection has two tunnels.")
        taken = [t.inside for c in self._living() if c.vpn_gateway_id == gateway_id for t in c.tunnels]
        if reasons := refusals(asked[:2], taken):
            refuse("InvalidParameterValue", reasons[0])
        connection = LabConnection(self, customer, gateway, options, tags)
        self.vpn_connections[connection.id] = connection
        taken += [option["TunnelInsideCidr"] for option in asked[:2] if option.get("TunnelInsideCidr")]
        for option in asked[:2]:
            connection.tunnels.append(complete(option, self.lab.public_address(), taken))
            connection.tunnels[-1].since = utcnow()
            taken.append(connection.tunnels[-1].inside)
        return connection

    def delete_vpn_connection(self, vpn_connection_id: str) -> VPNConnection:
        connection = self.connection(vpn_connection_id)
        connection.end()
        return connection

    def change_static_route(self, connection_id: str, network: str, *, wanted: bool) -> None:
        """moto has neither CreateVpnConnectionRoute nor its opposite."""
        connection = self.connection(connection_id)
        if not connection.static:
            refuse("InvalidParameterValue", f"The VPN connection {connection_id} does not support static routes.")
        try:
            network = str(ipaddress.IPv4Network(network))
        except ValueError:
            refuse("InvalidParameterValue", f"Value ({network}) for parameter destinationCidrBlock is invalid.")
        if wanted and network not in connection.static_networks:
            connection.static_networks.append(network)
        if not wanted:
            if network not in connection.static_networks:
                refuse("InvalidRoute.NotFound", f"The route '{network}' does not exist")
            connection.static_networks.remove(network)

    def connection(self, connection_id: str) -> LabConnection:
        return self.describe_vpn_connections([connection_id])[0]  # type: ignore[return-value]  # all are LabConnection

    def _living(self) -> list[LabConnection]:
        return [c for c in self.vpn_connections.values() if c.state not in ("deleting", "deleted")]  # type: ignore[misc]

    # ---- what the world says -----------------------------------------------------------------------------

    def propagated(self, gateway_id: str, vpc_id: str) -> list[str]:
        """Networks that a virtual private gateway announces into the route tables of a VPC."""
        if vpc_id not in self.attached_to(self.get_vpn_gateway(gateway_id)):
            return []
        own = ipaddress.ip_network(self.get_vpc(vpc_id).cidr_block)
        networks = {n for c in self._living() if c.vpn_gateway_id == gateway_id for n in c.announced}
        return sorted(n for n in networks if ipaddress.ip_network(n) != own)

    def report_tunnel(self, connection: LabConnection, tunnel: TunnelEnd, status: TunnelStatus) -> None:
        if tunnel.up != status.up:
            tunnel.since = utcnow()
        tunnel.up, tunnel.ipsec = status.up, status.ipsec
        tunnel.detail, tunnel.learned = status.detail, tuple(status.learned)

    def sweep(self) -> None:
        super().sweep()
        for connection in list(self.vpn_connections.values()):
            if connection.forgotten:  # type: ignore[attr-defined]  # all are LabConnection
                del self.vpn_connections[connection.id]


def _holding(gateway: VpnGateway) -> list[str]:
    """The VPC that a gateway is attached to, or on its way in or out of."""
    return [vpc for vpc, attachment in gateway.attachments.items() if attachment.state != "detached"]
