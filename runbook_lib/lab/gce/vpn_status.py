"""What routers and VPN gateways answer when asked how they are."""

from __future__ import annotations

from ..model import TunnelStatus
from .names import Key
from .store import Doc, Store
from .vpn import sessions

_DOWN = TunnelStatus(up=False, detail="")


def router_status(store: Store, key: Key, router: Doc) -> Doc:
    """The answer of ``routers.getRouterStatus``."""
    peers: list[Doc] = []
    best: list[Doc] = []
    for interface, peer in sessions(router):
        tunnel = interface.get("linkedVpnTunnel", "")
        report = store.tunnels.get(f"{key.place}/{tunnel.rpartition('/')[2]}", _DOWN) if tunnel else _DOWN
        up = report.up and store.find(tunnel) != {}
        learned = [
            {
                "kind": "compute#route",
                "destRange": cidr,
                "network": router["network"],
                "nextHopIp": peer["peerIpAddress"],
                "nextHopVpnTunnel": tunnel,
                "priority": peer["advertisedRoutePriority"],
                "routeType": "BGP",
                "asPaths": [{"pathSegmentType": "AS_SEQUENCE", "asLists": [peer["peerAsn"]]}],
            }
            for cidr in report.learned
            if up
        ]
        best += learned
        peers.append(
            {
                "name": peer["name"],
                "ipAddress": peer["ipAddress"],
                "peerIpAddress": peer["peerIpAddress"],
                "linkedVpnTunnel": tunnel,
                "status": "UP" if up else "DOWN",
                "state": report.session or "Idle",
                "numLearnedRoutes": len(learned),
                "advertisedRoutes": [
                    {
                        "kind": "compute#route",
                        "destRange": cidr,
                        "network": router["network"],
                        "nextHopIp": peer["ipAddress"],
                        "priority": peer["advertisedRoutePriority"],
                        "routeType": "BGP",
                    }
                    for cidr in report.announced
                ],
            }
        )
    return {
        "kind": "compute#routerStatusResponse",
        "result": {
            "network": router["network"],
            "bgpPeerStatus": peers,
            "bestRoutes": best,
            "bestRoutesForRouter": best,
        },
    }


def advertised(store: Store, key: Key, router: Doc, peer: Doc) -> tuple[str, ...]:
    """Networks that a router announces to one peer.

    By default the subnetworks of its network: all of them with global dynamic routing, those of its region
    otherwise. A peer's (or else the router's) custom mode replaces that.
    """
    network = store.find(router["network"])
    everywhere = network.get("routingConfig", {}).get("routingMode") == "GLOBAL"
    subnets = [
        subnet["ipCidrRange"]
        for subnet_key, subnet in store.every("subnetworks")
        if subnet["network"] == router["network"] and (everywhere or subnet_key.scope == key.scope)
    ]
    for holder in (peer, router.get("bgp", {})):
        if holder.get("advertiseMode") == "CUSTOM":
            groups = subnets if "ALL_SUBNETS" in holder.get("advertisedGroups", ()) else []
            return (*groups, *(item["range"] for item in holder.get("advertisedIpRanges", ())))
    return tuple(subnets)


def gateway_status(store: Store, key: Key, gateway: Doc) -> Doc:
    """The answer of ``vpnGateways.getStatus``: its tunnels by peer, and whether they cover both ends."""
    connections: list[Doc] = []
    by_peer: dict[str, list[Doc]] = {}
    for _, tunnel in store.every("vpnTunnels"):
        if tunnel["vpnGateway"] == gateway["selfLink"]:
            by_peer.setdefault(tunnel["peerExternalGateway"], []).append(tunnel)
    for peer, tunnels in by_peer.items():
        ours = {tunnel["vpnGatewayInterface"] for tunnel in tunnels}
        theirs = {tunnel["peerExternalGatewayInterface"] for tunnel in tunnels}
        met = len(ours) == 2 and len(theirs) == len(store.find(peer).get("interfaces", ()))
        state: Doc = {"state": "CONNECTION_REDUNDANCY_MET"}
        if not met:
            state = {
                "state": "CONNECTION_REDUNDANCY_NOT_MET",
                "unsatisfiedReason": "INCOMPLETE_TUNNELS_COVERAGE",
            }
        connections.append(
            {
                "peerExternalGateway": peer,
                "state": state,
                "tunnels": [
                    {
                        "tunnelUrl": tunnel["selfLink"],
                        "localGatewayInterface": tunnel["vpnGatewayInterface"],
                        "peerGatewayInterface": tunnel["peerExternalGatewayInterface"],
                    }
                    for tunnel in tunnels
                ],
            }
        )
    return {"result": {"vpnConnections": connections}}
