"""Which tunnels would come up: both ends, each from its own cloud's API alone, must agree. Pure.

This decides where no daemon can: on a machine without TUN devices, strongSwan or BIRD.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..model import Ciphers, Trouble, Tunnel, TunnelStatus


def negotiate(
    tunnels: Sequence[Tunnel], cut: Collection[tuple[str, str]] = (), detail: str = "plain link"
) -> dict[str, TunnelStatus]:
    """The status of each tunnel end, by its id.

    Args:
        tunnels: every end.
        cut: (from, to) outside addresses between which nothing passes.
        detail: how packets pass where they do.
    """
    return {end.id: _status(end, counterpart(end, tunnels, cut), detail) for end in tunnels}


def counterpart(end: Tunnel, tunnels: Sequence[Tunnel], cut: Collection[tuple[str, str]] = ()) -> Tunnel | None:
    """The other end, if its cloud has one that answers this end's address."""
    meet = (end.peer, end.local)
    return next((o for o in tunnels if o.cloud != end.cloud and (o.local, o.peer) == meet and meet not in cut), None)


def links(tunnels: Sequence[Tunnel], statuses: dict[str, TunnelStatus]) -> frozenset[tuple[str, str]]:
    """Pairs of networks (AWS's id, GCP's id) that at least one tunnel joins."""
    up = [end for end in tunnels if statuses[end.id].up]
    others = ((end, counterpart(end, up)) for end in up if end.cloud == "aws")
    return frozenset((end.network, other.network) for end, other in others if other is not None)


def _status(end: Tunnel, other: Tunnel | None, detail: str) -> TunnelStatus:
    """What keeps two ends apart, in the order in which they would find out."""
    trouble: Trouble = "no BGP"
    if other is None:
        trouble, why = "no answer", f"no answer from {end.peer}"
    elif 0 not in (end.ike, other.ike) and end.ike != other.ike:
        trouble, why = "no proposal", f"the other end speaks IKEv{other.ike}, this end IKEv{end.ike}"
    elif not _common(end.phase1, other.phase1):
        trouble, why = "no proposal", "negotiation failed: no phase 1 cipher that both ends accept"
    elif end.shared_key != other.shared_key:
        trouble, why = "wrong key", "authentication failed: the pre-shared keys differ"
    elif not _common(end.phase2, other.phase2):
        trouble, why = "no proposal", "negotiation failed: no phase 2 cipher that both ends accept"
    elif not (end.bgp and other.bgp):
        why = "BGP is down: there is no session"
    elif (end.inside_local, end.inside_peer) != (other.inside_peer, other.inside_local):
        why = "BGP is down: the inside addresses do not match"
    elif (end.local_asn, end.peer_asn) != (other.peer_asn, other.local_asn):
        why = "BGP is down: the AS numbers do not match"
    else:
        return TunnelStatus(True, detail, other.advertised, session="Established", announced=end.advertised)
    return TunnelStatus(False, why, trouble=trouble, session="Idle" if trouble == "no BGP" else "")


def _common(one: Ciphers, other: Ciphers) -> bool:
    """Whether two ends have an algorithm of each kind in common."""
    kinds = ((one.encryption, other.encryption), (one.integrity, other.integrity), (one.groups, other.groups))
    return all(set(here) & set(there) for here, there in kinds)
