"""One AWS site-to-site VPN connection's two tunnels: options checked and completed, configuration written. Pure.

Limits are those of AWS Site-to-Site VPN User Guide, "Tunnel options for your Site-to-Site VPN connection".
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from ..model import Ciphers

_INSIDE = ipaddress.IPv4Network("169.254.0.0/16")
_RESERVED = tuple(
    ipaddress.IPv4Network(cidr) for cidr in (*(f"169.254.{third}.0/30" for third in range(6)), "169.254.169.252/30")
)
_KEY = re.compile(r"(?!0)[A-Za-z0-9._]{8,64}")
_KEY_LETTERS = string.ascii_letters + string.digits + "._"
_IKE = ("ikev1", "ikev2")
# Every algorithm that AWS has, which is also what it accepts unless told otherwise.
_ENCRYPTION = {"AES128": "aes128", "AES256": "aes256", "AES128-GCM-16": "aes128gcm16", "AES256-GCM-16": "aes256gcm16"}
_INTEGRITY = {"SHA1": "sha1", "SHA2-256": "sha256", "SHA2-384": "sha384", "SHA2-512": "sha512"}
_GROUPS = {1: (2, *range(14, 25)), 2: (2, 5, *range(14, 25))}
_STARTUP = ("add", "start")


@dataclass
class TunnelEnd:
    """One tunnel of a VPN connection, with what became of it.

    Args:
        outside: public address of AWS's end.
        inside: the /30 of both BGP addresses; AWS has the first, the customer the second.
        shared_key: pre-shared key.
        ike: IKE versions that AWS's end accepts.
        options: the remaining tunnel options of the request, as given.
    """

    outside: str
    inside: str
    shared_key: str = field(repr=False)
    ike: tuple[str, ...]
    options: Mapping[str, Any]
    up: bool = False
    ipsec: bool = False
    detail: str = ""
    learned: tuple[str, ...] = ()
    since: Any = None

    @property
    def addresses(self) -> tuple[str, str]:
        """BGP addresses: AWS's, the customer's."""
        first, second = ipaddress.IPv4Network(self.inside).hosts()
        return str(first), str(second)

    @property
    def initiates(self) -> bool:
        """Whether AWS calls; by default it waits to be called."""
        return str(self.options.get("StartupAction", "add")).lower() == "start"

    def ciphers(self, phase: int) -> Ciphers:
        """What this end accepts in phase 1 or 2."""
        return Ciphers(
            encryption=tuple(_ENCRYPTION[name] for name in self._chosen(phase, "EncryptionAlgorithms", _ENCRYPTION)),
            integrity=tuple(_INTEGRITY[name] for name in self._chosen(phase, "IntegrityAlgorithms", _INTEGRITY)),
            groups=tuple(int(number) for number in self._chosen(phase, "DHGroupNumbers", _GROUPS[phase])),
        )

    def _chosen(self, phase: int, kind: str, all_of_them: Iterable[Any]) -> list[Any]:
        return [entry["Value"] for entry in self.options.get(f"Phase{phase}{kind}", ())] or list(all_of_them)

    def shown(self) -> dict[str, Any]:
        """As ``Options.TunnelOptions`` shows it."""
        return {
            **self.options,
            "OutsideIpAddress": self.outside,
            "TunnelInsideCidr": self.inside,
            "PreSharedKey": self.shared_key,
            "IkeVersions": [{"Value": version} for version in self.ike],
        }

    def telemetry(self) -> dict[str, Any]:
        """As ``VgwTelemetry`` shows it."""
        message = "IPSEC IS UP" if self.ipsec else ": ".join(part for part in ("IPSEC IS DOWN", self.detail) if part)
        if self.up:
            message = f"{len(self.learned)} BGP ROUTES"
        return {
            "OutsideIpAddress": self.outside,
            "Status": "UP" if self.up else "DOWN",
            "StatusMessage": message,
            "AcceptedRouteCount": len(self.learned) if self.up else 0,
            "LastStatusChange": self.since,
        }


def refusals(options: Iterable[Mapping[str, Any]], taken: Iterable[str]) -> list[str]:
    """Why tunnel options cannot be used; empty when they can.

    Args:
        options: ``Options.TunnelOptions`` of the request.
        taken: inside networks of other connections of the same gateway.
    """
    found = []
    seen = {ipaddress.IPv4Network(cidr) for cidr in taken}
    for option in options:
        if cidr := option.get("TunnelInsideCidr"):
            try:
                network = ipaddress.IPv4Network(cidr)
            except ValueError:
                found.append(f"Invalid value '{cidr}' for TunnelInsideCidr. Must be a /30 CIDR block.")
                continue
            if network.prefixlen != 30 or not network.subnet_of(_INSIDE):
                found.append(f"Invalid value '{cidr}' for TunnelInsideCidr. Must be a /30 in 169.254.0.0/16.")
            elif network in _RESERVED:
                found.append(f"Invalid value '{cidr}' for TunnelInsideCidr. The CIDR block is reserved.")
            elif network in seen:
                found.append(f"Invalid value '{cidr}' for TunnelInsideCidr. The CIDR block is already in use.")
            seen.add(network)
        if (key := option.get("PreSharedKey")) is not None and not _KEY.fullmatch(key):
            found.append(
                "Invalid value for PreSharedKey. Must be 8 to 64 of letters, digits, '.' and '_',"
                " and must not start with zero."
            )
        versions = [version.get("Value") for version in option.get("IKEVersions", [])]
        found += [f"Invalid value '{v}' for IKEVersions. Must be ikev1 or ikev2." for v in versions if v not in _IKE]
        found += _unknown_algorithms(option)
        if (action := str(option.get("StartupAction", "add")).lower()) not in _STARTUP:
            found.append(f"Invalid value '{action}' for StartupAction. Must be add or start.")
    return found


def _unknown_algorithms(option: Mapping[str, Any]) -> list[str]:
    found = []
    for phase, groups in _GROUPS.items():
        kinds: tuple[tuple[str, Iterable[Any]], ...] = (
            ("EncryptionAlgorithms", _ENCRYPTION),
            ("IntegrityAlgorithms", _INTEGRITY),
            ("DHGroupNumbers", groups),
        )
        for kind, known in kinds:
            allowed = [str(value) for value in known]
            given = [str(entry.get("Value")) for entry in option.get(f"Phase{phase}{kind}", ())]
            found += [
                f"Invalid value '{value}' for Phase{phase}{kind}. Must be one of {', '.join(allowed)}."
                for value in given
                if value not in allowed
            ]
    return found


def complete(option: Mapping[str, Any], outside: str, taken: Iterable[str]) -> TunnelEnd:
    """A tunnel with what the request left open chosen: an inside network that is free, a fresh key."""
    rest = {
        name: value for name, value in option.items() if name not in ("TunnelInsideCidr", "PreSharedKey", "IKEVersions")
    }
    versions = tuple(version["Value"] for version in option.get("IKEVersions", []))
    return TunnelEnd(
        outside=outside,
        inside=option.get("TunnelInsideCidr") or free_inside(taken),
        shared_key=option.get("PreSharedKey") or new_key(),
        ike=versions or _IKE,
        options=rest,
    )


def free_inside(taken: Iterable[str]) -> str:
    """The first inside /30 that is neither reserved nor taken."""
    used = {ipaddress.IPv4Network(cidr) for cidr in taken}
    return str(next(n for n in _INSIDE.subnets(new_prefix=30) if n not in used and n not in _RESERVED))


def new_key() -> str:
    """A pre-shared key as AWS generates them: 32 letters, digits, dots and underscores, no leading zero."""
    first = secrets.choice(string.ascii_letters)
    return first + "".join(secrets.choice(_KEY_LETTERS) for _ in range(31))


def configuration(
    connection: str,
    customer: tuple[str, str, int],
    gateway: tuple[str, int],
    tunnels: Iterable[TunnelEnd],
    *,
    static: bool,
) -> str:
    """The CustomerGatewayConfiguration document.

    Args:
        connection: id of the VPN connection.
        customer: id, address and AS number of the customer gateway.
        gateway: id and AS number of the virtual private gateway.
        tunnels: both.
        static: whether there is no BGP.
    """
    customer_id, customer_address, customer_asn = customer
    gateway_id, gateway_asn = gateway
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<vpn_connection id="{escape(connection)}">',
        _element("customer_gateway_id", customer_id),
        _element("vpn_gateway_id", gateway_id),
        _element("vpn_connection_type", "ipsec.1"),
        *([_element("vpn_connection_attributes", "NoBGPVPNConnection")] if static else []),
    ]
    for tunnel in tunnels:
        ours, theirs = tunnel.addresses
        parts += [
            "<ipsec_tunnel>",
            *_side("customer_gateway", customer_address, theirs, customer_asn, static=static),
            *_side("vpn_gateway", tunnel.outside, ours, gateway_asn, static=static),
            "<ike>",
            _element("authentication_protocol", "sha1"),
            _element("encryption_protocol", "aes-128-cbc"),
            _element("lifetime", "28800"),
            _element("perfect_forward_secrecy", "group2"),
            _element("mode", "main"),
            _element("pre_shared_key", tunnel.shared_key),
            "</ike>",
            "<ipsec>",
            _element("protocol", "esp"),
            _element("authentication_protocol", "hmac-sha1-96"),
            _element("encryption_protocol", "aes-128-cbc"),
            _element("lifetime", "3600"),
            _element("perfect_forward_secrecy", "group2"),
            _element("mode", "tunnel"),
            "</ipsec>",
            "</ipsec_tunnel>",
        ]
    return "\n".join([*parts, "</vpn_connection>"])


def _side(name: str, outside: str, inside: str, asn: int, *, static: bool) -> list[str]:
    bgp = [] if static else ["<bgp>", _element("asn", str(asn)), _element("hold_time", "30"), "</bgp>"]
    return [
        f"<{name}>",
        f"<tunnel_outside_address>{_element('ip_address', outside)}</tunnel_outside_address>",
        "<tunnel_inside_address>",
        _element("ip_address", inside),
        _element("network_mask", "255.255.255.252"),
        _element("network_cidr", "30"),
        "</tunnel_inside_address>",
        *bgp,
        f"</{name}>",
    ]


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"
