"""HA VPN: gateways, the other side's gateways, tunnels and Cloud Routers: what each must be, and how it stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from ..model import Ciphers, Trouble, TunnelStatus
from .collection import Collection
from .errors import bad_request, invalid, required
from .names import Key, check_name
from .store import Doc, Store

_REDUNDANCY = {"SINGLE_IP_INTERNALLY_REDUNDANT": 1, "TWO_IPS_REDUNDANCY": 2, "FOUR_IPS_REDUNDANCY": 4}
_LINK_LOCAL = IPv4Network("169.254.0.0/16")
_METADATA_RANGE = IPv4Network("169.254.169.252/30")
# What Cloud VPN proposes, in its order (Cloud VPN documentation, "Supported IKE ciphers"), by IKE version and phase.
_IKEV2 = Ciphers(
    ("aes256gcm16", "aes192gcm16", "aes128gcm16", "aes256", "aes192", "aes128"),
    ("sha256", "sha384", "sha512", "sha1"),
    (31, 19, 20, 21, 15, 16, 17, 18, 14, 23, 24, 5, 2),
)
_IKEV1 = Ciphers(("aes128",), ("sha1",), (2,))
CIPHERS = {1: _IKEV1, 2: _IKEV2}
# ``status`` by what keeps a tunnel down, and what the detail says where nothing more is known.
_STATUS: dict[Trouble, tuple[str, str]] = {
    "": ("FIRST_HANDSHAKE", "Handshake with peer has not happened yet."),
    "no answer": ("NO_INCOMING_PACKETS", "No incoming packets from peer."),
    "no proposal": ("NEGOTIATION_FAILURE", "Handshake failed."),
    "wrong key": ("AUTHORIZATION_ERROR", "Authentication with peer failed."),
}
_NOT_READY = "WAITING_FOR_FULL_CONFIG"


# ---- gateways ------------------------------------------------------------------------------------------------


def prepare_gateway(store: Store, key: Key, document: Doc) -> None:
    store.reference(document, "network", "networks", "global")
    stack = document.setdefault("stackType", "IPV4_ONLY")
    if stack != "IPV4_ONLY":
        raise invalid("resource.stackType", stack, "Only IPV4_ONLY is supported here.")
    document.setdefault("gatewayIpVersion", "IPV4")
    document["vpnInterfaces"] = [{"id": number, "ipAddress": store.public_address()} for number in (0, 1)]


def prepare_external_gateway(store: Store, key: Key, document: Doc) -> None:
    redundancy = document.get("redundancyType")
    if redundancy not in _REDUNDANCY:
        raise invalid("resource.redundancyType", redundancy, f"Must be one of: [{', '.join(sorted(_REDUNDANCY))}]")
    interfaces = document.get("interfaces", [])
    if sorted(interface.get("id", 0) for interface in interfaces) != list(range(_REDUNDANCY[redundancy])):
        raise invalid(
            "resource.interfaces",
            f"{len(interfaces)} interfaces",
            f"{redundancy} needs {_REDUNDANCY[redundancy]} interfaces, numbered from 0.",
        )
    for index, interface in enumerate(interfaces):
        _address(interface.get("ipAddress", ""), f"resource.interfaces[{index}].ipAddress")


# ---- tunnels -------------------------------------------------------------------------------------------------


def prepare_tunnel(store: Store, key: Key, document: Doc) -> None:
    if document.get("targetVpnGateway"):
        raise bad_request("Classic VPN with dynamic routing is not offered any more; use an HA VPN gateway.")
    gateway = store.reference(document, "vpnGateway", "vpnGateways", key.scope)
    router = store.reference(document, "router", "routers", key.scope)
    if store.get(gateway)["network"] != store.get(router)["network"]:
        raise invalid("resource.router", document["router"], "The router is in another network than the VPN gateway.")
    if document.get("vpnGatewayInterface", 0) not in (0, 1):
        raise invalid("resource.vpnGatewayInterface", document["vpnGatewayInterface"], "Must be 0 or 1.")
    document.setdefault("vpnGatewayInterface", 0)
    external = store.get(store.reference(document, "peerExternalGateway", "externalVpnGateways", "global"))
    number = document.setdefault("peerExternalGatewayInterface", 0)
    addresses = {interface.get("id", 0): interface["ipAddress"] for interface in external["interfaces"]}
    if number not in addresses:
        raise invalid("resource.peerExternalGatewayInterface", number, "The peer gateway has no such interface.")
    document["peerIp"] = addresses[number]
    ends = ("vpnGateway", "vpnGatewayInterface", "peerIp")
    for other, tunnel in store.every("vpnTunnels"):
        if other != key and all(tunnel[end] == document[end] for end in ends):
            raise invalid(
                "resource.peerExternalGatewayInterface",
                number,
                f"A tunnel between the same interfaces exists already: '{other.path}'.",
            )
    _check_secret(document)
    if document.get("cipherSuite"):
        raise invalid("resource.cipherSuite", "given", "Not emulated here: leave it out, for Cloud VPN's own ciphers.")
    version = document.setdefault("ikeVersion", 2)
    if version not in (1, 2):
        raise invalid("resource.ikeVersion", version, "Must be 1 or 2.")
    for side in ("localTrafficSelector", "remoteTrafficSelector"):
        if document.setdefault(side, ["0.0.0.0/0"]) != ["0.0.0.0/0"]:
            raise invalid(f"resource.{side}", document[side], "A tunnel with dynamic routing has no traffic selectors.")


def _check_secret(document: Doc) -> None:
    """The key's rule is AWS's, the stricter of the two ends."""
    secret = document.get("sharedSecret")
    if not secret:
        raise required("resource.sharedSecret")
    if not re.fullmatch(r"(?!0)[A-Za-z0-9._]{8,64}", secret):
        raise invalid("resource.sharedSecret", "*" * 13, "Must be 8 to 64 of A-Z a-z 0-9 . _ and not start with 0.")
    document["sharedSecretHash"] = hashlib.sha256(secret.encode()).hexdigest()[:40]


def present_tunnel(store: Store, key: Key, document: Doc) -> Doc:
    """The tunnel with its state, and without its key."""
    status, detail = tunnel_state(bool(session_of(store, document)), store.tunnels.get(f"{key.place}/{key.name}"))
    return document | {"sharedSecret": "*" * 13, "status": status, "detailedStatus": detail}


def tunnel_state(configured: bool, report: TunnelStatus | None) -> tuple[str, str]:
    """``status`` and ``detailedStatus`` of a tunnel."""
    if not configured:
        return _NOT_READY, "Waiting for the router's interface and BGP peer."
    if report is not None and report.ipsec:
        # Whatever BGP does: that is told by the router.
        return "ESTABLISHED", f"Tunnel is up and running: {report.detail}"
    status, detail = _STATUS[report.trouble if report else ""]
    return status, (report.detail if report else "") or detail


def session_of(store: Store, tunnel: Doc) -> tuple[Doc, Doc, Doc] | None:
    """The router, its interface and its BGP peer that belong to a tunnel, once all are there."""
    router = store.find(tunnel["router"])
    return next(((router, i, p) for i, p in sessions(router) if i.get("linkedVpnTunnel") == tunnel["selfLink"]), None)


def sessions(router: Doc) -> Iterator[tuple[Doc, Doc]]:
    """Every BGP session of a router that is configured completely: its interface and its peer."""
    for interface in router.get("interfaces", ()):
        for peer in router.get("bgpPeers", ()):
            if peer.get("interfaceName") == interface["name"] and interface.get("ipRange"):
                yield interface, peer


# ---- routers -------------------------------------------------------------------------------------------------


def prepare_router(store: Store, key: Key, document: Doc) -> None:
    store.reference(document, "network", "networks", "global")
    bgp = document.get("bgp", {})
    if bgp:
        asn = bgp.get("asn", 0)
        if asn != 16550 and not (64512 <= asn <= 65534 or 4_200_000_000 <= asn <= 4_294_967_294):
            raise invalid("resource.bgp.asn", asn, "Must be a private AS number (RFC 6996), or 16550.")
        bgp.setdefault("advertiseMode", "DEFAULT")
        bgp.setdefault("keepaliveInterval", 20)
    ranges: dict[str, IPv4Network] = {}
    tunnels: set[str] = set()
    for index, interface in enumerate(document.get("interfaces", ())):
        path = f"resource.interfaces[{index}]"
        name = check_name(interface, f"{path}.name")
        if name in ranges:
            raise invalid(f"{path}.name", name, "The name is used more than once.")
        ranges[name] = _inside_range(interface, path, list(ranges.values()))
        if interface.get("linkedVpnTunnel"):
            # A tunnel may have been deleted under an interface that is being kept.
            old = [i.get("linkedVpnTunnel") for i in store.documents.get(key, {}).get("interfaces", ())]
            if interface["linkedVpnTunnel"] not in old:
                store.reference(interface, "linkedVpnTunnel", "vpnTunnels", key.scope, path=f"{path}.linkedVpnTunnel")
            if interface["linkedVpnTunnel"] in tunnels:
                raise invalid(
                    f"{path}.linkedVpnTunnel",
                    interface["linkedVpnTunnel"],
                    "Cannot link multiple interfaces with the same IP version to the same VPN tunnel.",
                )
            tunnels.add(interface["linkedVpnTunnel"])
        interface.setdefault("managementType", "MANAGED_BY_USER")
    seen: set[str] = set()
    for index, peer in enumerate(document.get("bgpPeers", ())):
        path = f"resource.bgpPeers[{index}]"
        name = check_name(peer, f"{path}.name")
        if name in seen:
            raise invalid(f"{path}.name", name, "The name is used more than once.")
        seen.add(name)
        _check_peer(document, peer, path, ranges)


def _inside_range(interface: Doc, path: str, others: list[IPv4Network]) -> IPv4Network:
    text = interface.get("ipRange", "")
    try:
        address = IPv4Address(text.partition("/")[0])
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise invalid(f"{path}.ipRange", text, "Must be an address and a prefix length.") from None
    if not network.subnet_of(_LINK_LOCAL) or network.overlaps(_METADATA_RANGE):
        raise invalid(f"{path}.ipRange", text, "Must be in 169.254.0.0/16 and not the metadata server's.")
    if network.prefixlen != 30 or address in (network[0], network[3]):
        raise invalid(f"{path}.ipRange", text, "Must be a host address of a /30.")
    if any(network.overlaps(other) for other in others):
        raise invalid(f"{path}.ipRange", text, "Overlaps with another interface's range.")
    return network


def _check_peer(router: Doc, peer: Doc, path: str, ranges: dict[str, IPv4Network]) -> None:
    name = peer.get("interfaceName", "")
    if name not in ranges:
        raise invalid(f"{path}.interfaceName", name, "The router has no such interface.")
    interface = next(i for i in router["interfaces"] if i["name"] == name)
    if not router.get("bgp", {}).get("asn"):
        raise required("resource.bgp.asn")
    if not peer.get("peerAsn"):
        raise required(f"{path}.peerAsn")
    if peer["peerAsn"] == router["bgp"]["asn"]:
        raise invalid(f"{path}.peerAsn", peer["peerAsn"], "Must differ from the router's own AS number.")
    own = interface["ipRange"].partition("/")[0]
    if peer.setdefault("ipAddress", own) != own:
        raise invalid(f"{path}.ipAddress", peer["ipAddress"], f"Must be the interface's address {own}.")
    other = _address(peer.get("peerIpAddress", ""), f"{path}.peerIpAddress")
    if other not in ranges[name] or str(other) == own:
        raise invalid(f"{path}.peerIpAddress", other, f"Must be the other host address of {ranges[name]}.")
    peer.setdefault("advertisedRoutePriority", 100)
    peer.setdefault("advertiseMode", "DEFAULT")
    peer.setdefault("enable", "TRUE")
    peer.setdefault("managementType", "MANAGED_BY_USER")


def _address(text: str, path: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise invalid(path, text, "Must be an IPv4 address.") from None


COLLECTIONS = (
    Collection("vpnGateways", "VpnGateway", "regions", prepare=prepare_gateway),
    Collection("externalVpnGateways", "ExternalVpnGateway", "global", prepare=prepare_external_gateway),
    Collection("vpnTunnels", "VpnTunnel", "regions", prepare=prepare_tunnel, present=present_tunnel),
    Collection(
        "routers",
        "Router",
        "regions",
        prepare=prepare_router,
        mutable=frozenset({"bgp", "bgpPeers", "description", "interfaces"}),
        replaceable=True,
    ),
)
