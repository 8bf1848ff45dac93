"""What both emulated clouds hold, in one vocabulary: the input of everything behind the APIs.

Each cloud translates its own objects into these records (``Cloud.networks``, ``Cloud.machines``,
``Cloud.tunnels``); the world makes them so and reports back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

CloudName = Literal["aws", "gcp"]

# Documentation ranges (RFC 5737) play the internet, so that no address of the lab belongs to anybody.
OPERATOR = "192.0.2.1"
API_ADDRESS: Mapping[CloudName, str] = {"aws": "192.0.2.10", "gcp": "192.0.2.20"}
# A mirror of the publishers' releases, under a name that nobody can own (RFC 6761).
MIRROR_ADDRESS, MIRROR_NAME = "192.0.2.30", "releases.test"
PUBLIC: Mapping[CloudName, str] = {"aws": "198.51.100.0/24", "gcp": "203.0.113.0/24"}
METADATA = "169.254.169.254"
# Every instance resolves names here; on AWS the resolver has an address of its own.
RESOLVER: Mapping[CloudName, str] = {"aws": "169.254.169.253", "gcp": METADATA}


@dataclass(frozen=True, slots=True)
class Rule:
    """One firewall decision about new connections of one interface.

    Args:
        direction: ``in`` or ``out``, seen from the instance.
        allow: accept or drop.
        protocol: ``tcp``, ``udp``, ``sctp``, ``icmp``, the number of another one, or ``all``.
        ports: (low, high) pairs; empty for every port. For ICMP one (type, code) pair, code -1 for every code.
        peers: networks of the other end, resolved to addresses; empty means NO peer (matches nothing).
        priority: lower is decided first; at the same priority a deny comes before an allow.
        own: networks in which this end's address in the packet must be; empty for every address. It matters to an
            instance that forwards what is not its own.
    """

    direction: Literal["in", "out"]
    allow: bool
    protocol: str
    ports: tuple[tuple[int, int], ...]
    peers: tuple[str, ...]
    priority: int = 1000
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Where an interface's packets to a destination outside its network's subnets go.

    Args:
        destination: network, in CIDR form.
        via: ``internet`` (needs a public address), ``nat``, ``instance``, ``vpn`` or ``none``.
        address: the NAT's public address, or the next hop instance's private address.
        priority: lower wins among equal destinations.
    """

    destination: str
    via: Literal["internet", "nat", "instance", "vpn", "none"]
    address: str = ""
    priority: int = 1000


