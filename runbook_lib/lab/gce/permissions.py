"""What each method of the API demands of its caller, as Google's reference has it ("IAM permissions"); pure.

Not every page of it was at hand: that a VPN gateway uses its network, a route its instance, and that subnetworks and
routers change their network's policy is from memory.

Most methods demand one permission, named after collection and verb. What hangs on a network changes what the network
lets through, and using something of somebody's (a subnetwork, a gateway, a service account) is a permission there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .names import Key, parse_link
from .routing import Call

Doc = Mapping[str, Any]
ACT_AS = "iam.serviceAccounts.actAs"
_VERBS = {
    "aggregatedList": "list",
    "insert": "create",
    "patch": "update",
    "getStatus": "get",
    "getRouterStatus": "get",
    "wait": "get",
}
# Changing one of these changes what its network does.
_OF_NETWORKS = frozenset({"subnetworks", "firewalls", "routes", "routers"})
_USED_BY_TUNNELS = {
    "vpnGateway": "compute.vpnGateways.use",
    "peerExternalGateway": "compute.externalVpnGateways.use",
    "router": "compute.routers.use",
}
# Fields of a new instance that are set by a method of their own later on, and are as permissions here, too.
_SET_LATER = {
    "metadata": "compute.instances.setMetadata",
    "tags": "compute.instances.setTags",
    "labels": "compute.instances.setLabels",
    "serviceAccounts": "compute.instances.setServiceAccount",
}


class Need(NamedTuple):
    """One permission, and the resource it is needed on: a path, or a service account's address."""

    permission: str
    resource: str


def needs(call: Call, kept: Doc, service_account: str) -> Iterator[Need]:
    """Every permission that a call demands, in the order in which they are asked for.

    Args:
        call: what is called.
        kept: the document that it is about, as it is now; empty if there is none.
        service_account: the project's default service account, which goes by ``default`` in requests.
    """
    key = call.key
    body = _body(call)
    collection, verb = _collection(key), _VERBS.get(call.verb, call.verb)
    path = f"{key.path}/{body['name']}" if call.verb == "insert" and body.get("name") else key.path
    # A list is asked of the project.
    yield Need(f"compute.{collection}.{verb}", path if key.name or verb == "create" else f"projects/{key.project}")
    if not call.writes:
        return
    if key.collection in _OF_NETWORKS:
        yield from _use(body.get("network") or kept.get("network"), key, "compute.networks.updatePolicy")
    if call.verb != "insert":
        return
    if key.collection == "routes":
        yield from _use(body.get("nextHopInstance"), key, "compute.instances.use")
    elif key.collection == "vpnGateways":
        yield from _use(body.get("network"), key, "compute.networks.use")
    elif key.collection == "vpnTunnels":
        for field, permission in _USED_BY_TUNNELS.items():
            yield from _use(body.get(field), key, permission)
    elif key.collection == "instances":
        yield from _of_instance(body, key, path, service_account)


def _of_instance(body: Doc, key: Key, path: str, service_account: str) -> Iterator[Need]:
    for disk in body.get("disks", ()):
        if "initializeParams" in disk:
            name = disk["initializeParams"].get("diskName") or body.get("name", "")
            yield Need("compute.disks.create", f"projects/{key.project}/{key.scope}/disks/{name}")
    for interface in body.get("networkInterfaces", ()):
        yield from _use(interface.get("subnetwork"), key, "compute.subnetworks.use")
        if interface.get("accessConfigs"):
            yield from _use(interface.get("subnetwork"), key, "compute.subnetworks.useExternalIp")
    for field, permission in _SET_LATER.items():
        if body.get(field):
            yield Need(permission, path)
    for account in body.get("serviceAccounts", ()):
        email = account.get("email", "")
        yield Need(ACT_AS, service_account if email == "default" else email)


def _use(link: object, key: Key, permission: str) -> Iterator[Need]:
    named = parse_link(str(link), key.project) if link else None
    if named is not None:
        yield Need(permission, named.path)


def _collection(key: Key) -> str:
    """The collection in a permission: operations have one for each scope."""
    if key.collection == "operations":
        return {"zones": "zone", "regions": "region"}.get(key.scope.partition("/")[0], "global") + "Operations"
    return key.collection or "projects"


def _body(call: Call) -> Doc:
    if not call.writes or not call.body:
        return {}
    try:
        body = json.loads(call.body)
    except ValueError:
        return {}  # refused later, in the method's words
    return body if isinstance(body, dict) else {}
