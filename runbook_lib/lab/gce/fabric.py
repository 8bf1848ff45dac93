"""From what the API holds to what the world builds; pure: documents in, model records out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from ..model import Interface, Machine, Network, Route, Rule, Tunnel, TunnelStatus
from .catalog import BARE
from .names import parse_link
from .store import Doc, Store
from .vpn import CIPHERS, session_of
from .vpn_status import advertised

_ANYWHERE = ("0.0.0.0/0",)
# Names of the rules' vocabulary for Google's names and numbers (IANA's "Assigned Internet Protocol Numbers").
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp", "esp": "50", "ah": "51", "ipip": "94"}
_LEARNED_PRIORITY = 100
# What every network does without any rule: lets everything out and nothing in.
IMPLIED = (
    Rule("in", False, "all", (), _ANYWHERE, 65535),
    Rule("out", True, "all", (), _ANYWHERE, 65535),
)


def networks(store: Store, tunnels: Mapping[str, TunnelStatus]) -> tuple[Network, ...]:
    """Every network with its interfaces. An interface stays until its instance is deleted."""
    firewalls = [document for _, document in store.every("firewalls")]
    routes = [document for _, document in store.every("routes")]
    instances = [document for _, document in store.every("instances")]
    answer = []
    for key, network in store.every("networks"):
        link = network["selfLink"]
        members = [i for i in instances if i["networkInterfaces"][0]["network"] == link]
        learned = learned_routes(store, link, tunnels)
        own_routes = [r for r in routes if r["network"] == link]
        own_rules = [f for f in firewalls if f["network"] == link]
        answer.append(
            Network(
                cloud="gcp",
                id=key.name,
                subnets=tuple(s["ipCidrRange"] for _, s in store.every("subnetworks") if s["network"] == link),
                interfaces=tuple(
                    Interface(
                        machine=machine_id(instance),
                        address=address(instance),
                        subnet=store.find(instance["networkInterfaces"][0]["subnetwork"])["ipCidrRange"],
                        public=public(instance),
                        forwards=instance["canIpForward"],
                        rules=rules(instance, own_rules, members),
                        routes=routes_of(instance, own_routes, members) + _in_region(learned, instance),
                    )
                    for instance in members
                ),
            )
        )
    return tuple(answer)


def machine_id(instance: Doc) -> str:
    """``ZONE/NAME``."""
    return f"{instance['zone'].rpartition('/')[2]}/{instance['name']}"


def address(instance: Doc) -> str:
    return str(instance["networkInterfaces"][0]["networkIP"])


def public(instance: Doc) -> str | None:
    """The public address, if it has one now."""
    configs = instance["networkInterfaces"][0].get("accessConfigs", ())
    return next((config["natIP"] for config in configs if config.get("natIP")), None)


def _tags(instance: Doc) -> set[str]:
    return set(instance.get("tags", {}).get("items", ()))


def _accounts(instance: Doc) -> set[str]:
    return {account["email"] for account in instance.get("serviceAccounts", ())}


# ---- firewall ------------------------------------------------------------------------------------------------


def rules(instance: Doc, firewalls: Iterable[Doc], members: Iterable[Doc]) -> tuple[Rule, ...]:
    """The firewall of one instance: the rules that target it, with sources as addresses, and the implied ones.

    Args:
        instance: whose firewall.
        firewalls: all rules of its network.
        members: all instances of its network.
    """
    members = list(members)
    answer: list[Rule] = []
    for firewall in firewalls:
        if firewall.get("disabled") or not _targets(firewall, instance):
            continue
        allow = bool(firewall.get("allowed"))
        for entry in firewall.get("allowed") or firewall.get("denied") or ():
            answer.append(
                Rule(
                    direction="in" if firewall["direction"] == "INGRESS" else "out",
                    allow=allow,
                    protocol=_PROTOCOLS.get(entry["IPProtocol"], entry["IPProtocol"]),
                    ports=tuple(_ports(text) for text in entry.get("ports", ())),
                    peers=_peers(firewall, members),
                    priority=firewall["priority"],
                    # To an outgoing rule these are the peers.
                    own=tuple(firewall.get("destinationRanges", ())) if firewall["direction"] == "INGRESS" else (),
                )
            )
    return (*sorted(answer, key=lambda rule: (rule.priority, rule.allow)), *IMPLIED)


def _targets(firewall: Doc, instance: Doc) -> bool:
    tags, accounts = firewall.get("targetTags"), firewall.get("targetServiceAccounts")
    if not tags and not accounts:
        return True
    return bool(_tags(instance) & set(tags or ()) or _accounts(instance) & set(accounts or ()))


def _peers(firewall: Doc, members: list[Doc]) -> tuple[str, ...]:
    """The other ends of a rule; sources by tag or account mean the members' internal addresses."""
    if firewall["direction"] == "EGRESS":
        return tuple(firewall.get("destinationRanges") or _ANYWHERE)
    ranges = list(firewall.get("sourceRanges", ()))
    tags = set(firewall.get("sourceTags", ()))
    accounts = set(firewall.get("sourceServiceAccounts", ()))
    if not ranges and not tags and not accounts:
        return _ANYWHERE
    found = [f"{address(m)}/32" for m in members if _tags(m) & tags or _accounts(m) & accounts]
    return tuple(dict.fromkeys(ranges + found))


