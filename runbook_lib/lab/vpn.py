"""Which tunnels come up: both ends, each from its own cloud's API alone, must agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Tunnel, TunnelStatus


def negotiate(tunnels: Iterable[Tunnel]) -> dict[str, TunnelStatus]:
    """The status of each tunnel end, by its id."""
    ends = list(tunnels)
    statuses: dict[str, TunnelStatus] = {}
    for end in ends:
        other = next((o for o in ends if o.cloud != end.cloud and (o.local, o.peer) == (end.peer, end.local)), None)
        trouble = _trouble(end, other)
        if trouble or other is None:
            statuses[end.id] = TunnelStatus(up=False, detail=trouble)
        else:
            statuses[end.id] = TunnelStatus(up=True, detail="routed link", learned=other.advertised)
    return statuses


def links(tunnels: Iterable[Tunnel], statuses: dict[str, TunnelStatus]) -> frozenset[tuple[str, str]]:
    """Pairs of networks (AWS's id, GCP's id) that at least one tunnel joins."""
    up = [end for end in tunnels if statuses[end.id].up]
    return frozenset(
        (a.network, g.network)
        for a in up
        for g in up
        if a.cloud == "aws" and g.cloud == "gcp" and (a.local, a.peer) == (g.peer, g.local)
    )


def _trouble(end: Tunnel, other: Tunnel | None) -> str:
    """What keeps two ends apart, in the order in which they would find out; empty if nothing does."""
    if other is None:
        return f"no answer from {end.peer}"
    if end.ike != other.ike:
        return f"the other end speaks IKEv{other.ike}, this end IKEv{end.ike}"
    if end.shared_key != other.shared_key:
        return "authentication failed: the pre-shared keys differ"
    if (end.inside_local, end.inside_peer) != (other.inside_peer, other.inside_local):
        return "BGP is down: the inside addresses do not match"
    if (end.local_asn, end.peer_asn) != (other.peer_asn, other.local_asn):
        return "BGP is down: the AS numbers do not match"
    return ""
