"""The VPN between the clouds, as both clouds' APIs report it."""

from __future__ import annotations

from typing import Any

from . import wait
from .site import Site


def negotiated(site: Site) -> list[dict[str, Any]]:
    """The tunnels once both clouds call all of them up: a moment in the lab, a minute or two in the clouds.

    Raises:
        WaitTimeout: some stay down; with what each cloud says of them.
    """
    return wait.until(
        lambda: tunnels(site),
        lambda rows: all((row["aws"], row["gcp"]) == ("UP", "ESTABLISHED") for row in rows),
        what="the VPN's tunnels to be up",
        timeout=site.params.timeout,
        interval=0.5,
        describe=lambda rows: "; ".join(
            f"tunnel {row['tunnel']}: AWS {row['aws']} ({row['AWS says']}), GCP {row['gcp']} ({row['GCP says']})"
            for row in rows
        ),
        remedy="compare both ends: addresses, keys, ciphers, inside addresses, AS numbers; then run the step again",
    )


def learned(site: Site) -> list[dict[str, Any]]:
    """The networks that each side knows from the other by BGP, and where. Nothing of a given network layer."""
    if site.topology.network is not None:
        return []
    dep, found = site.params.deployment, site.found()
    places = [f"aws:route_table:{dep}-public", f"aws:route_table:{dep}-private", f"gcp:router_peering:{dep}-vpn"]
    rows = []
    for key in places:
        cloud, kind, name = key.split(":")
        for network in found[key].attributes["learned"]:
            rows.append({"cloud": cloud, "known to": f"{kind.split('_')[0]} {name}", "network": network})
    return rows


def tunnels(site: Site) -> list[dict[str, Any]]:
    """Each VPN tunnel: addresses of both ends, what each cloud says of it, and how many routes AWS learned by it.

    None of a given network layer, whose tunnels are not this deployment's.
    """
    if site.topology.network is not None:
        return []
    dep, found = site.params.deployment, site.found()
    gateway = found[f"gcp:vpn_gateway:{dep}-vpn"].attributes
    rows = []
    for number in range(4):
        connection = found[f"aws:vpn_connection:{dep}-gcp-{'ab'[number // 2]}"].attributes
        tunnel = found[f"gcp:vpn_tunnel:{dep}-aws-{number + 1}"].attributes
        side = number % 2 + 1
        rows.append(
            {
                "tunnel": number + 1,
                "AWS end": connection[f"address_{side}"],
                "GCP end": gateway[f"address_{number // 2}"],
                "aws": connection[f"state_{side}"],
                "gcp": tunnel["state"],
                "routes": connection[f"routes_{side}"],
                "AWS says": connection[f"detail_{side}"],
                "GCP says": tunnel["detail"],
            }
        )
    return rows
