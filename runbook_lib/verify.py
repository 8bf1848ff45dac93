"""What each step promises, looked at where it happens, as checks to ``require``.

The observations are of the clouds' APIs, of hosts over SSH, of Consul, Traefik and the public addresses; nothing is
concluded from what was asked for. What is expected comes from the parameters and the article's facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import yaml

from . import consul, traefik, visits, wait
from .bootstrap import FINISHED, RETRY_JOIN, bootstrap_expect
from .checks import Check, at_least, contains, equal, is_true
from .errors import AccessError
from .params import Params
from .resources import CLOUDS, CloudName, Found, Host
from .site import Site
from .together import each
from .topology.names import role_name
from .topology.network import aws_subnets
from .vpn import tunnels

# Ports that nobody outside may reach, on any public address: Consul's API and DNS, and the dashboard.
CLOSED = (8080, 8500, 8600)


def settled(site: Site, step: str) -> Iterator[Check]:
    """A step has nothing left to do: both clouds report what its plan wants, field by field."""
    yield equal(f"{step}: still to do", [], [f"{action.verb} {action.key}" for action in site.plan(step).work])


# ---- 00_provision ----------------------------------------------------------------------------------------


def network(site: Site) -> Iterator[Check]:
    """Networks, subnets, ways out and rights, as both APIs report them. Nothing of a given network layer."""
    params, dep, found = site.params, site.params.deployment, site.found()
    if site.topology.network is None:
        public, private = aws_subnets(params)
        yield equal("AWS: the VPC's range", params.aws_network, found[f"aws:vpc:{dep}-vpc"].spec["cidr"])
        for kind, ranges in (("public", public), ("private", private)):
            subnets = {f"{s['zone']} {s['cidr']}" for s in _specs(found, f"aws:subnet:{dep}-{kind}-")}
            wanted = {f"{zone} {cidr}" for zone, cidr in zip(params.aws_zones, ranges, strict=True)}
            yield equal(f"AWS: {kind} subnets, one a zone", wanted, subnets)
        nat, tables = found[f"aws:nat_gateway:{dep}-nat"], _tables(found, dep)
        first = found[f"aws:subnet:{dep}-public-{params.aws_zones[0][-1]}"]
        yield equal("AWS: the NAT gateway stands in the first public subnet", first.id, nat.spec["subnet"])
        yield equal("AWS: private hosts go out by it", nat.id, tables["private"])
        yield equal("AWS: public hosts go straight", found[f"aws:internet_gateway:{dep}-igw"].id, tables["public"])
        for kind, cidr in (("public", params.gcp_public_subnet), ("private", params.gcp_private_subnet)):
            yield equal(f"GCP: the {kind} subnet", cidr, found[f"gcp:subnetwork:{dep}-{kind}"].spec["ip_cidr_range"])
        way = found[f"gcp:route:{dep}-nat"].spec
        yield equal(
            "GCP: private hosts go out by the bastion (next hop, priority, tags)",
            (f"{dep}-bastion-gcp", 800, ("consul-clients", "consul-servers")),
            (way["next_hop_instance"].rpartition("/")[2], way["priority"], tuple(sorted(way["tags"]))),
        )
        bastion = found[f"gcp:instance:{dep}-bastion-gcp"].spec
        yield is_true("GCP: the bastion may forward packets", bastion["can_ip_forward"])
    role = found[f"aws:iam_role:{role_name(dep)}"].spec
    yield equal("AWS: instances may only list instances", ["ec2:DescribeInstances"], role["actions"])


def vpn(site: Site) -> Iterator[Check]:
    """The four tunnels as both clouds see them. Nothing of a given network layer."""
    params, dep, found = site.params, site.params.deployment, site.found()
    if site.topology.network is None:
        yield equal("AWS: AS number", params.aws_asn, found[f"aws:vpn_gateway:{dep}-vgw"].spec["asn"])
        router = found[f"gcp:router:{dep}-vpn"].spec
        yield equal("GCP: AS number", params.gcp_asn, router["bgp"]["asn"])
        states = tunnels(site)
        yield equal("AWS: tunnels up", ["UP"] * 4, [row["aws"] for row in states])
        yield equal("GCP: tunnels established", ["ESTABLISHED"] * 4, [row["gcp"] for row in states])
        gateway = found[f"aws:vpn_gateway:{dep}-vgw"].id
        for kind in ("public", "private"):
            table = found[f"aws:route_table:{dep}-{kind}"].spec
            yield equal(f"AWS: learned routes reach the {kind} subnets", [gateway], table["propagating"])
            learned = found[f"aws:route_table:{dep}-{kind}"].attributes["learned"]
            yield equal(f"AWS: networks that the {kind} subnets learned", _gcp_networks(params), learned)
        peering = found[f"gcp:router_peering:{dep}-vpn"]
        priorities = [peer["advertised_route_priority"] for peer in peering.spec["bgp_peers"]]
        yield equal("GCP: BGP sessions, with their priority", [100] * 4, priorities)
        yield equal("GCP: BGP sessions", ["Established"] * 4, list(peering.attributes["sessions"].values()))
        yield equal("GCP: networks that the router learned", [params.aws_network], peering.attributes["learned"])


def through_vpn(site: Site) -> Iterator[Check]:
    """A connection to the other side's private network, from each bastion to the other."""
    bastions = {host.cloud: host for host in site.hosts("bastion")}
    # A given network's bastions are known by their public addresses alone: they are asked for the other one.
    addresses = {cloud: host.private_ip or _private_address(site, host) for cloud, host in bastions.items()}
    for here in CLOUDS:
        there: CloudName = "gcp" if here == "aws" else "aws"
        yield is_true(
            f"{here}'s bastion reaches {there}'s at {addresses[there]}, through the VPN",
            _opens(site, bastions[here], addresses[there], 22),
        )


