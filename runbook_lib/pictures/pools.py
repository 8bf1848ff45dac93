"""Consul's gossip pools: one LAN pool a datacenter, and the WAN pool of all their servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..consul import Member
from ..resources import CLOUDS, CloudName
from ..site import Site
from . import drawing as d
from .now import Now, look
from .picture import Picture

_WIDE = (d.WIDTH - 3 * d.MARGIN) / 2
_HEAD, _ROW = 40.0, 12.5


@dataclass(frozen=True, slots=True)
class Row:
    """A member as it is drawn.

    Args:
        sign: ``★`` leader, ``●`` server, ``○`` client.
        name: its name.
        address: its address.
        state: what the pool says of it, or several of its members do.
    """

    sign: str
    name: str
    address: str
    state: str

    @property
    def good(self) -> bool:
        """Whether it is alive."""
        return self.state == "alive"

    @property
    def words(self) -> str:
        """The same as text."""
        leads = ", leader" if self.sign == "★" else ""
        return f"{'' if self.good else '✗ '}{self.name} {self.address} {self.state}{leads}"


def pools(site: Site) -> Picture:
    """Who is in which of Consul's pools, leaders starred; failed members and those that left are marked.

    Raises:
        CloudError: a cloud does not answer. Consul may stay silent: the picture says so then.
    """
    return drawn(look(site, balancers=False))


def drawn(now: Now) -> Picture:
    """The picture of what was seen. Pure."""
    lan = {cloud: lan_rows(now, cloud) for cloud in CLOUDS}
    wan = wan_rows(now)
    height = _HEAD + _ROW * max(2, *map(len, lan.values()))
    halves = d.columns_of(wan, max(1, -(-len(wan) // 2)))
    below = _HEAD + _ROW * max(1, *map(len, halves), 1)
    canvas = d.Canvas(height + below + 3 * d.MARGIN + 18)
    words = []
    for place, cloud in enumerate(CLOUDS):
        left = d.MARGIN + place * (_WIDE + d.MARGIN)
        title = f"LAN pool {now.datacenters[cloud]}"
        note = _note(lan[cloud], now.leader(cloud)) if lan[cloud] else now.problem(cloud)
        _panel(canvas, left, d.MARGIN, title, note, wide=_WIDE, tall=height)
        _rows(canvas, left, d.MARGIN + _HEAD, lan[cloud])
        words.append(_said(title, note, lan[cloud]))
    top = height + 2 * d.MARGIN
    note = _wan_note(now, wan)
    _panel(canvas, d.MARGIN, top, "WAN pool", note, wide=d.WIDTH - 2 * d.MARGIN, tall=below)
    for place, half in enumerate(halves):
        _rows(canvas, d.MARGIN + place * (_WIDE + d.MARGIN), top + _HEAD, half)
    words.append(_said("WAN pool", note, wan))
    for place, sign in enumerate(("★ leader of its datacenter", "● server", "○ client", "✓ alive", "✗ anything else")):
        canvas.text(d.MARGIN + 4 + 70 * place + (45 if place else 0), top + below + 13, sign)
    every = [row for rows in (*lan.values(), wan) for row in rows]
    bad = sorted({row.name for row in every if not row.good})
    headline = "Consul's pools now: " + (
        f"not alive: {', '.join(bad)}." if bad else f"{_alive([row for rows in lan.values() for row in rows])} alive."
    )
    return Picture(canvas.svg(), headline if every else "Consul's pools: nobody tells of them.", "\n".join(words))


# ---- pure ------------------------------------------------------------------------------------------------


def lan_rows(now: Now, cloud: CloudName) -> list[Row]:
    """A datacenter's members, servers first; one whose own agent does not answer is alive to nobody who asks it."""
    view, leader = now.view(cloud), now.leader(cloud)
    if view is None:
        return []
    silent = {said.server for said in now.said.get(cloud, ()) if said.problem}
    return [
        Row(_sign(m, leader), m.name, m.address, _state(m.status, m.name in silent))
        for m in sorted(view.lan, key=lambda member: (member.role != "server", member.name))
    ]


def wan_rows(now: Now) -> list[Row]:
    """The servers in the WAN pool: the pool is one only if all see the same, so each state is told with who sees it.

    Datacenters that were not joined yet have a pool each, in which nobody misses the others.
    """
    views = {cloud.upper(): view for cloud in CLOUDS if (view := now.view(cloud))}
    members = {member.name: member for view in views.values() for member in view.wan}
    leaders = {f"{now.leader(cloud)}.{now.datacenters[cloud]}" for cloud in CLOUDS}
    rows = []
    for name, member in sorted(members.items(), key=lambda item: (item[1].datacenter, item[0])):
        seen = {who: next((m.status for m in view.wan if m.name == name), "unknown") for who, view in views.items()}
        if not _joined(now):
            seen = {who: state for who, state in seen.items() if state != "unknown"}
        same = len(set(seen.values())) == 1
        state = member.status if same else ", ".join(f"{one} to {who}" for who, one in seen.items() if one != "alive")
        rows.append(Row("★" if name in leaders else "●", name, member.address, state))
    return rows


def _sign(member: Member, leader: str) -> str:
    return "★" if member.name == leader else "●" if member.role == "server" else "○"


def _state(status: str, silent: bool) -> str:
    return "no answer" if silent and status == "alive" else status


def _note(rows: Sequence[Row], leader: str) -> str:
    return f"{_alive(rows)} alive, leader: {leader or 'none'}"


def _wan_note(now: Now, rows: Sequence[Row]) -> str:
    if not rows:
        return "nobody tells of it"
    return f"{_alive(rows)} alive" + ("" if _joined(now) else "; the datacenters are not joined: each has its own")


def _joined(now: Now) -> bool:
    """Whether any server knows one of another datacenter."""
    views = [(now.datacenters[cloud], view) for cloud in CLOUDS if (view := now.view(cloud))]
    return any(member.datacenter != here for here, view in views for member in view.wan)


def _alive(rows: Sequence[Row]) -> str:
    return f"{sum(row.good for row in rows)} of {len(rows)} members"


def _said(title: str, note: str, rows: Iterable[Row]) -> str:
    told = "; ".join(row.words for row in rows)
    return f"{title}: {note}. {told}.".removesuffix(" .")


# ---- drawing ---------------------------------------------------------------------------------------------


def _panel(canvas: d.Canvas, x: float, y: float, title: str, note: str, *, wide: float, tall: float) -> None:
    canvas.box(x, y, wide, tall, fill=d.AREA, edge=d.INK)
    canvas.text(x + 8, y + 13, title, size=d.TITLE, bold=True)
    canvas.text(x + 8, y + 27, d.wrapped(note, wide - 10)[0], colour=d.PALE)


def _rows(canvas: d.Canvas, x: float, y: float, rows: Iterable[Row]) -> None:
    for row in rows:
        colour = d.INK if row.good else d.BAD
        if not row.good:
            canvas.box(x + 4, y - 5.5, _WIDE - 8, 11.5, fill=d.BAD_AREA, edge=d.BAD)
        canvas.text(x + 12, y, row.sign, align="center", colour=d.COLOURS["consul"], size=d.TEXT)
        canvas.text(x + 20, y, row.name, bold=row.sign == "★", colour=colour)
        canvas.text(x + 165, y, row.address, colour=colour)
        canvas.text(
            x + 228, y, f"{'✓' if row.good else '✗'} {row.state}", colour=d.GOOD if row.good else d.BAD, bold=True
        )
        y += _ROW
