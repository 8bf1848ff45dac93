"""What strongSwan and BIRD say, understood; and how a tunnel's state is put. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model import Trouble, Tunnel, TunnelStatus

# Lines of charon's log, and what they mean for the tunnel. Of a refused exchange each side writes another line.
_HEARD: tuple[tuple[str, Trouble], ...] = (
    (r"received AUTHENTICATION_FAILED", "wrong key"),
    (r"MAC mismatched", "wrong key"),
    (r"no shared key found", "wrong key"),
    # In IKEv1 the key encrypts the proof itself.
    (r"could not decrypt payloads", "wrong key"),
    (r"received NO_PROPOSAL_CHOSEN", "no proposal"),
    (r"received proposals unacceptable", "no proposal"),
    (r"no acceptable proposal found", "no proposal"),
    (r"no matching proposal found", "no proposal"),
    (r"no IKE config found", "no proposal"),
    (r"giving up after \d+ retransmits", "no answer"),
    (r"CHILD_SA \S+ established", ""),
)


def heard(line: str) -> Trouble | None:
    """What a line of charon's log says of the tunnel; ``None`` if it says nothing."""
    return next((trouble for pattern, trouble in _HEARD if re.search(pattern, line)), None)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What charon says of its tunnel.

    Args:
        suite: the negotiated algorithms; empty while there are none.
        trouble: what it ran into last.
    """

    suite: str
    trouble: Trouble = ""


# ---- strongSwan's associations ---------------------------------------------------------------------------


def established(association: Mapping[str, Any]) -> bool:
    """Whether both ends of an IKE association (as vici lists it) have proved who they are."""
    return bool(association.get("state") == b"ESTABLISHED")


def suite(association: Mapping[str, Any]) -> str:
    """The algorithms of an IKE association whose packets flow; empty if they do not."""
    children = [c for c in association.get("child-sas", {}).values() if c.get("state") == b"INSTALLED"]
    if not established(association) or not children:
        return ""
    version = association["version"].decode()
    return f"IKEv{version} {_algorithms(association)}, ESP {_algorithms(children[0])}"


def _algorithms(association: Mapping[str, Any]) -> str:
    """In strongSwan's own spelling: ``AES_CBC_256/HMAC_SHA2_256_128/MODP_2048``."""
    named = {
        kind: association.get(kind, b"").decode() for kind in ("encr-alg", "encr-keysize", "integ-alg", "dh-group")
    }
    cipher = "_".join(part for part in (named["encr-alg"], named["encr-keysize"]) if part)
    return "/".join(part for part in (cipher, named["integ-alg"], named["dh-group"]) if part)


# ---- BIRD's answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session, as BIRD has it.

    Args:
        state: ``Established``, ``Connect``, ``Active``, ``Idle``, ...
        error: what ended it last.
        learned: networks that it brought.
        announced: networks that it told the other end.
    """

    state: str
    error: str = ""
    learned: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()


def sessions(answer: str) -> dict[str, Session]:
    """BGP sessions by protocol name, out of ``show protocols all``."""
    found: dict[str, Session] = {}
    for block in re.split(r"\n(?=\S)", answer):
        named = re.match(r"(\S+)\s+BGP\s", block)
        if named:
            state = re.search(r"BGP state:\s+(\S+)", block)
            error = re.search(r"Last error:\s+(.+)", block)
            found[named[1]] = Session(state[1] if state else "Idle", error[1].strip() if error else "")
    return found


def networks(answer: str) -> tuple[str, ...]:
    """The networks in ``show route``, in the order of their addresses."""
    found = set(re.findall(r"^(\d+\.\d+\.\d+\.\d+/\d+)\s", answer, re.MULTILINE))
    return tuple(sorted(found, key=lambda network: [int(part) for part in re.split(r"[./]", network)]))


# ---- both together ---------------------------------------------------------------------------------------


def status(end: Tunnel, exchange: Exchange, session: Session | None) -> TunnelStatus:
    """One tunnel end's state, from its two daemons' words.

    Args:
        end: what its cloud's API holds.
        exchange: charon's.
        session: BIRD's; ``None`` if there is no session.
    """
    suite, trouble = exchange.suite, exchange.trouble
    state = session.state if session else ""
    if not suite:
        return TunnelStatus(False, _why(end, trouble), trouble=trouble, session=state)
    if end.static is not None:
        return TunnelStatus(True, suite, end.static)
    if session is None:
        return TunnelStatus(False, f"{suite}; BGP is down: there is no session", trouble="no BGP")
    if state == "Established":
        return TunnelStatus(True, suite, session.learned, session=state, announced=session.announced)
    why = ", ".join(part for part in (state, session.error) if part)
    return TunnelStatus(False, f"{suite}; BGP is down: {why}", trouble="no BGP", session=state)


def _why(end: Tunnel, trouble: Trouble) -> str:
    reasons: Mapping[Trouble, str] = {
        "no answer": f"no answer from {end.peer}",
        "no proposal": "negotiation failed: no proposal (IKE version, ciphers) that both ends accept",
        "wrong key": "authentication failed: the pre-shared keys differ",
    }
    return reasons.get(trouble, "")