# ---- 01_bootstrap ----------------------------------------------------------------------------------------


def cluster(site: Site, cloud: CloudName) -> Iterator[Check]:
    """One datacenter's servers: quorum, names, places, and how they found each other."""
    servers = site.hosts("consul", cloud)
    wanted = [node.name for node in site.topology.nodes_of(cloud, "consul")]
    zones = site.params.aws_zones if cloud == "aws" else site.params.gcp_zones
    first = servers[0]
    yield equal(f"{cloud}: servers", wanted, [host.name for host in servers])
    yield equal(f"{cloud}: zones", {zones[i % len(zones)] for i in range(len(wanted))}, {host.zone for host in servers})
    yield equal(f"{cloud}: servers with a public address", [], [host.name for host in servers if host.public_ip])
    leaders = {consul.leader(site.access, host) for host in servers}
    yield equal(f"{cloud}: all name one leader", 1, len(leaders))
    peers = consul.peers(site.access, first)
    yield equal(f"{cloud}: voters", wanted, [peer.name for peer in peers if peer.voter])
    alive = [m for m in consul.members(site.access, first) if m.status == "alive" and m.role == "server"]
    yield equal(f"{cloud}: servers alive", wanted, [member.name for member in alive])
    yield equal(f"{cloud}: datacenter", {site.datacenter(cloud)}, {member.datacenter for member in alive})
    yield from _rights(site, cloud, wanted)
    # An early server is told of the few that exist by then; together they were told of all, and of nobody else.
    told = {h.name: {a for d in consul.discovered(site.access, h) for a in d.servers} for h in servers}
    addresses = {host.private_ip for host in servers}
    for server, some in told.items():
        yield is_true(f"{server}: its log tells whom the cloud's API named", some and some <= addresses, sorted(some))
    yield equal(f"{cloud}: servers found through the cloud's API", addresses, set().union(*told.values()))


def _rights(site: Site, cloud: CloudName, names: list[str]) -> Iterator[Check]:
    """What auto-join needs: the tag it looks for, and the right to look, which is the only one."""
    dep, found = site.params.deployment, site.found()
    specs = [found[f"{cloud}:instance:{dep}-{name}"].spec for name in names]
    if cloud == "aws":
        yield equal("aws: the servers' tag", {"server"}, {spec["tags"].get("Consul") for spec in specs})
        yield equal("aws: their instance profile", {role_name(dep)}, {spec["profile"] for spec in specs})
    else:
        yield equal("gcp: the servers' tag", {("consul-servers",)}, {tuple(spec["tags"]["items"]) for spec in specs})
        scopes = {scope for spec in specs for account in spec["service_accounts"] for scope in account["scopes"]}
        yield equal("gcp: their scopes", {"https://www.googleapis.com/auth/compute.readonly"}, scopes)


