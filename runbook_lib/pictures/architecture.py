"""The whole deployment in one picture, which grows from notebook to notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ParameterError
from ..resources import CLOUDS, OPTIONAL, STEPS, CloudName, Host
from ..site import Site
from ..topology.nodes import STEP_OF_ROLE
from . import drawing as d
from .now import Now, is_up, look
from .picture import Picture
from .places import Links, links, places

# What the steps add besides hosts.
NETWORK, WAN = STEPS[0], STEPS[2]
_SIGNS: Mapping[str, str] = {"passing": "✓", "warning": "!", "critical": "✗"}
_WIDE, _GAP, _TOP, _CELLS = 298.0, 63.0, 62.0, 3
_LEFT: Mapping[CloudName, float] = {"aws": d.MARGIN, "gcp": d.MARGIN + _WIDE + _GAP}


@dataclass(frozen=True, slots=True)
class Line:
    """One line in a host's box, and whether it tells of something that is not as it should be."""

    words: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A host as it is drawn."""

    host: Host
    title: str
    lines: tuple[Line, ...]
    new: bool

    @property
    def bad(self) -> bool:
        """Whether anything of it is not as it should be."""
        return any(line.bad for line in self.lines)

    @property
    def words(self) -> str:
        """The same as text."""
        told = ", ".join(line.words for line in self.lines if line.words not in (self.host.private_ip, _public(self)))
        new = " (new)" if self.new else ""
        addresses = " ".join(filter(None, (self.host.private_ip, self.host.public_ip)))
        return f"{self.host.name} {addresses} {told}{' leader' if '★' in self.title else ''}{new}"


def architecture(site: Site, new: str = "") -> Picture:
    """Both clouds, Consul and Traefik as they answer now: hosts with their state, who leads, what is routed, the links.

    Args:
        site: the deployment.
        new: a step whose parts are marked as new, for example ``01_bootstrap``; none by default.

    Raises:
        ParameterError: there is no such step.
        CloudError: a cloud does not answer. Consul and Traefik may stay silent: the picture says so then.
    """
    if new and new not in (*STEPS, *OPTIONAL):
        raise ParameterError(
            f"there is no step called {new}",
            resource="new",
            expected=f"one of: {', '.join(STEPS)}, or nothing",
            seen=new,
        )
    return drawn(look(site), new, given=site.topology.network is not None)


def drawn(now: Now, new: str = "", *, given: bool = False) -> Picture:
    """The picture of what was seen. Pure.

    Args:
        now: what was seen.
        new: a step whose parts are marked.
        given: whether the network is another's making.
    """
    boxes = {cloud: [_box(now, host, new) for host in now.of(cloud)] for cloud in CLOUDS}
    areas = {cloud: _areas(now, cloud, boxes[cloud], given) for cloud in CLOUDS}
    notes = {cloud: d.wrapped(_consul(now, cloud), _WIDE - 16) if boxes[cloud] else [] for cloud in CLOUDS}
    tall = {cloud: 26 + d.LEAD * len(notes[cloud]) + sum(8 + area.height for area in areas[cloud]) for cloud in CLOUDS}
    height = max(110.0, *tall.values())
    canvas = d.Canvas(_TOP + height + 34)
    canvas.box(237, 10, 200, 20, fill="#e8eef5")
    canvas.text(337, 20, "the internet", size=d.TEXT, align="center")
    words = []
    for cloud in CLOUDS:
        words.append(_cloud(canvas, now, cloud, areas[cloud], notes[cloud], height=height, new=new))
    there = links(now, given=given)
    words.append(_middle(canvas, there, _TOP + height / 2, new))
    _legend(canvas, _TOP + height + 20, bool(new))
    every = [box for some in boxes.values() for box in some]
    bad = [box.host.name for box in every if box.bad]
    headline = f"Architecture now: {len(every)} hosts in two clouds, " + (
        f"{len(bad)} of them not as they should be: {', '.join(bad)}." if bad else "none of them marked as failing."
    )
    return Picture(canvas.svg(), headline, "\n".join(words))


# ---- pure: what is told of a host ------------------------------------------------------------------------


def _box(now: Now, host: Host, new: str) -> Box:
    lines = [Line(address) for address in (host.private_ip, host.public_ip) if address]
    up = is_up(host)
    lines.append(Line(host.state.lower() if up else f"✗ {host.state.lower()}", not up))
    if state := now.state(host):
        lines.append(Line("consul: alive") if state == "alive" else Line(f"✗ consul: {state}", True))
    elif up and host.role == "consul":
        lines.append(Line("✗ consul: no answer", True))
    if up:
        lines += _served(now, host)
    leads = " ★" if now.leader(host.cloud) == host.name else ""
    title = host.name.removeprefix(f"server-{host.cloud}-")
    return Box(host, title + leads, tuple(lines), STEP_OF_ROLE.get(host.role) == new)


def _served(now: Now, host: Host) -> list[Line]:
    """What a web server's services are like, or what a load balancer routes."""
    if host.role == "traefik" and host.name in now.balancers:
        balancer = now.balancers[host.name]
        if balancer.problem:
            return [Line("✗ traefik: no answer", True)]
        return [_route(name, many) for name, many in balancer.routes.items()] or [Line("routes: none")]
    view = now.view(host.cloud)
    held = {name: states[host.name] for name, states in view.services.items() if host.name in states} if view else {}
    return [Line(f"{_SIGNS.get(state, '✗')} {name}: {state}", state != "passing") for name, state in held.items()]


