"""AWS's end of the VPN: virtual private gateway, customer gateways, connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

from ... import events
from ...errors import CloudError
from ...resources import Found
from ...topology.network import TUNNELS
from ..base import Secret
from .account import Account
from .kind import Kind, in_state

_LARGEST_SHORT_ASN = 2_147_483_647


class VpnGateway(Kind):
    """A virtual private gateway, attached to its VPC."""

    name = "vpn_gateway"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_vpn_gateways", "VpnGateways", Filters=in_state("pending", "available"))
        for item, id, name, lost in self.claimed(every, "VpnGatewayId", vpcs):
            # One that is on its way in counts as attached: `wait` sees it arrive.
            links = _attached(item)
            spec = {"asn": item.get("AmazonSideAsn"), "vpc": links[0] if links else None}
            ready = "attaching" not in [a["State"] for a in item.get("VpcAttachments", [])]
            yield self.found(name, id, spec, ready=ready, **lost)

    def fits(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> bool:
        return super().fits(item, vpcs) and all(vpc in vpcs for vpc in _attached(item))

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By its VPC, which has one at most."""
        return f"{self.account.deployment}-vgw" if _attached(item) and self.fits(item, vpcs) else ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        tags = self.account.tagged("vpn-gateway", name)

        def ask() -> Found:
            answer = self.once.create_vpn_gateway(Type="ipsec.1", AmazonSideAsn=spec["asn"], TagSpecifications=tags)
            return self.found(name, answer["VpnGateway"]["VpnGatewayId"])

        return self.update(self.make(name, ask), spec, ("vpc",))

    def update(self, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        self._detach(found)
        self.account.create(self.ec2.attach_vpn_gateway, VpnGatewayId=found.id, VpcId=spec["vpc"])
        return self.wait(found)

    def wait(self, found: Found) -> Found:
        self._until(found, "attached")
        return self.found(found.attributes["name"], found.id, found.spec)

    def destroy(self, found: Found) -> None:
        self._detach(found)
        self.account.remove(self.ec2.delete_vpn_gateway, VpnGatewayId=found.id)

    def _detach(self, found: Found) -> None:
        if vpc := found.spec.get("vpc"):
            self.account.remove(self.ec2.detach_vpn_gateway, VpnGatewayId=found.id, VpcId=vpc)
            self._until(found, "detached")

    def _until(self, found: Found, state: str) -> None:
        def look() -> str:
            (item,) = self.account.create(self.ec2.describe_vpn_gateways, VpnGatewayIds=[found.id])["VpnGateways"]
            links = [a["State"] for a in item.get("VpcAttachments", [])]
            return next((s for s in links if s != "detached"), "detached")

        self.account.until(look, lambda seen: seen == state, f"{found.key} to be {state}")


class CustomerGateway(Kind):
    """What AWS is told about the other end: address and AS number."""

    name = "customer_gateway"

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_customer_gateways", "CustomerGateways", Filters=in_state("pending", "available"))
        for item, id, name, lost in self.claimed(every, "CustomerGatewayId", vpcs):
            asn = item.get("BgpAsn") or item.get("BgpAsnExtended") or 0
            spec = {"asn": int(asn), "address": item["IpAddress"]}
            yield self.found(name, id, spec, **lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the connection that leads to it, which is called the same."""
        states = self.account.ours(state=["pending", "available"])
        for connection in self.pages("describe_vpn_connections", "VpnConnections", Filters=states):
            if connection["CustomerGatewayId"] == item["CustomerGatewayId"]:
                return _by_tunnels(self.account.deployment, connection)
        return ""

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        number = "BgpAsn" if spec["asn"] <= _LARGEST_SHORT_ASN else "BgpAsnExtended"

        def ask() -> Found:
            answer = self.once.create_customer_gateway(
                Type="ipsec.1",
                IpAddress=spec["address"],
                TagSpecifications=self.account.tagged("customer-gateway", name),
                **{number: spec["asn"]},
            )
            return self.found(name, answer["CustomerGateway"]["CustomerGatewayId"])

        return self.make(name, ask)

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_customer_gateway, CustomerGatewayId=found.id)


class VpnConnection(Kind):
    """A site-to-site connection of two tunnels.

    Its attributes ``address_N`` and ``key_N`` are the outside address and the pre-shared key of tunnel N (1 and 2, in
    the order of the inside addresses), ``state_N``, ``detail_N`` and ``routes_N`` its telemetry. AWS gives the first
    two at once, so dependants need not wait for the connection.
    """

    name = "vpn_connection"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._told: set[str] = set()

    def find(self, vpcs: frozenset[str]) -> Iterable[Found]:
        every = self.pages("describe_vpn_connections", "VpnConnections", Filters=in_state("pending", "available"))
        for item, _, name, lost in self.claimed(every, "VpnConnectionId", vpcs):
            yield self._found(item, name, lost)

    def recognise(self, item: Mapping[str, Any], vpcs: frozenset[str]) -> str:
        """By the addresses inside its tunnels, on a gateway that is attached to our VPC."""
        if not (on := item.get("VpnGatewayId")):
            return ""  # one of a transit gateway, or of none yet
        gateways = self.pages("describe_vpn_gateways", "VpnGateways", VpnGatewayIds=[on])
        if not any(vpc in vpcs for gateway in gateways for vpc in _attached(gateway)):
            return ""
        return _by_tunnels(self.account.deployment, item)

    def create(self, name: str, spec: Mapping[str, Any]) -> Found:
        tunnels = [
            {
                "TunnelInsideCidr": tunnel["inside_cidr"],
                "IKEVersions": [{"Value": tunnel["ike"]}],
                **{f"Phase{n}EncryptionAlgorithms": [{"Value": tunnel["encryption"]}] for n in (1, 2)},
                **{f"Phase{n}IntegrityAlgorithms": [{"Value": tunnel["integrity"]}] for n in (1, 2)},
                **{f"Phase{n}DHGroupNumbers": [{"Value": tunnel["dh_group"]}] for n in (1, 2)},
            }
            for tunnel in spec["tunnels"]
        ]

        def ask() -> Found:
            answer = self.once.create_vpn_connection(
                Type="ipsec.1",
                CustomerGatewayId=spec["customer_gateway"],
                VpnGatewayId=spec["vpn_gateway"],
                Options={"StaticRoutesOnly": False, "TunnelOptions": tunnels},
                TagSpecifications=self.account.tagged("vpn-connection", name),
            )
            return self._found(answer["VpnConnection"], name)

        return self.make(name, ask)

    def wait(self, found: Found) -> Found:
        def look() -> dict[str, Any]:
            answer = self.account.create(self.ec2.describe_vpn_connections, VpnConnectionIds=[found.id])
            return dict(answer["VpnConnections"][0])

        seen = self.account.until(
            look,
            lambda item: item["State"] != "pending",
            f"{found.key} to be available",
            describe=lambda item: item["State"],
        )
        if seen["State"] != "available":
            raise CloudError(
                "the VPN connection could not be made",
                resource=found.key,
                expected="available",
                seen=seen["State"],
                remedy="run the step again: it makes another",
            )
        return self._found(seen, found.attributes["name"])

    def destroy(self, found: Found) -> None:
        self.account.remove(self.ec2.delete_vpn_connection, VpnConnectionId=found.id)

        def look() -> str:
            named = [{"Name": "vpn-connection-id", "Values": [found.id]}]
            items = self.pages("describe_vpn_connections", "VpnConnections", Filters=named)
            return next((str(item["State"]) for item in items), "deleted")

        self.account.until(look, lambda state: state == "deleted", f"{found.key} to be deleted")

    def _found(self, item: Mapping[str, Any], name: str, lost: Mapping[str, Any] = MappingProxyType({})) -> Found:
        connection = item["VpnConnectionId"]
        tunnels = tunnels_of(item.get("CustomerGatewayConfiguration", ""))
        spec: dict[str, Any] = {
            "vpn_gateway": item["VpnGatewayId"],
            "customer_gateway": item["CustomerGatewayId"],
            "tunnels": [{"inside_cidr": inside} for inside, _, _ in tunnels],
        }
        attributes: dict[str, Any] = {"ready": item["State"] == "available", **lost}
        telemetry = {entry["OutsideIpAddress"]: entry for entry in item.get("VgwTelemetry", [])}
        for number, (_, address, key) in enumerate(tunnels, start=1):
            attributes |= {f"address_{number}": address, f"key_{number}": key}
            self._tell(f"vpn-key.{connection}.{number}", str.__str__(key))
            seen = telemetry.get(address, {})
            attributes |= {
                f"state_{number}": seen.get("Status", "DOWN"),
                f"detail_{number}": seen.get("StatusMessage", ""),
            }
            attributes |= {f"routes_{number}": seen.get("AcceptedRouteCount", 0)}
        return self.found(name, connection, spec, **attributes)

    def _tell(self, name: str, key: str) -> None:
        """Tell the recorder of a key, once, as connections are looked at again and again."""
        if key not in self._told:
            self._told.add(key)
            events.emit(events.SECRET, must_arrive=True, name=name, value=key)


def _by_tunnels(deployment: str, connection: Mapping[str, Any]) -> str:
    """What a connection is called, by the addresses inside its tunnels; empty if they are not ours. Pure."""
    insides = [inside for inside, _, _ in tunnels_of(connection.get("CustomerGatewayConfiguration", ""))]
    letters = (letter for number, letter in enumerate("ab") if insides == list(TUNNELS[2 * number : 2 * number + 2]))
    return next((f"{deployment}-gcp-{letter}" for letter in letters), "")


def _attached(gateway: Mapping[str, Any]) -> list[str]:
    """VPCs that a virtual private gateway is attached to, or on its way to."""
    return [a["VpcId"] for a in gateway.get("VpcAttachments", []) if a["State"].startswith("attach")]


def tunnels_of(configuration: str) -> list[tuple[str, str, Secret]]:
    """(inside range, AWS's outside address, pre-shared key) of each tunnel, from the configuration that AWS hands out.

    Args:
        configuration: ``CustomerGatewayConfiguration``, an XML document.
    """
    if not configuration:
        return []
    tunnels = []
    # The document comes from AWS itself over an authenticated channel.
    for tunnel in ElementTree.fromstring(configuration).iter("ipsec_tunnel"):
        inside = "vpn_gateway/tunnel_inside_address/"
        address, mask = (tunnel.findtext(inside + word, "") for word in ("ip_address", "network_mask"))
        network = IPv4Interface(f"{address}/{mask or '255.255.255.252'}").network
        outside = tunnel.findtext("vpn_gateway/tunnel_outside_address/ip_address", "")
        tunnels.append((str(network), outside, Secret(tunnel.findtext("ike/pre_shared_key", ""))))
    return sorted(tunnels, key=lambda entry: IPv4Address(entry[0].split("/")[0]))