def host_setup(site: Site, cloud: CloudName) -> Iterator[Check]:
    """Each server from inside: its configuration, its service, its log, its names, its console."""

    def one(host: Host) -> list[Check]:
        run = site.access.run
        config = json.loads(run(host, "cat /etc/consul/consul.json").stdout)
        unit = run(host, "cat /etc/systemd/system/consul.service").stdout
        owner = run(host, "ps -o user= -C consul").stdout.split()
        return [
            equal(f"{host.name}: retry_join", [RETRY_JOIN[cloud]], config["retry_join"]),
            equal(
                f"{host.name}: datacenter and address, from its metadata",
                (site.datacenter(cloud), host.private_ip),
                (config["datacenter"], config["bind_addr"]),
            ),
            equal(f"{host.name}: servers awaited", bootstrap_expect(site.params), config["bootstrap_expect"]),
            equal(f"{host.name}: data", "/var/consul", config["data_dir"]),
            equal(f"{host.name}: runs as", ["consul"], owner),
            equal(f"{host.name}: restarts", ["on-failure"], re.findall(r"^Restart=(.*)$", unit, re.MULTILINE)),
            is_true(f"{host.name}: syslog has its lines", run(host, _SYSLOG).stdout.strip() not in ("", "0")),
            equal(
                f"{host.name}: consul.service.consul, through dnsmasq",
                sorted(server.private_ip for server in site.hosts("consul", cloud)),
                sorted(consul.resolve(site.access, host, "consul.service.consul")),
            ),
            equal(f"{host.name}: the console's last line", FINISHED, site.console(host).strip().rpartition("\n")[2]),
        ]

    return of_each(one, site.hosts("consul", cloud))


# What a syslog daemon or the journal has of Consul, in lines.
_SYSLOG = "{ cat /var/log/syslog 2>/dev/null; journalctl -q -t consul 2>/dev/null; } | grep -c consul"


# ---- 02_federate -----------------------------------------------------------------------------------------


def federation(site: Site) -> Iterator[Check]:
    """One WAN pool of all servers, questions across it, and names of either side."""
    names = {f"{h.name}.{h.datacenter}" for h in site.hosts("consul")}
    centers = {site.datacenter(cloud) for cloud in CLOUDS}
    for cloud in CLOUDS:
        here, other = site.hosts("consul", cloud)[0], "gcp" if cloud == "aws" else "aws"
        pool = consul.members(site.access, here, wan=True)
        yield equal(f"{here.name}: the WAN pool, alive", names, {m.name for m in pool if m.status == "alive"})
        yield equal(f"{here.name}: datacenters", centers, consul.datacenters(site.access, here))
        there = site.hosts("consul", other)
        dc = site.datacenter("gcp" if cloud == "aws" else "aws")
        across = _across(site, here, "consul", dc)
        yield equal(f"{here.name}: asks {dc} for its servers", [h.name for h in there], [i.node for i in across])
        name = f"{there[0].name}.node.{dc}.consul"
        yield equal(f"{here.name}: resolves {name}", [there[0].private_ip], consul.resolve(site.access, here, name))


def wan_files(site: Site) -> Iterator[Check]:
    """Every server knows every server of the other side when it starts."""

    def one(host: Host) -> list[Check]:
        other = "gcp" if host.cloud == "aws" else "aws"
        wanted = sorted(server.private_ip for server in site.hosts("consul", other))
        text = site.access.run(host, f"cat {consul.WAN_FILE}").stdout
        return [equal(f"{host.name}: retry_join_wan", wanted, json.loads(text)["retry_join_wan"])]

    return of_each(one, site.hosts("consul"))


# ---- 03_traefik ------------------------------------------------------------------------------------------


