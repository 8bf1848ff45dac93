"""What a deployment in which all is well would tell, and the words in a picture."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from runbook_lib.consul import Member
from runbook_lib.params import Params
from runbook_lib.pictures.now import Balancer, Now, Said
from runbook_lib.pictures.picture import Picture
from runbook_lib.provision import hosts_of
from runbook_lib.resources import CLOUDS, CloudName, Found, Host
from tests.standing import PARAMS, site_of, standing

FOUND = standing()


def words(picture: Picture) -> list[str]:
    """All text in the image; fails on an SVG that is not well-formed, or that does not say what it shows."""
    root = ET.fromstring(picture.svg)
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.headline
    return ["".join(part.itertext()).strip() for part in root.iter("{http://www.w3.org/2000/svg}text")]


def inside(picture: Picture) -> str:
    """The image that the HTML shows."""
    [source] = re.findall(r'src="data:image/svg\+xml,([^"]*)"', picture._repr_html_())
    return unquote(html.unescape(source))


def nothing_is_cut(picture: Picture) -> None:
    """No text begins or ends outside the picture, and no letter is smaller than nine pixels on a page of 900."""
    root = ET.fromstring(picture.svg)
    left, top, width, height = map(float, root.get("viewBox", "").split())
    scale = 900 / width
    for part in root.iter("{http://www.w3.org/2000/svg}text"):
        style = part.get("style", "") + part.get("transform", "")
        [size] = re.findall(r"([\d.]+)px", style)[:1]
        assert float(size) * scale >= 9, "".join(part.itertext())
        place = re.findall(r"translate\(([-\d.]+) ([-\d.]+)\)", part.get("transform", ""))
        x, y = map(float, place[0] if place else (part.get("x", ""), part.get("y", "")))
        assert left <= x <= left + width and top <= y <= top + height, "".join(part.itertext())


def seen(found: Mapping[str, Found] = FOUND, params: Params = PARAMS, *, joined: bool = True) -> Now:
    """All of it as it should be: every agent alive, the first server leading, the service passing and routed."""
    site = site_of(found, params)
    hosts = hosts_of(site.topology, found)
    lan = {
        cloud: [member(host) for host in hosts if host.cloud == cloud and host.role != "bastion"] for cloud in CLOUDS
    }
    wan = {cloud: [member(host, wide=True) for host in hosts if host.role == "consul"] for cloud in CLOUDS}
    if not joined:
        wan = {cloud: [one for one in wan[cloud] if one.datacenter == site.datacenter(cloud)] for cloud in CLOUDS}
    said = {}
    for cloud in CLOUDS:
        servers = [host for host in hosts if (host.cloud, host.role) == (cloud, "consul")]
        web = {host.name: "passing" for host in hosts if (host.cloud, host.role) == (cloud, "web")}
        services = {"demo": web} if web else {}
        said[cloud] = tuple(
            Said(host.name, f"{servers[0].private_ip}:8300", tuple(lan[cloud]), tuple(wan[cloud]), services)
            for host in servers
        )
    routes = {"demo": params.web_servers}
    balancers = {host.name: Balancer(routes) for host in hosts if host.role == "traefik"}
    return Now(found, hosts, {cloud: site.datacenter(cloud) for cloud in CLOUDS}, said, balancers)


def member(host: Host, *, wide: bool = False, status: str = "alive") -> Member:
    """A host's agent in its datacenter's pool, or a server in the WAN pool."""
    name = f"{host.name}.{host.datacenter}" if wide else host.name
    return Member(name, host.private_ip, status, "server" if host.role == "consul" else "client", host.datacenter, "1")


def with_status(now: Now, cloud: CloudName, name: str, status: str) -> Now:
    """The same, with a member of a LAN pool in another state, as all servers but itself see it."""
    return _with(now, cloud, lambda said: replace(said, lan=_changed(said.lan, name, status)))


def silent(now: Now, cloud: CloudName, names: Iterable[str], problem: str = "refused") -> Now:
    """The same, with servers that do not answer."""
    gone = {*names}
    return _with(now, cloud, lambda said: Said(said.server, problem=problem) if said.server in gone else said)


def lost_from_afar(now: Now, name: str) -> Now:
    """The same, with a server failed in the WAN pool as AWS's servers see it."""
    [host] = [host for host in now.hosts if host.name == name]
    gone = member(host, wide=True, status="failed")
    return _with(
        now, "aws", lambda said: replace(said, wan=tuple(gone if one.name == gone.name else one for one in said.wan))
    )


def _with(now: Now, cloud: CloudName, change: Callable[[Said], Said]) -> Now:
    return replace(now, said={**now.said, cloud: tuple(map(change, now.said[cloud]))})


def _changed(members: Iterable[Member], name: str, status: str) -> tuple[Member, ...]:
    return tuple(replace(one, status=status) if one.name == name else one for one in members)
