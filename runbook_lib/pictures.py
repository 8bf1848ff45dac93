"""Pictures for notebooks: drawn from what is there now, saved as SVG with a text that says the same."""

from __future__ import annotations

import html
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .experiment import Experiment
from .matrix import Matrix
from .reach import Probe
from .resources import CloudName, Found, Host
from .site import Site
from .topology.nodes import Node, Role
from .topology.rules import reached
from .visits import Answer, Outage
from .vpn import tunnels

# One colour a role, dark enough for white letters; every picture stands on a white ground of its own, so that it
# reads the same on a light and on a dark page.
COLOURS: Mapping[str, str] = {"bastion": "#5b5b5b", "consul": "#b3205a", "traefik": "#1668a8", "web": "#2f7d32"}
SHADES = ("#1668a8", "#b35806", "#2f7d32", "#7b3294", "#b3205a", "#5b5b5b")
_LINE, _SOFT, _UNSERVED, _FAILED = "#444444", "#f3f3f3", "#8a8a8a", "#d00000"


class Picture:
    """An SVG image with its text alternative.

    Args:
        svg: the image.
        alt: what it shows, in words.
    """

    def __init__(self, svg: str, alt: str) -> None:
        label = html.escape(alt, quote=True)
        self.svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="max-width:100%;height:auto" ', 1)
        self.alt = alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_svg_(self) -> str:
        return self.svg


def architecture(site: Site) -> Picture:
    """Both clouds as they stand: subnets with their hosts, and the VPN."""
    found, hosts = site.found(), site.hosts()
    places: tuple[tuple[CloudName, float], ...] = (("aws", 1.0), ("gcp", 57.0))
    groups = {cloud: _groups(site, cloud, found, [h for h in hosts if h.cloud == cloud]) for cloud, _ in places}
    # Many hosts make a taller picture, not smaller letters.
    height = max(48.0, *(sum(group.height for group in some) for some in groups.values()))
    opened = reached(site.params)
    below = 4 + 1.7 * max(map(len, opened.values()))
    figure, axes = _figure(11, (height + below + 14) / 10)
    axes.set_xlim(0, 100)
    axes.set_ylim(48 - height - below, 62)
    axes.axis("off")
    _box(axes, (30, 57, 40, 4), "internet", fill="#e8eef5")
    words = [_cloud(axes, _title(site, cloud), groups[cloud], left=left, height=height) for cloud, left in places]
    words.append(_openings(axes, opened, 48 - height))
    words.append(_link(axes, site, found))
    return Picture(_svg(figure), "Architecture now. " + " ".join(words))