def balancers(site: Site) -> Iterator[Check]:
    """Every Traefik answers the public on port 80 and nobody outside on any other, and reads its local agent."""

    def one(host: Host) -> list[Check]:
        reply = visits.ask(site.params, host, "nobody")[0]
        about = traefik.overview(site.access, host)
        answering = each(lambda port: visits.answers(site.params, host, port, timeout=1), CLOSED)
        open_outside = [port for port, answer in zip(CLOSED, answering, strict=True) if answer]
        config = yaml.safe_load(site.access.run(host, "cat /etc/traefik/traefik.yml").stdout)
        catalog = config["providers"]["consulCatalog"]
        return [
            equal(f"{host.name}: answers the public on port 80 (no such service yet)", 404, reply.status),
            equal(f"{host.name}: other ports open to the public", [], open_outside),
            at_least(f"{host.name}: dashboard by way of the bastion, version", "3", about.version),
            contains(f"{host.name}: provider", "ConsulCatalog", about.providers),
            equal(f"{host.name}: reads the local agent", "127.0.0.1:8500", catalog["endpoint"]["address"]),
            equal(f"{host.name}: watches, with prefix", (True, "traefik"), (catalog["watch"], catalog["prefix"])),
            equal(f"{host.name}: only services so tagged", "Tag(`traefik.tags=exposed`)", catalog["constraints"]),
        ]

    return of_each(one, site.hosts("traefik"))


def members(site: Site, *roles: str) -> Iterator[Check]:
    """Every host of these roles is alive in its datacenter's LAN pool; others may be there, too."""
    for cloud in CLOUDS:
        wanted = [host.name for host in site.hosts(cloud=cloud) if host.role in roles]
        pool = consul.members(site.access, site.hosts("consul", cloud)[0])
        yield contains(f"{cloud}: alive in the LAN pool", wanted, [m.name for m in pool if m.status == "alive"])


def clients(site: Site) -> Iterator[Check]:
    """Agents that are no servers, in each datacenter's gossip pool."""
    for cloud in CLOUDS:
        wanted = [host.name for host in site.hosts(cloud=cloud) if host.role in ("traefik", "web")]
        pool = consul.members(site.access, site.hosts("consul", cloud)[0])
        seen = [m.name for m in pool if m.role == "client" and m.status == "alive"]
        yield equal(f"{cloud}: clients alive", wanted, seen)


def straight_out(site: Site) -> Iterator[Check]:
    """GCP's load balancers carry none of the tags that would send their answers out by the bastion."""
    found = site.found()
    for host in site.hosts("traefik", "gcp"):
        tags = found[f"gcp:instance:{site.params.deployment}-{host.name}"].spec["tags"]["items"]
        yield equal(f"{host.name}: tags", ["traefik", "consul-traefik"], tags)


# ---- 04_test ---------------------------------------------------------------------------------------------


def service(site: Site, name: str = "demo") -> Iterator[Check]:
    """The service as Consul has it, asked in its own datacenter and across, and as Traefik took it over."""
    for cloud in CLOUDS:
        here, other = site.hosts("consul", cloud)[0], "gcp" if cloud == "aws" else "aws"
        webs = [host.name for host in site.hosts("web", cloud)]
        far = [host.name for host in site.hosts("web", other)]
        local = consul.health(site.access, here, name)
        yield equal(f"{here.name}: {name}, passing", webs, [i.node for i in local if i.status == "passing"])
        yield equal(f"{here.name}: port and tags", {(80, ("traefik.tags=exposed",))}, {(i.port, i.tags) for i in local})
        dc = site.datacenter("gcp" if cloud == "aws" else "aws")
        across = _across(site, here, name, dc)
        yield equal(f"{here.name}: {name} asked with dc={dc}", far, [instance.node for instance in across])
    for host in site.hosts("traefik"):
        rules = {router.rule for router in traefik.routers(site.access, host)}
        yield contains(f"{host.name}: route", f"Host(`{name}.{site.params.domain}`)", rules)


def all_answered(site: Site, answers: Iterable[visits.Answer]) -> Iterator[Check]:
    """Behind every Traefik, every web server of its cloud has answered."""
    given = tuple(answers)
    for host in site.hosts("traefik"):
        wanted = {visits.server_name(site.params, web) for web in site.hosts("web", host.cloud)}
        yield equal(f"{host.name}: answered by", wanted, {a.server for a in given if a.traefik == host.name and a.ok})