@dataclass(frozen=True, slots=True)
class Interface:
    """One instance's only network interface, with all that the cloud's API says about it."""

    machine: str
    address: str
    subnet: str
    public: str | None
    forwards: bool
    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """One VPC (AWS) or VPC network (GCP): a router of its own in the lab.

    Args:
        cloud: which cloud.
        id: the cloud's identifier.
        subnets: subnet networks in CIDR form; the first host address of each is its gateway.
        interfaces: of instances that are not terminated.
    """

    cloud: CloudName
    id: str
    subnets: tuple[str, ...]
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One instance that exists, until it is terminated or deleted.

    Args:
        cloud: which cloud.
        id: the cloud's identifier (``i-...``; for GCP ``ZONE/NAME``).
        name: the Name tag (AWS) or instance name (GCP).
        network: ``Network.id``.
        hostname: fully qualified, as the cloud names it.
        zone: full zone name.
        script: user data / startup script, run as root at boot.
        powered: whether it should be running; one that is stopped keeps its disk.
        bare: whether its image lacks Consul and Traefik.
    """

    cloud: CloudName
    id: str
    name: str
    network: str
    hostname: str
    zone: str
    private_ip: str
    public_ip: str | None
    script: str = ""
    powered: bool = True
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Ciphers:
    """What one end of a tunnel accepts in one phase: any encryption with any integrity and any group.

    Args:
        encryption: ``aes128``, ``aes192``, ``aes256`` (CBC mode), or one of them with ``gcm16`` at the end.
        integrity: ``sha1``, ``sha256``, ``sha384``, ``sha512``; in GCM mode the pseudo-random functions instead.
        groups: Diffie-Hellman groups, by IANA's numbers.
    """

    encryption: tuple[str, ...]
    integrity: tuple[str, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One end of one VPN tunnel, from nothing but what its own cloud's API holds.

    Args:
        cloud: whose end.
        network: ``Network.id`` behind it.
        id: the tunnel's name in its API (AWS: ``vpn-...:OUTSIDE_ADDRESS``; GCP: ``REGION/NAME``).
        local: public address of this end.
        peer: public address of the other end.
        shared_key: pre-shared key.
        ike: IKE version; 0 for either.
        inside_local: this end's BGP address.
        inside_peer: the other end's BGP address.
        local_asn: this end's AS number.
        peer_asn: the AS number expected of the other end.
        advertised: networks announced to the other end.
        phase1: what protects the key exchange.
        phase2: what protects the packets.
        initiates: whether this end calls; one that does not waits to be called.
        bgp: whether there is a BGP session; ``False`` for one that is switched off, and for static routing.
        static: with static routing, networks behind the other end; ``None`` with BGP.
        med: BGP's metric of what is announced; lower is better.
    """

    cloud: CloudName
    network: str
    id: str
    local: str
    peer: str
    shared_key: str = field(repr=False)
    ike: int
    inside_local: str
    inside_peer: str
    local_asn: int
    peer_asn: int
    advertised: tuple[str, ...]
    phase1: Ciphers = Ciphers(("aes256",), ("sha256",), (14,))
    phase2: Ciphers = Ciphers(("aes256",), ("sha256",), (14,))
    initiates: bool = False
    bgp: bool = True
    static: tuple[str, ...] | None = None
    med: int = 0


# Where a tunnel end got stuck, in the order in which it finds out.
Trouble = Literal["", "no answer", "no proposal", "wrong key", "no BGP"]


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """What became of a tunnel end.

    Args:
        up: packets pass and routes are exchanged.
        detail: why not, or how.
        learned: networks that the other end announced.
        trouble: what keeps it down; empty while it is up, and before anything was tried.
        session: the BGP session's state, in the daemon's words; empty where there is none.
        announced: networks that were announced to the other end.
    """

    up: bool
    detail: str
    learned: tuple[str, ...] = ()
    trouble: Trouble = ""
    session: str = ""
    announced: tuple[str, ...] = ()

    @property
    def ipsec(self) -> bool:
        """Whether packets are encrypted and decrypted, routes or not."""
        return self.up or self.trouble == "no BGP"


MachineState = Literal["booting", "running", "stopping", "stopped", "gone"]


class Cloud(Protocol):
    """What the world needs of an emulated cloud. Every method may be called from any thread."""

    name: CloudName

    def api(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The control API, as a WSGI application."""

    def metadata(self, machine: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The instance metadata service as seen by one instance (WSGI, after its id)."""

    def networks(self, tunnels: Mapping[str, TunnelStatus]) -> tuple[Network, ...]:
        """Every network with its interfaces, given what the tunnels (by id) are doing."""

    def machines(self) -> tuple[Machine, ...]:
        """Every instance that exists now, also stopped ones; what is missing here is switched off and erased."""

    def tunnels(self) -> tuple[Tunnel, ...]:
        """This cloud's end of every VPN tunnel that is configured completely."""

    def report_machine(self, machine: str, state: MachineState) -> None:
        """The world says what became of an instance; the API's state follows."""

    def report_tunnels(self, tunnels: Mapping[str, TunnelStatus]) -> None:
        """The world says what became of the tunnels; the API's status fields follow."""

    def authorized_keys(self, machine: str) -> str:
        """Lines for the authorized_keys of the image's account, as its guest agent would install them."""

    def ready(self) -> None:
        """Load what is slow to import; called once at start."""


class Hooks(Protocol):
    """What an emulated cloud needs of the world."""

    def changed(self) -> None:
        """Something in the API's content changed; the world brings itself in line within a second."""

    def console(self, machine: str) -> str:
        """All console output of an instance so far."""
