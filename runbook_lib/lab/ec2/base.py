"""What all mended parts of moto's EC2 share: the lab around a region, public addresses, time, errors."""

from __future__ import annotations

import base64
import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.utils import generic_filter

from ..model import PUBLIC
from ..web import later

ACCOUNT = "123456789012"
PARTITION = "aws"

# The lowest addresses of the pool are left to the routers of whoever builds the network.
_PUBLIC_HOSTS = tuple(str(host) for host in ipaddress.ip_network(PUBLIC["aws"]).hosts())[9:]


@dataclass
class Lab:
    """What the regions of one emulated account share.

    Args:
        changed: called when something becomes so by the passing of time alone.
        zones: zone names that the home region offers; empty for all it has (a to d).
        settle: seconds that slow things stay ``pending`` or ``deleting``.
        durations: the same for single actions, by name.
        keep: seconds that deleted things stay listed (AWS: about an hour).
    """

    changed: Callable[[], None]
    home: str
    zones: tuple[str, ...]
    settle: float
    durations: Mapping[str, float]
    keep: float
    regions: dict[str, LabBackend] = field(default_factory=dict)

    def public_address(self) -> str:
        """The first address of the public pool that nothing holds.

        Raises:
            EC2ClientError: ``InsufficientAddressCapacity``.
        """
        used = {address for backend in self.regions.values() for address in backend.public_addresses()}
        free = next((address for address in _PUBLIC_HOSTS if address not in used), None)
        if free is None:
            refuse("InsufficientAddressCapacity", "Not enough available addresses to satisfy the request.")
        return free

    def later(self, seconds: float) -> None:
        """Tell the world again once what was just begun has settled."""
        later(seconds + 0.01, self.changed)


class LabBackend(EC2Backend):
    """moto's state of one region, knowing the lab it is part of."""

    def __init__(self, region_name: str, lab: Lab) -> None:
        self.lab = lab
        super().__init__(region_name, ACCOUNT)

    def public_addresses(self) -> Iterator[str]:
        """Every public address that something in this region holds."""
        for address in self.addresses:
            yield address.public_ip
        for interface in self.enis.values():
            if interface.public_ip:
                yield interface.public_ip
        connections: Iterable[Any] = self.vpn_connections.values()
        for connection in connections:
            if connection.state != "deleted":
                for tunnel in connection.tunnels:
                    yield tunnel.outside

    def private_addresses(self, subnet_id: str) -> list[str]:
        """The private addresses that interfaces hold in a subnet."""
        return [
            address["PrivateIpAddress"]
            for interface in self.enis.values()
            if interface.subnet.id == subnet_id
            for address in interface.private_ip_addresses
        ]

    def filtered(self, filters: Any, found: list[Any]) -> list[Any]:
        """Those that match EC2's filters."""
        return generic_filter(filters, found)

    def sweep(self) -> None:
        """Forget what was deleted long enough ago; parts extend it."""


class Ageing:
    """Something that takes a moment to become available, and a moment to go; subclasses name the actions."""

    creates: str
    deletes: str
    lab: Lab
    born: float
    died: float | None = None
    available_as = "available"

    def begin(self, lab: Lab) -> None:
        self.lab = lab
        self.born = time.monotonic()
        lab.later(self._takes(self.creates))

    def end(self) -> None:
        if self.died is None:
            self.died = time.monotonic()
            self.lab.later(self._takes(self.deletes))

    def _takes(self, action: str) -> float:
        return self.lab.durations.get(action, self.lab.settle)

    @property
    def state(self) -> str:
        now = time.monotonic()
        if self.died is not None:
            return "deleted" if now - self.died >= self._takes(self.deletes) else "deleting"
        return self.available_as if now - self.born >= self._takes(self.creates) else "pending"

    @property
    def forgotten(self) -> bool:
        return self.died is not None and time.monotonic() - self.died >= self.lab.keep


def refuse(code: str, message: str) -> NoReturn:
    """Answer the request with one of EC2's errors."""
    raise EC2ClientError(code, message)


def free_addresses(subnet: str, used: Iterable[str]) -> Iterator[str]:
    """The addresses of a subnet that AWS would give, in order: neither reserved nor used."""
    taken = set(used)
    for address in ipaddress.ip_network(subnet):
        if str(address) not in taken and not is_reserved(subnet, str(address)):
            yield str(address)


def is_reserved(subnet: str, address: str) -> bool:
    """Whether AWS keeps this address of the subnet to itself: the first four and the last."""
    network = ipaddress.ip_network(subnet)
    offset = int(ipaddress.ip_address(address)) - int(network.network_address)
    return offset < 4 or offset == network.num_addresses - 1


def private_name(address: str, region: str) -> str:
    """The private DNS name that AWS gives to an address."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"


def tag(resource: Any, key: str) -> str:
    """The value of a resource's tag, empty without one."""
    return str(resource.ec2_backend.tags.get(resource.id, {}).get(key, ""))


def raw(user_data: Base64EncodedString | None) -> bytes:
    """User data as it was before base64; empty without any."""
    return base64.b64decode(str(user_data)) if user_data else b""