def none_failed(answers: Iterable[visits.Answer]) -> Iterator[Check]:
    """No visitor went without a web server's answer."""
    failed = [f"{answer.traefik}: {answer.status or answer.text}" for answer in answers if not answer.ok]
    yield equal("requests that failed", [], failed)


def from_bastion(site: Site, name: str = "demo") -> Iterator[Check]:
    """The article's own way: on a bastion, with the name mapped to one load balancer after the other."""
    bastion = site.hosts("bastion", "gcp")[0]
    domain = f"{name}.{site.params.domain}"
    for host in site.hosts("traefik"):
        command = f"curl -sS --max-time 10 --resolve {domain}:80:{host.public_ip} http://{domain}/"
        page = site.access.run(bastion, command).stdout
        wanted = [visits.server_name(site.params, web) for web in site.hosts("web", host.cloud)]
        yield is_true(f"curl {domain}, mapped to {host.name}", visits.served_by(page) in wanted, " or ".join(wanted))


def outage(seen: visits.Outage) -> Iterator[Check]:
    """One web server stopped and started: seen to leave and to return, and nobody else's request lost."""
    away = len(seen.between(seen.left, seen.started))
    yield at_least("requests while it was watched", 50, len(seen.answers))
    yield at_least("requests while it was away", 1, away)
    yield equal(
        f"answers by {seen.server} once it had left", 0, seen.count(seen.left, seen.started, server=seen.server)
    )
    if seen.alone:
        yield equal("failed requests once the only one had left", away, seen.failed(seen.left, seen.started))
    else:
        yield equal("failed requests once it had left", 0, seen.failed(seen.left, seen.started))
    yield at_least(f"answers by {seen.server} after its return", 1, seen.count(seen.returned, server=seen.server))
    yield equal("failed requests after its return", 0, seen.failed(seen.returned))


# ---- 05_teardown -----------------------------------------------------------------------------------------


def nothing_left(site: Site) -> Iterator[Check]:
    """Neither cloud has anything with this deployment's name."""
    left = site.left()
    for cloud in CLOUDS:
        yield equal(f"{cloud}: resources of {site.params.deployment}", [], [k for k in left if k.startswith(cloud)])


# ---- underneath ------------------------------------------------------------------------------------------


def _gcp_networks(params: Params) -> list[str]:
    return sorted((params.gcp_public_subnet, params.gcp_private_subnet))


def _specs(found: Mapping[str, Found], prefix: str) -> Iterator[Mapping[str, Any]]:
    return (thing.spec for key, thing in found.items() if key.startswith(prefix))


def _tables(found: Mapping[str, Found], dep: str) -> dict[str, str]:
    """Where the default route of each of AWS's route tables leads."""
    targets = {}
    for kind in ("public", "private"):
        routes = found[f"aws:route_table:{dep}-{kind}"].spec["routes"]
        targets[kind] = next((r["target"] for r in routes if r["destination"] == "0.0.0.0/0"), "nowhere")
    return targets


def _across(site: Site, host: Host, service: str, dc: str) -> tuple[consul.Instance, ...]:
    """A service in the other datacenter. A server that was just restarted may first hear of a closed stream."""
    return wait.until(
        lambda: consul.catalog(site.access, host, service, dc=dc),
        bool,
        what=f"{service} in {dc}, asked at {host.name}",
        timeout=min(30, site.params.timeout),
        remedy="can the servers reach each other on port 8300?",
        tolerate=(AccessError,),
    )


def _private_address(site: Site, host: Host) -> str:
    return site.access.run(host, "hostname -I").stdout.split()[0]


def _opens(site: Site, host: Host, address: str, port: int) -> bool:
    """Whether a TCP connection from a host to an address opens."""
    command = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
    return site.access.run(host, command, check=False).exit_status == 0


def of_each(work: Callable[[Host], Iterable[Check]], hosts: Iterable[Host]) -> Iterator[Check]:
    """The checks of every host, in the hosts' order, made at the same time."""
    return (check for checks in each(work, hosts) for check in checks)