def _ports(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


# ---- routes --------------------------------------------------------------------------------------------------


def routes_of(instance: Doc, routes: Iterable[Doc], members: Iterable[Doc]) -> tuple[Route, ...]:
    """The static routes that apply to one instance; those to subnetworks are not among them.

    A next hop instance that does not run takes its route with it; one that may not forward swallows packets.

    Args:
        instance: whose routes.
        routes: all routes of its network.
        members: all instances of its network.
    """
    members = list(members)
    answer = []
    for route in routes:
        tags = set(route.get("tags", ()))
        if route.get("nextHopNetwork") or (tags and not tags & _tags(instance)):
            continue
        destination, priority = route["destRange"], route["priority"]
        if route.get("nextHopGateway"):
            answer.append(Route(destination, "internet", priority=priority))
        elif route.get("nextHopVpnTunnel"):
            answer.append(Route(destination, "vpn", priority=priority))
        else:
            hop = next((m for m in members if _is_hop(m, route)), None)
            if hop is None or hop["status"] in ("STOPPING", "TERMINATED"):
                continue
            if hop["canIpForward"]:
                answer.append(Route(destination, "instance", address(hop), priority))
            else:
                answer.append(Route(destination, "none", priority=priority))
    return tuple(answer)


def _is_hop(member: Doc, route: Doc) -> bool:
    return member["selfLink"] == route.get("nextHopInstance") or address(member) == route.get("nextHopIp")


def learned_routes(
    store: Store, network: str, tunnels: Mapping[str, TunnelStatus]
) -> tuple[tuple[str, tuple[Route, ...]], ...]:
    """Routes that Cloud Routers learned, with the region (name) they count in; empty for everywhere."""
    everywhere = store.find(network).get("routingConfig", {}).get("routingMode") == "GLOBAL"
    found: dict[str, set[str]] = {}
    for key, tunnel in store.every("vpnTunnels"):
        status = tunnels.get(f"{key.place}/{key.name}")
        if status and status.up and store.find(tunnel["vpnGateway"]).get("network") == network:
            found.setdefault("" if everywhere else key.place, set()).update(status.learned)
    own = [IPv4Network(s["ipCidrRange"]) for _, s in store.every("subnetworks") if s["network"] == network]
    return tuple(
        (
            region,
            tuple(
                Route(cidr, "vpn", priority=_LEARNED_PRIORITY)
                for cidr in sorted(cidrs)
                # A subnetwork's own range is always nearer than what a peer says.
                if not any(IPv4Network(cidr).subnet_of(subnet) for subnet in own)
            ),
        )
        for region, cidrs in sorted(found.items())
    )


def _in_region(learned: tuple[tuple[str, tuple[Route, ...]], ...], instance: Doc) -> tuple[Route, ...]:
    here = instance["zone"].rpartition("/")[2].rpartition("-")[0]
    return tuple(route for region, routes in learned if region in ("", here) for route in routes)


# ---- machines and tunnels ------------------------------------------------------------------------------------


def machines(store: Store) -> tuple[Machine, ...]:
    """Every instance that exists and is not being deleted."""
    return tuple(
        Machine(
            cloud="gcp",
            id=machine_id(instance),
            name=instance["name"],
            network=instance["networkInterfaces"][0]["network"].rpartition("/")[2],
            hostname=hostname(store, instance),
            zone=key.place,
            private_ip=address(instance),
            public_ip=public(instance),
            script=metadata_value(instance, "startup-script"),
            powered=store.lives[key].goal == "run",
            bare=store.lives[key].image == BARE,
        )
        for key, instance in store.every("instances")
        if store.lives[key].goal != "delete"
    )


def hostname(store: Store, instance: Doc) -> str:
    """The instance's fully qualified name."""
    return str(instance.get("hostname") or f"{instance['name']}.c.{store.project}.internal")


def metadata_value(holder: Doc, name: str) -> str:
    """A value of an instance's own metadata; empty if it has none."""
    items = holder.get("metadata", {}).get("items", ())
    return next((str(item.get("value", "")) for item in items if item["key"] == name), "")


def authorized_keys(instance: Doc, project: Doc) -> str:
    """Lines for root's ``authorized_keys``, from ``ssh-keys`` (``USER:KEY`` lines) of instance and project.

    Args:
        instance: the instance.
        project: the project's common metadata.
    """
    own = metadata_value(instance, "ssh-keys").splitlines()
    shared = metadata_value({"metadata": project}, "ssh-keys").splitlines()
    blocked = metadata_value(instance, "block-project-ssh-keys").lower() == "true"
    users = (line.strip().partition(":") for line in own + ([] if blocked else shared))
    return "".join(f"{key}\n" for user, _, key in users if user == "root" and key)


def tunnels(store: Store) -> tuple[Tunnel, ...]:
    """Every tunnel that has all it needs: both ends, a key, and a BGP session on its router."""
    answer = []
    for key, document in store.every("vpnTunnels"):
        session = session_of(store, document)
        gateway = store.find(document["vpnGateway"])
        router_key = parse_link(document["router"], store.project)
        if session is None or not gateway or router_key is None:
            continue
        router, interface, peer = session
        local = {i.get("id", 0): i["ipAddress"] for i in gateway["vpnInterfaces"]}
        answer.append(
            Tunnel(
                cloud="gcp",
                network=gateway["network"].rpartition("/")[2],
                id=f"{key.place}/{key.name}",
                local=local[document["vpnGatewayInterface"]],
                peer=document["peerIp"],
                shared_key=document["sharedSecret"],
                ike=document["ikeVersion"],
                inside_local=interface["ipRange"].partition("/")[0],
                inside_peer=peer["peerIpAddress"],
                local_asn=router["bgp"]["asn"],
                peer_asn=peer["peerAsn"],
                advertised=advertised(store, router_key, router, peer),
                phase1=CIPHERS[document["ikeVersion"]],
                phase2=CIPHERS[document["ikeVersion"]],
                initiates=True,
                bgp=peer.get("enable") != "FALSE",
                med=peer["advertisedRoutePriority"],
            )
        )
    return tuple(answer)
