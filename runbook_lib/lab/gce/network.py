"""Networks, subnetworks, firewall rules, routes and reserved addresses: what each must be."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from .collection import Collection
from .errors import bad_request, in_use, invalid, required
from .names import NAME, ROOT, Key
from .store import Doc, Store, check_range, fingerprint

_ANYWHERE = "0.0.0.0/0"
_PROTOCOLS = {"tcp", "udp", "icmp", "esp", "ah", "sctp", "ipip", "all"}


# ---- networks ------------------------------------------------------------------------------------------------


def prepare_network(store: Store, key: Key, document: Doc) -> None:
    """Custom-mode networks only: subnetworks are created by hand."""
    if "autoCreateSubnetworks" not in document:
        raise required("resource.autoCreateSubnetworks")
    if document["autoCreateSubnetworks"]:
        raise invalid("resource.autoCreateSubnetworks", "true", "Only custom-mode networks are supported here.")
    document.setdefault("routingConfig", {}).setdefault("routingMode", "REGIONAL")
    mode = document["routingConfig"]["routingMode"]
    if mode not in ("REGIONAL", "GLOBAL"):
        raise invalid("resource.routingConfig.routingMode", mode, "Must be one of: [GLOBAL, REGIONAL]")
    document.setdefault("mtu", 1460)
    document.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")


def network_added(store: Store, key: Key, document: Doc) -> None:
    """Every network starts with a way to the internet."""
    _add_route(
        store,
        key,
        {
            "description": "Default route to the Internet.",
            "destRange": _ANYWHERE,
            "priority": 1000,
            "nextHopGateway": f"{ROOT}projects/{key.project}/global/gateways/default-internet-gateway",
        },
    )


def release_network(store: Store, key: Key, document: Doc) -> None:
    """Refuse while something is in the network; its automatic routes go with it."""
    automatic = [
        route_key
        for route_key, route in store.every("routes")
        if route["network"] == key.link and route_key.name.startswith("default-route-")
    ]
    kept = {route_key: store.documents.pop(route_key) for route_key in automatic}
    try:
        store.refuse_if_used(key)
    except BaseException:
        store.documents |= kept
        raise


def present_network(store: Store, key: Key, document: Doc) -> Doc:
    subnetworks = [subnet["selfLink"] for _, subnet in store.every("subnetworks") if subnet["network"] == key.link]
    return document | ({"subnetworks": subnetworks} if subnetworks else {})


def _add_route(store: Store, network: Key, document: Doc) -> None:
    digest = fingerprint([network.link, document]).encode().hex()[:16]
    route = Key(network.project, "global", "routes", f"default-route-{digest}")
    store.add(route, {**document, "network": network.link, "routeType": "STATIC"}, "compute#route")


# ---- subnetworks ---------------------------------------------------------------------------------------------


def prepare_subnetwork(store: Store, key: Key, document: Doc) -> None:
    network = store.reference(document, "network", "networks", "global")
    if not document.get("ipCidrRange"):
        raise required("resource.ipCidrRange")
    cidr = check_range(document["ipCidrRange"], "resource.ipCidrRange")
    if cidr.prefixlen > 29 or cidr.prefixlen < 8:
        raise invalid("resource.ipCidrRange", cidr, "The prefix length must be between 8 and 29.")
    for other, subnet in store.every("subnetworks"):
        if other != key and subnet["network"] == network.link and cidr.overlaps(IPv4Network(subnet["ipCidrRange"])):
            raise bad_request(
                f"Invalid IPCidrRange: {cidr} conflicts with existing subnetwork '{other.name}' "
                f"in region '{other.place}'."
            )
    document["gatewayAddress"] = str(cidr[1])
    document.setdefault("privateIpGoogleAccess", False)
    document.setdefault("purpose", "PRIVATE")
    document.setdefault("stackType", "IPV4_ONLY")
    document.pop("fingerprint", None)
    document["fingerprint"] = fingerprint(document)


def subnetwork_added(store: Store, key: Key, document: Doc) -> None:
    _add_route(
        store,
        Key(key.project, "global", "networks", document["network"].rpartition("/")[2]),
        {
            "description": f"Default local route to the subnetwork {document['ipCidrRange']}.",
            "destRange": document["ipCidrRange"],
            "priority": 0,
            "nextHopNetwork": document["network"],
        },
    )


def release_subnetwork(store: Store, key: Key, document: Doc) -> None:
    store.refuse_if_used(key)
    for route_key, route in list(store.every("routes")):
        local = route.get("nextHopNetwork") == document["network"]
        if local and route["destRange"] == document["ipCidrRange"]:
            del store.documents[route_key]


# ---- firewall rules ------------------------------------------------------------------------------------------


def prepare_firewall(store: Store, key: Key, document: Doc) -> None:
    store.reference(document, "network", "networks", "global")
    direction = document.setdefault("direction", "INGRESS")
    if direction not in ("INGRESS", "EGRESS"):
        raise invalid("resource.direction", direction, "Must be one of: [EGRESS, INGRESS]")
    priority = document.setdefault("priority", 1000)
    if not 0 <= priority <= 65535:
        raise invalid("resource.priority", priority, "Must be greater than or equal to 0 and at most 65535")
    if bool(document.get("allowed")) == bool(document.get("denied")):
        raise bad_request("Firewall rule must specify exactly one of 'allowed' or 'denied'.")
    for word in ("allowed", "denied"):
        for index, rule in enumerate(document.get(word, ())):
            _check_protocol(rule, f"resource.{word}[{index}]")
    if direction == "EGRESS":
        for field in ("sourceRanges", "sourceTags", "sourceServiceAccounts"):
            if document.get(field):
                raise invalid(f"resource.{field}", document[field], "An EGRESS rule has no source filter.")
        if not document.get("destinationRanges"):
            document["destinationRanges"] = [_ANYWHERE]
    elif not any(document.get(f) for f in ("sourceRanges", "sourceTags", "sourceServiceAccounts")):
        document["sourceRanges"] = [_ANYWHERE]
    for field in ("sourceRanges", "destinationRanges"):
        for index, cidr in enumerate(document.get(field, ())):
            check_range(cidr, f"resource.{field}[{index}]")
    for field in ("sourceTags", "targetTags"):
        check_tags(document.get(field, ()), f"resource.{field}")
    document.setdefault("disabled", False)
    document.setdefault("logConfig", {"enable": False})


def _check_protocol(rule: Doc, path: str) -> None:
    protocol = rule.get("IPProtocol")
    if not protocol:
        raise required(f"{path}.IPProtocol")
    number = protocol.isdigit() and int(protocol) <= 255
    if not number and protocol not in _PROTOCOLS:
        raise invalid(f"{path}.IPProtocol", protocol, "Must be a well known protocol string or a protocol number.")
    if rule.get("ports") and protocol not in ("tcp", "udp", "sctp", "6", "17", "132"):
        raise invalid(f"{path}.ports", rule["ports"], "Ports may only be specified with tcp, udp or sctp.")
    for index, ports in enumerate(rule.get("ports", ())):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high <= 65535:
            raise invalid(f"{path}.ports[{index}]", ports, "Must be a port or a range of ports, low-high.")


def check_tags(tags: Any, path: str) -> None:
    """Network tags.

    Raises:
        ApiError: naming the first one that is no tag.
    """
    for index, tag in enumerate(tags):
        if not re.fullmatch(NAME, tag):
            raise invalid(f"{path}[{index}]", tag, f"Must be a match of regex '(?:{NAME})'")


# ---- routes --------------------------------------------------------------------------------------------------


def prepare_route(store: Store, key: Key, document: Doc) -> None:
    network = store.reference(document, "network", "networks", "global")
    if not document.get("destRange"):
        raise required("resource.destRange")
    destination = check_range(document["destRange"], "resource.destRange")
    hops = ("nextHopGateway", "nextHopInstance", "nextHopIp", "nextHopVpnTunnel")
    given = [hop for hop in hops if document.get(hop)]
    if len(given) != 1:
        raise bad_request("Exactly one next hop must be specified for a route.")
    if given == ["nextHopGateway"]:
        if not document["nextHopGateway"].endswith("global/gateways/default-internet-gateway"):
            raise invalid("resource.nextHopGateway", document["nextHopGateway"], "Must be default-internet-gateway.")
        document["nextHopGateway"] = f"{ROOT}projects/{key.project}/global/gateways/default-internet-gateway"
    elif given == ["nextHopInstance"]:
        instance = store.get(store.reference(document, "nextHopInstance", "instances", ""))
        if network.link not in [interface["network"] for interface in instance["networkInterfaces"]]:
            raise invalid(
                "resource.nextHopInstance", document["nextHopInstance"], "The instance is not in the route's network."
            )
    elif given == ["nextHopVpnTunnel"]:
        store.reference(document, "nextHopVpnTunnel", "vpnTunnels", "")
    else:
        _check_hop_address(store, network, document["nextHopIp"])
    for _, subnet in store.every("subnetworks"):
        if subnet["network"] == network.link and destination.subnet_of(IPv4Network(subnet["ipCidrRange"])):
            raise invalid("resource.destRange", destination, "Destination range is inside a subnetwork's range.")
    priority = document.setdefault("priority", 1000)
    if not 0 <= priority <= 65535:
        raise invalid("resource.priority", priority, "Must be greater than or equal to 0 and at most 65535")
    check_tags(document.get("tags", ()), "resource.tags")
    document["routeType"] = "STATIC"


def _check_hop_address(store: Store, network: Key, text: str) -> None:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise invalid("resource.nextHopIp", text, "Must be an IPv4 address.") from None
    ranges = [s["ipCidrRange"] for _, s in store.every("subnetworks") if s["network"] == network.link]
    if not any(address in IPv4Network(cidr) for cidr in ranges):
        raise invalid("resource.nextHopIp", text, "The address is in no subnetwork of the route's network.")


def release_route(store: Store, key: Key, document: Doc) -> None:
    if document.get("nextHopNetwork"):
        raise bad_request("The local route cannot be deleted.")


# ---- reserved addresses --------------------------------------------------------------------------------------


def prepare_address(store: Store, key: Key, document: Doc) -> None:
    kind = document.setdefault("addressType", "EXTERNAL")
    if kind == "EXTERNAL":
        if document.get("address"):
            raise invalid("resource.address", document["address"], "An external address cannot be chosen.")
        document["address"] = store.public_address()
        document.setdefault("networkTier", "PREMIUM")
    elif kind == "INTERNAL":
        subnet = store.reference(document, "subnetwork", "subnetworks", key.scope)
        wanted = document.get("address", "")
        document["address"] = store.private_address(subnet, wanted, "resource.address")
        document.setdefault("purpose", "GCE_ENDPOINT")
    else:
        raise invalid("resource.addressType", kind, "Must be one of: [EXTERNAL, INTERNAL]")


def present_address(store: Store, key: Key, document: Doc) -> Doc:
    users = address_users(store, document["address"])
    return document | ({"status": "IN_USE", "users": users} if users else {"status": "RESERVED"})


def release_address(store: Store, key: Key, document: Doc) -> None:
    for user in address_users(store, document["address"]):
        raise in_use("address", key.path, user.removeprefix(ROOT))


def address_users(store: Store, address: str) -> list[str]:
    """Links of the instances that hold an address, private or public."""
    return [
        instance["selfLink"]
        for _, instance in store.every("instances")
        for interface in instance["networkInterfaces"]
        if address in (interface["networkIP"], *(c.get("natIP") for c in interface.get("accessConfigs", ())))
    ]


COLLECTIONS = (
    Collection(
        "networks",
        "Network",
        "global",
        prepare=prepare_network,
        added=network_added,
        release=release_network,
        present=present_network,
        mutable=frozenset({"routingConfig"}),
    ),
    Collection(
        "subnetworks",
        "Subnetwork",
        "regions",
        prepare=prepare_subnetwork,
        added=subnetwork_added,
        release=release_subnetwork,
        mutable=frozenset({"privateIpGoogleAccess", "enableFlowLogs", "logConfig"}),
        fingerprinted=True,
    ),
    Collection(
        "firewalls",
        "Firewall",
        "global",
        prepare=prepare_firewall,
        mutable=frozenset(
            {
                "allowed",
                "denied",
                "description",
                "destinationRanges",
                "disabled",
                "logConfig",
                "priority",
                "sourceRanges",
                "sourceServiceAccounts",
                "sourceTags",
                "targetServiceAccounts",
                "targetTags",
            }
        ),
        replaceable=True,
    ),
    Collection("routes", "Route", "global", prepare=prepare_route, release=release_route),
    Collection(
        "addresses",
        "Address",
        "regions",
        prepare=prepare_address,
        release=release_address,
        present=present_address,
    ),
)
