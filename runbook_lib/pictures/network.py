"""Both clouds' networks: zones, subnets, addresses, ways out, the VPN, and what their firewalls let in now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..provision import hosts_of
from ..resources import CLOUDS, CloudName, Found, Host
from ..site import Site
from . import drawing as d
from .now import Now, is_up
from .openings import Opening, by_hand, openings
from .picture import Picture
from .places import Place, links, places

_WIDE = d.WIDTH - 2 * d.MARGIN
_INSIDE = _WIDE - 16
# Where the table's columns begin, and how wide they are.
_TABLE = ((0.0, 215.0), (220.0, 100.0), (325.0, 235.0), (562.0, 80.0))


def network(site: Site) -> Picture:
    """Both clouds' zones, subnets, addresses, ways out, VPN and open ports, as their APIs have them now.

    Raises:
        CloudError: a cloud does not answer.
    """
    found = {**site.found(), **by_hand(site)}
    now = Now(found, hosts_of(site.topology, found), {cloud: site.datacenter(cloud) for cloud in CLOUDS})
    return drawn(now, site.params.deployment, given=site.topology.network is not None)


def drawn(now: Now, deployment: str, *, given: bool = False) -> Picture:
    """The picture of what was seen. Pure.

    Args:
        now: what was seen.
        deployment: its name, which is taken off the names.
        given: whether the network is another's making.
    """
    parts = [_Cloud(now, cloud, deployment) for cloud in CLOUDS]
    middle = links(now, given=given)
    canvas = d.Canvas(sum(part.height + d.MARGIN for part in parts) + 40)
    words, y = [], d.MARGIN
    for place, part in enumerate(parts):
        words.append(part.draw(canvas, y))
        y += part.height
        if not place:
            colour = d.PALE if middle.vpn_good is None else d.GOOD if middle.vpn_good else d.BAD
            if middle.vpn_good is not None:
                canvas.line((d.WIDTH / 2, y), (d.WIDTH / 2, y + 28), colour=colour, arrow="<->")
            canvas.text(d.WIDTH / 2 + 8, y + 14, " ".join(("VPN:", *middle.vpn_short)), colour=colour, bold=True)
            words.append(middle.vpn)
            y += 28
    d.roles(canvas, d.MARGIN + 2, y + 12)
    subnets = sum(len(places(now, cloud)) for cloud in CLOUDS)
    rules = sum(len(part.openings) for part in parts)
    headline = f"Network now: {subnets} subnets, {len(now.hosts)} hosts, {rules} openings in two clouds. {middle.vpn}"
    return Picture(canvas.svg(), headline, "\n".join(words))


class _Cloud:
    """One cloud's panel.

    Args:
        now: what was seen.
        cloud: which.
        deployment: its name.
    """

    def __init__(self, now: Now, cloud: CloudName, deployment: str) -> None:
        self.places = places(now, cloud)
        placed = {host.name for place in self.places for host in place.hosts}
        if rest := tuple(host for host in now.of(cloud) if host.name not in placed):
            self.places.append(Place("elsewhere", "", "", False, rest))
        self.openings = openings(now.found, cloud, deployment)
        zones = {place.zone for place in self.places} | {host.zone for host in now.of(cloud)}
        self.zones = sorted(zones - {""}) or [""]
        self.title = f"{cloud.upper()} {now.datacenters[cloud]}"
        self.facts = [line for fact in _facts(now.found, cloud) for line in d.wrapped(fact, _INSIDE)]
        self.table = [(_row(opening), opening) for opening in self.openings]
        self.bands = _bands(self.places)
        table = sum(_tall(cells) for cells, _ in self.table) + 20
        bands = sum(self._band(band) + 6 for band in self.bands) + 12
        empty = not self.places and not self.openings
        self.height = 60.0 if empty else 24 + bands + d.LEAD * len(self.facts) + table

    def draw(self, canvas: d.Canvas, y: float) -> str:
        """Draw it; returns what it shows in words."""
        left = d.MARGIN + 8
        canvas.box(d.MARGIN, y, _WIDE, self.height, edge=d.INK)
        canvas.text(left, y + 12, self.title, size=d.TITLE, bold=True)
        if not self.places and not self.openings:
            canvas.text(d.WIDTH / 2, y + 35, "nothing here yet", size=d.TEXT, colour=d.PALE, align="center")
            return f"{self.title}: nothing yet."
        y += 26
        for column, zone in enumerate(self.zones):
            canvas.text(left + (column + 0.5) * self._zone, y, f"zone {zone}", align="center", colour=d.PALE)
        y += 8
        for band in self.bands:
            tall = self._band(band)
            for place in band:
                self._place(canvas, place, y, tall)
            y += tall + 6
        y = canvas.lines(left, y + 6, self.facts) + 4
        for (x, _), title in zip(_TABLE, ("let in to", "ports", "from", ""), strict=True):
            canvas.text(left + x, y, title, bold=True)
        y += d.LEAD
        for cells, opening in self.table:
            canvas.line((left, y - 5.5), (left + _INSIDE, y - 5.5), colour="#dddddd")
            for (x, _), lines in zip(_TABLE, cells, strict=True):
                canvas.lines(left + x, y, lines, colour=d.NEW if opening.note else d.INK, bold=bool(opening.note))
            y += _tall(cells)
        return self.words

    @property
    def words(self) -> str:
        """What it shows."""
        subnets = "; ".join(
            f"{place.name} {place.cidr} {place.zone} ({', '.join(map(_said, place.hosts)) or 'no hosts'})".replace(
                "  ", " "
            )
            for place in self.places
        )
        opened = "; ".join(
            f"{', '.join(one.to)}: {', '.join(one.ports)} from {', '.join(one.sources)}"
            + (f" ({one.note})" if one.note else "")
            for one in self.openings
        )
        return f"{self.title}: {subnets or 'no subnets'}. {' '.join(self.facts)} Let in: {opened or 'nothing'}."

    @property
    def _zone(self) -> float:
        return _INSIDE / len(self.zones)

    def _band(self, band: Sequence[Place]) -> float:
        """How tall a row of subnets is: as the fullest zone of it."""
        most = max(len(_in_zone(place, zone)) for place in band for zone in self.zones)
        return 18 + d.LEAD * 2 * max(1, most)

    def _place(self, canvas: d.Canvas, place: Place, y: float, tall: float) -> None:
        """One subnet: in its zone, or across all of them."""
        left = d.MARGIN + 8
        column = self.zones.index(place.zone) if place.zone else 0
        wide = self._zone if place.zone else _INSIDE
        x = left + column * self._zone
        canvas.box(x, y, wide - 4, tall, fill="#eef6ee" if place.public else d.AREA)
        canvas.text(x + 5, y + 8, f"{place.name}  {place.cidr}", bold=True)
        for number, zone in enumerate(self.zones):
            for row, host in enumerate(_in_zone(place, zone)):
                _host(canvas, host, left + number * self._zone + 6, y + 19 + row * 2 * d.LEAD)


# ---- pure ------------------------------------------------------------------------------------------------


def _bands(known: Sequence[Place]) -> list[list[Place]]:
    """Subnets that are drawn side by side: the public ones of all zones, then the private ones; else one a row."""
    zonal = [[place for place in known if place.zone and place.public == public] for public in (True, False)]
    return [band for band in zonal if band] + [[place] for place in known if not place.zone]


def _in_zone(place: Place, zone: str) -> list[Host]:
    return [host for host in place.hosts if host.zone in (zone, "")]


def _said(host: Host) -> str:
    state = "" if is_up(host) else host.state.lower()
    return " ".join(filter(None, (host.name, host.private_ip, host.public_ip, state)))


def _facts(found: Mapping[str, Found], cloud: CloudName) -> list[str]:
    """The network's own range and the ways out of it, a sentence each."""
    facts = []
    names = {thing.id: key.rpartition(":")[2] for key, thing in found.items()}
    addresses = {thing.id: thing.attributes.get("address", "") for thing in found.values()}
    for key, thing in sorted(found.items()):
        kind, name = key.rpartition(":")[0], key.rpartition(":")[2]
        if kind == "aws:vpc" == f"{cloud}:vpc":
            facts.append(f"Network {name}, {thing.spec['cidr']}.")
        elif kind == "gcp:network" == f"{cloud}:network":
            facts.append(f"Network {name}.")
        elif kind == "aws:nat_gateway" == f"{cloud}:nat_gateway":
            address, subnet = addresses.get(thing.spec["elastic_ip"]), names.get(thing.spec["subnet"], "?")
            facts.append(f"NAT gateway {name} in {subnet}, to the internet as {address or 'an address not known'}.")
        elif kind == "aws:route_table" == f"{cloud}:route_table":
            learned = ", ".join(thing.attributes.get("learned") or ()) or "nothing"
            ways = [
                f"{one['destination']} by {names.get(one['target'], one['target'])}" for one in thing.spec["routes"]
            ]
            facts.append(f"Routes of {name}: {', '.join(ways) or 'none'}; learned by the VPN: {learned}.")
        elif kind == "gcp:route" == f"{cloud}:route":
            hop, tags = str(thing.spec["next_hop_instance"]).rpartition("/")[2], ", ".join(thing.spec["tags"])
            facts.append(f"Route {name}: {thing.spec['dest_range']} of {tags or 'all'} by {hop}, which is their NAT.")
        elif kind == "gcp:router_peering" == f"{cloud}:router_peering":
            learned = ", ".join(thing.attributes.get("learned") or ()) or "nothing"
            facts.append(f"Router {name}: learned by the VPN: {learned}.")
    return facts


def _row(opening: Opening) -> list[list[str]]:
    """An opening's cells as lines."""
    texts = (", ".join(opening.to), ", ".join(opening.ports), ", ".join(opening.sources), opening.note)
    return [d.wrapped(text, wide) for text, (_, wide) in zip(texts, _TABLE, strict=True)]


def _tall(cells: Sequence[Sequence[str]]) -> float:
    return d.LEAD * max(map(len, cells)) + 2


# ---- drawing ---------------------------------------------------------------------------------------------


def _host(canvas: d.Canvas, host: Host, x: float, y: float) -> None:
    up = is_up(host)
    colour = d.colour_of(host.role) if up else d.BAD
    canvas.box(x, y - 3.5, 7, 7, fill=colour, edge=colour)
    name = host.name.removeprefix(f"server-{host.cloud}-")
    canvas.text(x + 11, y, name if up else f"✗ {name}: {host.state.lower()}", bold=True, colour=d.INK if up else d.BAD)
    canvas.text(x + 11, y + d.LEAD - 0.5, "  ".join(filter(None, (host.private_ip, host.public_ip))))
