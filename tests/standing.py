"""A deployment as both clouds would report it once every step has run, made from its topology; no cloud is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runbook_lib.clouds.base import Clouds
from runbook_lib.params import Params
from runbook_lib.resources import Found, Resource, refs, resolve
from runbook_lib.site import Site
from runbook_lib.topology import topology

PARAMS = Params()


@dataclass(frozen=True)
class StillCloud:
    """A cloud in which nothing changes: the two questions that looking around asks."""

    things: Mapping[str, Found]

    def inventory(self) -> dict[str, Found]:
        return dict(self.things)

    def instances(self) -> dict[str, Found]:
        return {key: thing for key, thing in self.things.items() if ":instance:" in key}


def standing(params: Params = PARAMS) -> dict[str, Found]:
    """Everything that the parameters want, as found: ids are ``id of KEY``, hosts run, tunnels are up."""
    wanted = topology(params, public_key="ssh-ed25519 AAAA operator", script=lambda *_: "")
    used = {ref for resource in wanted.resources for ref in refs(resource.spec)}
    bare = {
        resource.key: Found(
            resource.key,
            f"id of {resource.key}",
            {ref.attribute: f"{ref.attribute}/{resource.name}" for ref in used if ref.key == resource.key},
        )
        for resource in wanted.resources
    }
    numbers = {node.key: number for number, node in enumerate(wanted.nodes, start=4)}
    nodes = {node.key: node for node in wanted.nodes}

    def attributes(resource: Resource) -> dict[str, Any]:
        known = dict(bare[resource.key].attributes)
        if node := nodes.get(resource.key):
            number = numbers[resource.key]
            public = f"192.0.2.{number}" if node.public else None
            known |= {"zone": node.zone, "private_ip": f"10.0.0.{number}", "public_ip": public, "state": "running"}
        if resource.kind == "vpn_connection":
            known |= {f"{name}_{side}": value for side in (1, 2) for name, value in _TUNNEL}
        if resource.key.startswith("gcp:vpn_gateway:"):
            known |= {"address_0": "203.0.113.1", "address_1": "203.0.113.2"}
        if resource.kind == "vpn_tunnel":
            known |= {"state": "ESTABLISHED", "detail": "Tunnel is up and running: IKEv2"}
        if resource.kind == "route_table":
            known["learned"] = sorted((params.gcp_public_subnet, params.gcp_private_subnet))
        if resource.kind == "router_peering":
            known["learned"] = [params.aws_network]
            known["sessions"] = {peer["name"]: "Established" for peer in resource.spec["bgp_peers"]}
        return known

    return {r.key: replace(bare[r.key], attributes=attributes(r), spec=resolve(r.spec, bare)) for r in wanted.resources}


_TUNNEL = (("address", "198.51.100.1"), ("state", "UP"), ("routes", 2), ("detail", "2 BGP ROUTES"))


def changed(found: Mapping[str, Found], key: str, **values: Any) -> dict[str, Found]:
    """A copy in which one thing has other fields; a field is in its spec, its attributes, or both."""
    thing = found[key]
    spec = {name: value for name, value in values.items() if name in thing.spec}
    attributes = {name: value for name, value in values.items() if name in thing.attributes}
    assert {*spec, *attributes} == {*values}, "a field that is not there"
    new = replace(thing, spec={**thing.spec, **spec}, attributes={**thing.attributes, **attributes})
    return {**found, key: new}


def site_of(found: Mapping[str, Found], params: Params = PARAMS) -> Site:
    """The site of a deployment of which this exists."""
    wanted = topology(params, public_key="ssh-ed25519 AAAA operator", script=lambda *_: "")
    clouds = [StillCloud({k: f for k, f in found.items() if k.startswith(f"{name}:")}) for name in ("aws", "gcp")]
    return Site(params, wanted, Clouds(*clouds))  # type: ignore[arg-type] # the rest of a cloud's verbs is not asked