def _route(name: str, many: int) -> Line:
    return Line(f"{name} → {many} server{'' if many == 1 else 's'}", not many)


def _consul(now: Now, cloud: CloudName) -> str:
    """What Consul says of a datacenter, in a sentence."""
    view = now.view(cloud)
    if view is None:
        return now.problem(cloud)
    alive = sum(member.status == "alive" for member in view.lan)
    leader = now.leader(cloud) or ("at " + view.leader if view.leader else "none")
    return f"Consul: {alive} of {len(view.lan)} members alive, leader: {leader}"


def _public(box: Box) -> str:
    return box.host.public_ip or ""


# ---- pure: where it stands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Area:
    """Hosts that stand side by side."""

    name: str
    boxes: tuple[Box, ...]
    public: bool

    @property
    def cell(self) -> float:
        """How tall the boxes are."""
        return 8 + d.LEAD * (1 + max((len(box.lines) for box in self.boxes), default=0))

    @property
    def height(self) -> float:
        """How tall it is."""
        rows = -(-len(self.boxes) // _CELLS)
        return 17 + max(rows * (self.cell + 6), 12)


def _areas(now: Now, cloud: CloudName, boxes: Sequence[Box], given: bool) -> list[Area]:
    """The public and the private subnets with who stands there, those who stand in neither last."""
    by_name = {box.host.name: box for box in sorted(boxes, key=lambda box: (box.host.role, box.host.name))}
    made, placed = [], set()
    known = places(now, cloud)
    for public in (True, False):
        some = [place for place in known if place.public == public]
        if some:
            names = {host.name for place in some for host in place.hosts}
            placed |= names
            title = f"{'public' if public else 'private'} subnet{'s' if len(some) > 1 else ''} ({len(some)})"
            made.append(Area(title, tuple(by_name[name] for name in by_name if name in names), public))
    if rest := tuple(box for name, box in by_name.items() if name not in placed):
        made.append(Area("the given network" if given else "elsewhere", rest, False))
    return made


# ---- drawing ---------------------------------------------------------------------------------------------


def _cloud(
    canvas: d.Canvas,
    now: Now,
    cloud: CloudName,
    areas: Sequence[Area],
    notes: Sequence[str],
    *,
    height: float,
    new: str,
) -> str:
    """One cloud's panel; returns what it shows in words."""
    left, y = _LEFT[cloud], _TOP
    title = f"{cloud.upper()} {now.datacenters[cloud]}"
    canvas.box(left, y, _WIDE, height, edge=d.INK)
    if new == NETWORK and any(places(now, cloud)):
        canvas.mark_new(left, y, _WIDE, height)
    canvas.text(left + 8, y + 12, title, size=d.TITLE, bold=True)
    if not areas:
        canvas.text(left + _WIDE / 2, y + height / 2, "nothing here yet", size=d.TEXT, colour=d.PALE, align="center")
        return f"{title}: nothing yet."
    door = left + _WIDE / 2
    canvas.line((337, 30), (door, y), arrow="<->")
    y = canvas.lines(left + 8, y + 27, notes, colour=d.INK if now.view(cloud) else d.PALE) - 1
    for area in areas:
        canvas.box(left + 5, y, _WIDE - 10, area.height, fill="#eef6ee" if area.public else d.AREA)
        canvas.text(left + 10, y + 9, area.name, colour=d.PALE)
        if not area.boxes:
            canvas.text(left + _WIDE / 2, y + 19, "no hosts yet", colour=d.PALE, align="center")
        wide = (_WIDE - 16) / _CELLS
        for place, box in enumerate(area.boxes):
            at = left + 8 + place % _CELLS * wide, y + 17 + place // _CELLS * (area.cell + 6)
            _host(canvas, box, *at, wide=wide - 5, tall=area.cell)
        y += area.height + 8
    subnets = len(places(now, cloud))
    shown = "; ".join(box.words for area in areas for box in area.boxes) or "no hosts"
    return f"{title}: {subnets} subnets; {shown}. {' '.join(notes)}."


def _host(canvas: d.Canvas, box: Box, x: float, y: float, *, wide: float, tall: float) -> None:
    colour = d.colour_of(box.host.role)
    down = not is_up(box.host)
    canvas.box(x, y, wide, tall, fill=d.BAD_AREA if box.bad else d.GROUND, edge=d.BAD if box.bad else colour)
    canvas.box(x, y, wide, 12, fill=d.UNSERVED if down else colour, edge=colour)
    canvas.text(x + wide / 2, y + 6.2, box.title, colour="white", align="center", bold=True)
    for place, line in enumerate(box.lines):
        colour = d.BAD if line.bad else d.INK
        canvas.text(x + 4, y + 19 + place * d.LEAD, _short(line.words, wide), colour=colour, bold=line.bad)
    if box.new:
        canvas.mark_new(x, y, wide, tall)


def _short(words: str, wide: float) -> str:
    most = int((wide - 6) / 4.1)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _middle(canvas: d.Canvas, there: Links, y: float, new: str) -> str:
    """The ways between the clouds; returns the same in words."""
    left, right, middle = d.MARGIN + _WIDE, d.MARGIN + _WIDE + _GAP, d.MARGIN + _WIDE + _GAP / 2
    rows = (
        ("VPN", there.vpn, there.vpn_short, there.vpn_good, new == NETWORK, y - 34),
        ("WAN pool", there.wan, there.wan_short, there.wan_good, new == WAN, y + 26),
    )
    for title, _, short, good, is_new, at in rows:
        colour = d.PALE if good is None else d.GOOD if good else d.BAD
        if good is not None:
            canvas.line((left + 1, at), (right - 1, at), colour=colour, arrow="<->")
        canvas.text(middle, at - 8, title, align="center", bold=True, colour=colour)
        canvas.lines(middle, at + 9, short, align="center", colour=colour)
        if is_new and good is not None:
            canvas.mark_new(left + 2, at - 17, _GAP - 4, 22 + d.LEAD * len(short))
    return " ".join(text + (" (new)" if is_new and good is not None else "") for _, text, _, good, is_new, _ in rows)


def _legend(canvas: d.Canvas, y: float, new: bool) -> None:
    x = d.roles(canvas, d.MARGIN + 2, y)
    canvas.text(x, y, "★ Consul's leader")
    canvas.text(x + 84, y, "✗ not as it should be", colour=d.BAD, bold=True)
    if new:
        canvas.mark_new(x + 196, y - 5, 40, 10)
        canvas.text(x + 242, y, "new since the last notebook")