def answer_chart(answers: Sequence[Answer]) -> Picture:
    """How many requests each web server answered behind each load balancer; what no web server answered is grey."""
    count = Counter((a.traefik, _answered_by(a)) for a in answers)
    served = {_answered_by(a) for a in answers if a.ok}
    balancers = sorted({t for t, _ in count})
    servers = sorted({s for _, s in count}, key=lambda s: (s not in served, s))
    figure, axes = _figure(9, 0.9 + 0.55 * max(1, len(balancers)))
    for place, server in enumerate(servers):
        widths = [count[(balancer, server)] for balancer in balancers]
        before = [sum(count[(balancer, other)] for other in servers[:place]) for balancer in balancers]
        colour = SHADES[place % len(SHADES)] if server in served else _UNSERVED
        bars = axes.barh(balancers, widths, left=before, color=colour, edgecolor="white", label=server)
        axes.bar_label(bars, [str(width) if width else "" for width in widths], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel("requests")
    if servers:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    alt = "; ".join(f"{t}: {', '.join(f'{s} {count[(t, s)]}' for s in servers if count[(t, s)])}" for t in balancers)
    return Picture(_svg(figure), f"Requests by load balancer and web server. {alt}.")


def outage_chart(seen: Outage) -> Picture:
    """Each request over time, by the web server that answered, while one of them was stopped and started."""
    marks = (("stopped", seen.stopped), ("left", seen.left), ("started", seen.started), ("returned", seen.returned))
    svg, origin = _timeline(seen.answers, marks, special=seen.server)
    failed = sum(not a.ok for a in seen.answers)
    return Picture(
        svg,
        f"{len(seen.answers)} requests while {seen.server} was stopped and started: {_spans(marks, origin)}; "
        f"{failed} failed in all.",
    )


def fault_chart(seen: Experiment) -> Picture:
    """Each request over time, by the web server that answered, while something was broken until all was whole."""
    hand = [("steady", seen.steady), ("mended", seen.mended)] if seen.mended else []
    marks = [("broken", seen.injected), *hand, ("whole", seen.whole)]
    svg, origin = _timeline(seen.answers, marks)
    failed = ", ".join(f"{name} {count}" for name, count in sorted(seen.failed.items())) or "none"
    return Picture(
        svg,
        f"{seen.fault}: {len(seen.answers)} requests, {len(seen.since)} of them since; {_spans(marks, origin)}. "
        f"Failed: {failed}.",
    )


def _timeline(answers: Sequence[Answer], marks: Sequence[tuple[str, float]], special: str = "") -> tuple[str, float]:
    """A drawn row of requests for each load balancer and answering server; and the moment that is its zero."""
    origin = answers[0].at if answers else marks[0][1]
    rows = sorted({(a.traefik, a.server or "failed") for a in answers})
    figure, axes = _figure(10, 0.9 + 0.34 * max(1, len(rows)))
    for place, (traefik, server) in enumerate(rows):
        times = [a.at - origin for a in answers if (a.traefik, a.server or "failed") == (traefik, server)]
        colour = _FAILED if server == "failed" else COLOURS["web"] if server == special else COLOURS["traefik"]
        axes.scatter(times, [place] * len(times), s=14, color=colour, marker="x" if server == "failed" else "o")
    axes.set_yticks(range(len(rows)), [f"{traefik}  →  {server}" for traefik, server in rows], fontsize=8)
    for place, (word, moment) in enumerate(marks):
        axes.axvline(moment - origin, color=_LINE, linewidth=0.8, linestyle="--")
        # In two rows, as moments may lie close together.
        high = 1.01 + place % 2 * 0.8 / max(3, len(rows))
        axes.annotate(word, (moment - origin, high), xycoords=("data", "axes fraction"), fontsize=8, rotation=20)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("seconds")
    return _svg(figure), origin


def _spans(marks: Sequence[tuple[str, float]], origin: float) -> str:
    return ", ".join(f"{word} after {moment - origin:.1f} s" for word, moment in marks)


def reach_chart(matrix: Matrix) -> Picture:
    """What reached what: a panel a port, a row a kind of sender, a column a kind of receiver; mismatches are red."""
    kinds = matrix.kinds
    senders = sorted({kinds[probe.source] for probe in matrix.expected})
    receivers = sorted({_receiver(kinds, probe) for probe in matrix.expected})
    ports = list(dict.fromkeys(probe.port for probe in matrix.expected))
    wide = min(4, len(ports))
    tall = -(-len(ports) // wide)
    figure, panels = _figure(0.8 + 2.5 * wide, 1.6 + 2.1 * tall, tall, wide)
    for place, (axes, port) in enumerate(zip(panels.flat, ports, strict=False)):
        grid = [[_EMPTY] * len(receivers) for _ in senders]
        for probe in (one for one in matrix.expected if one.port == port):
            row, column = senders.index(kinds[probe.source]), receivers.index(_receiver(kinds, probe))
            grid[row][column] |= _mark(matrix, probe)
        _panel(axes, grid)
        axes.set_title(f"port {port}", fontsize=8)
        # Names stand at the outer panels alone.
        left, last = place % wide == 0, place + wide >= len(ports)
        axes.set_yticks(_middles(senders) if left else [], senders if left else [], fontsize=6)
        axes.set_xticks(_middles(receivers) if last else [], receivers if last else [], fontsize=6, rotation=90)
    for axes in list(panels.flat)[len(ports) :]:
        axes.axis("off")
    figure.legend(handles=_legend(), loc="outside upper center", ncols=6, frameon=False, fontsize=7)
    figure.supxlabel("sent to", fontsize=8)
    figure.supylabel("sent from", fontsize=8)
    return Picture(_svg(figure), f"Packets by kind of host. {'; '.join(map(str.strip, str(matrix).splitlines()))}.")


def _answered_by(answer: Answer) -> str:
    return answer.server or (f"HTTP {answer.status}" if answer.status else "no answer")


# ---- the matrix's parts ----------------------------------------------------------------------------------

# A cell's marks are bits: nothing was sent, it was sent and dropped, TCP or UDP arrived, not as it should be.
_EMPTY, _SENT, _TCP, _UDP, _WRONG = 0, 1, 2, 4, 8
_MARKS: Mapping[str, tuple[int, str]] = {
    "not sent": (_EMPTY, "#ffffff"),
    "dropped": (_SENT, "#e4e4e4"),
    "TCP arrived": (_SENT | _TCP, "#8cbfe6"),
    "UDP arrived": (_SENT | _UDP, "#f3b562"),
    "both arrived": (_SENT | _TCP | _UDP, "#1668a8"),
    "mismatch": (_SENT | _WRONG, _FAILED),
}


def _receiver(kinds: Mapping[str, str], probe: Probe) -> str:
    return kinds[probe.to] + (", public" if probe.way == "public" else "")


def _mark(matrix: Matrix, probe: Probe) -> int:
    arrived = probe in matrix.arrived
    seen = (_TCP if probe.protocol == "tcp" else _UDP) if arrived else _EMPTY
    return _SENT | seen | (_WRONG if arrived != matrix.expected[probe] else _EMPTY)


def _panel(axes: Any, grid: Sequence[Sequence[int]]) -> None:
    from matplotlib.colors import ListedColormap

    order = [bits for bits, _ in _MARKS.values()]
    shown = [[len(order) - 1 if bits & _WRONG else order.index(bits) for bits in row] for row in grid]
    colours = ListedColormap([colour for _, colour in _MARKS.values()])
    axes.pcolormesh(shown, cmap=colours, vmin=-0.5, vmax=len(order) - 0.5, edgecolors="white", linewidth=0.8)
    for row, marks in enumerate(shown):
        for column, mark in enumerate(marks):
            if mark == len(order) - 1:  # a red cell is told by its sign, too
                axes.text(column + 0.5, row + 0.5, "✗", ha="center", va="center", fontsize=6, color="white")
    axes.invert_yaxis()


def _middles(cells: Sequence[str]) -> list[float]:
    return [place + 0.5 for place in range(len(cells))]


def _legend() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=colour, edgecolor="#bbbbbb", label=name) for name, (_, colour) in _MARKS.items()]


