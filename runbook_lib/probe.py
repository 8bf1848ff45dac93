"""One end of a firewall probe, run on a host by ``python3 - JSON`` as root; Python 3.9 and its library suffice.

A raw socket sees every packet that reaches the host, whether or not something listens on the port; so what arrives
tells what the firewalls let through, for TCP and UDP alike. A probe is a TCP SYN or a UDP datagram with a number in it
that tells who sent it. Nothing is ever connected: to an answer to a SYN the sender's kernel, which knows of no
connection, says reset. The datagram is one that Consul's gossip knows, an acknowledgement of something long over
(memberlist's message type 2, with the number as its ``SeqNo``): agents without a gossip key pass over it in silence,
those with one log that they cannot decrypt it.

What to do is a JSON object: ``do`` is ``listen`` (returns once it listens, in the background, for a minute at most),
``send`` or ``collect`` (prints what has arrived, and ends the listener).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

SECONDS = 60  # after which a forgotten listener ends by itself
ACKNOWLEDGED = b"\x02\x81\xa5SeqNo\xce"  # {"SeqNo": the four bytes that follow}, in MessagePack
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
SYN, ACK = 0x02, 0x10


def listen(order: dict[str, Any]) -> None:
    """Start a listener and return once its sockets are open."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(_door(order))
    door.listen(1)
    raw = {name: socket.socket(socket.AF_INET, socket.SOCK_RAW, number) for name, number in PROTOCOLS.items()}
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    inside = [ip_network(text) for text in order["inside"]]
    deadline = time.monotonic() + SECONDS
    arrived: set[tuple[str, int, int]] = set()
    called = False
    while not called and time.monotonic() < deadline:
        called = door in select.select([door, *raw.values()], [], [], 1)[0]
        for name, one in raw.items():
            arrived.update(_read(name, one, order, inside))
    if called:
        with door.accept()[0] as caller:
            caller.sendall(json.dumps(sorted(arrived)).encode())
    os._exit(0)


def send(order: dict[str, Any]) -> None:
    """Send every probe: in several rounds, as networks may lose packets, and without haste, so that they need not."""
    for turn in range(order["rounds"]):
        time.sleep(order["gap"] if turn else 0)
        for address, number in order["targets"]:
            time.sleep(order["pause"])
            for name, ports in order["ports"].items():
                with socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOLS[name]) as one:
                    one.connect((address, 0))
                    own = one.getsockname()[0]
                    for port in ports:
                        packet = _packet(name, own, address, (order["port"], port), order["salt"] << 16 | number)
                        with contextlib.suppress(OSError):  # the answer to an earlier one
                            one.send(packet)


def collect(order: dict[str, Any]) -> None:
    """Print what a listener has seen: (protocol, port, number) of each probe; 0 for a visitor's SYN."""
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(_door(order))
        while part := door.recv(65536):
            sys.stdout.write(part.decode())


def _door(order: dict[str, Any]) -> str:
    # An abstract name leaves no file behind.
    return f"\0runbook-probe-{order['salt']}"


def _read(name: str, one: socket.socket, order: dict[str, Any], inside: list[Any]) -> Iterator[tuple[str, int, int]]:
    """What waits at a raw socket, as far as it is of interest."""
    while True:
        try:
            packet, (source, _) = one.recvfrom(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        body = packet[(packet[0] & 15) * 4 :]
        port = int.from_bytes(body[2:4], "big")
        if name == "udp":
            number = int.from_bytes(body[-4:], "big")
        elif len(body) >= 20 and body[13] & (SYN | ACK) == SYN:
            number = int.from_bytes(body[4:8], "big")
        else:
            continue
        if number >> 16 == order["salt"]:
            yield name, port, number & 0xFFFF
        elif name == "tcp" and port in order["ports"]["tcp"] and not any(ip_address(source) in net for net in inside):
            yield name, port, 0


def _packet(name: str, source: str, target: str, ports: tuple[int, int], number: int) -> bytes:
    """A SYN or a datagram with its checksum."""
    if name == "tcp":
        body = struct.pack("!HHIIBBHHH", *ports, number, 0, 5 << 4, SYN, 65535, 0, 0)
        place = 16
    else:
        text = ACKNOWLEDGED + number.to_bytes(4, "big")
        body = struct.pack("!HHHH", *ports, 8 + len(text), 0) + text
        place = 6
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", PROTOCOLS[name], len(body))
    return body[:place] + _checksum(pseudo + body).to_bytes(2, "big") + body[place + 2 :]


def _checksum(text: bytes) -> int:
    """The Internet checksum (RFC 1071); never 0, which for UDP means none."""
    total = sum(struct.unpack(f"!{(len(text) + 1) // 2}H", text + b"\0" * (len(text) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total or 0xFFFF


if __name__ == "__main__":
    what = json.loads(sys.argv[1])
    {"listen": listen, "send": send, "collect": collect}[what["do"]](what)