# ---- the architecture's parts ----------------------------------------------------------------------------


class _Group(NamedTuple):
    """Hosts that stand in one place: a subnet, or one that the deployment did not make and whose range is unknown."""

    name: str
    cidr: str
    public: bool
    hosts: list[Host]

    @property
    def height(self) -> float:
        return 3.4 + 4.6 * max(1, -(-len(self.hosts) // 3))


def _title(site: Site, cloud: CloudName) -> str:
    return f"{'AWS' if cloud == 'aws' else 'GCP'} {site.datacenter(cloud)}"


def _groups(site: Site, cloud: CloudName, found: Mapping[str, Found], hosts: list[Host]) -> list[_Group]:
    """A cloud's subnets with their hosts; what stands in none of the deployment's own subnets comes last."""
    nodes = {node.name: node for node in site.topology.nodes}
    known = sorted(hosts, key=lambda h: (h.role, h.name))
    groups = [
        _Group(name, cidr, public, [h for h in known if _stands_in(nodes.get(h.name), public, index)])
        for name, cidr, public, index in _subnets(site, cloud, found)
    ]
    placed = {host.name for group in groups for host in group.hosts}
    if rest := [host for host in known if host.name not in placed]:
        groups.append(_Group("the given network" if site.topology.network else "elsewhere", "", False, rest))
    return groups


def _cloud(axes: Any, title: str, groups: list[_Group], *, left: float, height: float) -> str:
    """One cloud's box; returns what it shows in words."""
    _box(axes, (left, 50 - height, 42, height + 5), "", fill="white", edge=_LINE)
    axes.text(left + 21, 53, title, ha="center", va="center", fontsize=11, weight="bold")
    if not groups:
        axes.text(left + 21, 28, "nothing here yet", ha="center", va="center", fontsize=9, color="#777777")
        return f"{title}: nothing yet."
    spare = (height - sum(group.height for group in groups)) / len(groups)
    top = 50.0
    for group in groups:
        ground = "#eef6ee" if group.public else _SOFT
        tall = group.height + spare
        _box(axes, (left + 1, top - tall + 0.7, 40, tall - 1), "", fill=ground, edge="#bbbbbb")
        axes.text(left + 1.6, top - 1.6, f"{group.name}  {group.cidr}", fontsize=7, va="center", color=_LINE)
        for place, host in enumerate(group.hosts):
            _host(axes, host, left + 1.8 + (place % 3) * 13.1, top - 6.9 - (place // 3) * 4.6)
        top -= tall
    placed = [host for group in groups for host in group.hosts]
    shown = ", ".join(f"{h.name} {h.private_ip or h.public_ip} {h.state.lower()}" for h in placed) or "no hosts"
    return f"{title}: {sum(bool(group.cidr) for group in groups)} subnets; {shown}."


def _host(axes: Any, host: Host, x: float, y: float) -> None:
    label = host.name.removeprefix(f"server-{host.cloud}-")
    lines = [label, *filter(None, (host.private_ip, host.public_ip))]
    if host.state.lower() in ("running", "existing"):
        colour = COLOURS.get(host.role, _LINE)
        _box(axes, (x, y, 12.4, 4.2), "\n".join(lines), fill=colour, edge=colour, text="white", size=5.8)
    else:
        text = "\n".join([*lines[:2], host.state.lower()])
        _box(axes, (x, y, 12.4, 4.2), text, fill="white", edge=_FAILED, text=_FAILED, size=5.8)


def _link(axes: Any, site: Site, found: Mapping[str, Found]) -> str:
    dep = site.params.deployment
    for x in (22.0, 78.0):
        axes.annotate("", (x, 55), (x, 57), arrowprops={"arrowstyle": "<->", "color": _LINE})
    if f"gcp:vpn_gateway:{dep}-vpn" not in found or f"aws:vpn_connection:{dep}-gcp-b" not in found:
        return "No VPN."
    try:
        up = sum(row["aws"] == "UP" and row["gcp"] == "ESTABLISHED" for row in tunnels(site))
    except KeyError:
        return "The VPN is incomplete."
    axes.annotate("", (43.2, 30), (56.8, 30), arrowprops={"arrowstyle": "<->", "color": _LINE, "linewidth": 2})
    axes.text(50, 32, f"VPN\n{up} of 4\ntunnels up", ha="center", va="bottom", fontsize=8)
    return f"VPN: {up} of 4 tunnels up."


def _openings(axes: Any, opened: Mapping[Role, Sequence[str]], top: float) -> str:
    """What is open to whom, a column a role, under its colour; returns the same in words."""
    for column, (role, lines) in enumerate(opened.items()):
        left = 1 + 24.7 * column
        _box(axes, (left, top - 3, 23.7, 1.9), role, fill=COLOURS[role], edge=COLOURS[role], text="white", size=7)
        for row, line in enumerate(lines):
            axes.text(left + 0.4, top - 4.2 - 1.7 * row, line, fontsize=6.2, va="center", color=_LINE)
    return "Open: " + ". ".join(f"{role}: {', '.join(lines)}" for role, lines in opened.items()) + "."


def _subnets(site: Site, cloud: CloudName, found: Mapping[str, Found]) -> list[tuple[str, str, bool, int]]:
    """(name, range, public, position among its kind) of each subnet that exists."""
    dep = site.params.deployment
    kind, field = ("subnet", "cidr") if cloud == "aws" else ("subnetwork", "ip_cidr_range")
    rows: list[tuple[str, str, bool, int]] = []
    for sort in ("public", "private"):
        things = sorted((k, f) for k, f in found.items() if k.startswith(f"{cloud}:{kind}:{dep}-{sort}"))
        rows += [
            (key.rpartition(":")[2].removeprefix(f"{dep}-"), str(thing.spec[field]), sort == "public", index)
            for index, (key, thing) in enumerate(things)
        ]
    return rows


def _stands_in(node: Node | None, public: bool, index: int) -> bool:
    return node is not None and node.public == public and node.subnet == index


# ---- drawing ---------------------------------------------------------------------------------------------


def _figure(width: float, height: float, rows: int = 0, columns: int = 0) -> tuple[Any, Any]:
    """A figure with its axes, or with an array of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    if rows:
        return figure, figure.subplots(rows, columns, squeeze=False)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _box(
    axes: Any,
    place: tuple[float, float, float, float],
    label: str,
    *,
    fill: str,
    edge: str = _LINE,
    text: str = "black",
    size: float = 8,
) -> None:
    """Draw a box at (x, y, width, height) with its label in the middle."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    shape = "round,pad=0,rounding_size=0.6"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=fill, edgecolor=edge, linewidth=0.8))
    if label:
        axes.text(x + width / 2, y + height / 2, label, ha="center", va="center", fontsize=size, color=text)


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text: it can be searched, read aloud and copied.
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "runbook"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
