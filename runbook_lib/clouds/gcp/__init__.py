"""GCP: the verbs of ``CloudApi`` over google-cloud-compute, the same few lines for every kind of resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ... import wait
from ...errors import CloudError
from ...params import Params
from ...resources import CloudName, Found, Resource
from ...together import each
from ..base import Image, unique
from ..recent import PATIENCE, Patience, Recent
from . import preflight
from .api import Api, is_missing, is_there
from .kinds import (
    KINDS,
    PEERING,
    PEERING_FIELDS,
    STARTING,
    Kind,
    belongs,
    is_unmarked,
    plain,
    secrets,
    to_found,
    to_peering,
)

__all__ = ["Gcp", "connect"]


def connect(params: Params, patience: Patience = PATIENCE) -> Gcp:
    """GCP as the parameters describe it; no call is made yet.

    Args:
        params: the deployment.
        patience: for how long GCP may be busy, or disagree with itself.

    Raises:
        ParameterError: the credentials file does not exist or is none.
        PrerequisiteError: there are no credentials.
    """
    return Gcp(Api(params, patience))


class Gcp:
    """One project and region as a ``CloudApi``.

    Args:
        api: the calls.
    """

    name: CloudName = "gcp"

    def __init__(self, api: Api) -> None:
        self.api = api
        self.params = api.params
        self._recent = Recent(api.patience.lists)

    # ---- looking -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See ``CloudApi.check``."""
        preflight.check(self.api)

    def image(self) -> Image:
        """See ``CloudApi.image``. GCP looks it up anew for each instance of a family."""
        return preflight.image(self.api)

    def inventory(self) -> dict[str, Found]:
        """See ``CloudApi.inventory``: one listing a kind, all at the same time."""

        def look() -> dict[str, Found]:
            return unique(found for part in each(self._list, KINDS.values()) for found in part)

        return self._recent.agree(look, "gcp")

    def instances(self) -> dict[str, Found]:
        """See ``CloudApi.instances``."""
        return self._recent.agree(lambda: unique(self._list(KINDS["instance"])), "gcp instances", "gcp:instance:")

    def console_output(self, host_id: str) -> str:
        """See ``CloudApi.console_output``."""
        known = next((found for found in self._list(KINDS["instance"]) if found.id == host_id), None)
        if known is None:
            raise CloudError(
                "there is no such instance in this deployment",
                resource=f"gcp instance {host_id}",
                remedy="list the hosts again; it may have been replaced",
            )
        method = self.api.client("InstancesClient").get_serial_port_output
        where = {"zone": known.attributes["zone"], "instance": known.attributes["name"]}
        text, start = "", 0
        while True:
            part = self.api.call(_label(known.key), method, {**where, "start": start})
            text += part.contents
            if not part.contents or part.next_ <= start:
                return text
            start = part.next_

    def guard(self, proceed: Callable[[], None] | None) -> None:
        """See ``CloudApi.guard``."""
        self.api.proceed = proceed

    def wait(self, found: Found) -> Found:
        """See ``CloudApi.wait``: instances are the only kind that is not ready when its operation ends."""
        if found.attributes.get("ready", True) is True:
            return found
        return wait.until(
            lambda: self._get(KINDS["instance"], found.attributes["name"], found.attributes["zone"]),
            lambda seen: seen.attributes["state"] not in STARTING,
            what=f"{_label(found.key)} to run",
            timeout=self.params.timeout,
            longest=5.0,
            describe=lambda seen: seen.attributes["state"],
            remedy="look at the instance's console output",
        )

    # ---- changing ----------------------------------------------------------------------------------------------

    def create(self, resource: Resource, spec: Mapping[str, Any]) -> Found:
        """See ``CloudApi.create``."""
        if resource.kind == PEERING:
            return self._recent.made(self._peer(resource, spec, PEERING_FIELDS))
        kind = KINDS[resource.kind]
        place = self._place(kind, spec)
        body = {name: value for name, value in spec.items() if name not in place}
        try:
            self._change(kind, "insert", {**place, f"{kind.name}_resource": plain(body)}, resource.key, secrets(spec))
        except CloudError as error:
            # Ours may be there though no list has shown it yet: from a run that was cut short a moment ago.
            if not is_there(error) or not self._is_ours(kind, resource.name, place):
                raise
        return self._recent.made(self._get_new(kind, resource.name, *place.values()))

    def update(self, resource: Resource, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        """See ``CloudApi.update``."""
        if resource.kind == PEERING:
            return self._peer(resource, spec, changes)
        kind = KINDS[resource.kind]
        place = self._place(kind, found.attributes)
        if kind.name == "instance":
            self._update_instance(resource, {**place, "instance": resource.name}, spec, changes)
        else:
            body = plain({name: spec[name] for name in changes})
            request = {**place, kind.name: resource.name, f"{kind.name}_resource": body}
            self._change(kind, "patch", request, resource.key)
        return self._get(kind, resource.name, *place.values())

    def destroy(self, found: Found) -> None:
        """See ``CloudApi.destroy``."""
        kind_name = found.key.split(":")[1]
        if kind_name == PEERING:
            self._unpeer(found)
            self._recent.removed(found)
            return
        kind = KINDS[kind_name]
        request = {**self._place(kind, found.attributes), kind.name: found.attributes["name"]}
        try:
            self._change(kind, "delete", request, found.key)
        except CloudError as error:
            if not is_missing(error):
                raise
        self._recent.removed(found)

    # ---- underneath --------------------------------------------------------------------------------------------

    def named(self, kind: Kind) -> list[Any]:
        """The messages of all things of a kind that are called as this deployment's are, whosever they are."""
        # The name is matched by the API to spare a big project's listing.
        request: dict[str, Any] = {"filter": f'name eq "{self.params.deployment}-.*"'}
        client = self.api.client(kind.client)
        if kind.scope == "zone":
            # Instances may stand in zones that are no longer among the parameters.
            def listing(**options: Any) -> list[Any]:
                return [one for _, part in client.aggregated_list(**options) for one in part.instances]
        else:
            if kind.scope == "region":
                request["region"] = self.params.gcp_region

            def listing(**options: Any) -> list[Any]:
                return list(client.list(**options))

        answer: list[Any] = self.api.call(f"gcp {kind.name}s", listing, request)
        return answer

    def _list(self, kind: Kind) -> list[Found]:
        every = [
            message
            for message in self.named(kind)
            if belongs(message, self.params.deployment) or is_unmarked(kind.name, message, self.params)
        ]
        found = [to_found(kind.name, message) for message in every]
        if kind.name == "router":
            found += [self._with_sessions(peering) for message in every if (peering := to_peering(message))]
        return found

    def _with_sessions(self, peering: Found) -> Found:
        """A router's peering with what its BGP sessions are doing."""
        where = {name: peering.attributes[word] for name, word in (("region", "region"), ("router", "name"))}
        status = self.api.call(_label(peering.key), self.api.client("RoutersClient").get_router_status, where).result
        sessions = {peer.name: peer.state for peer in status.bgp_peer_status}
        learned = sorted({route.dest_range for route in status.best_routes_for_router})
        return replace(peering, attributes={**peering.attributes, "sessions": sessions, "learned": learned})

    def _get(self, kind: Kind, name: str, *place: str) -> Found:
        where: dict[str, str] = {} if kind.scope == "global" else {kind.scope: place[0]}
        return to_found(kind.name, self._message(kind, name, where))

    def _get_new(self, kind: Kind, name: str, *place: str) -> Found:
        """What was made a moment ago, which the API may not find yet."""

        def look() -> Found | CloudError:
            try:
                return self._get(kind, name, *place)
            except CloudError as error:
                if is_missing(error):
                    return error
                raise

        seen = wait.until(
            look,
            lambda seen: not isinstance(seen, CloudError),
            what=f"GCP to find the new {kind.name} {name}",
            timeout=self.api.patience.creation,
            longest=5.0,
            remedy="run the step again; it carries on",
        )
        assert isinstance(seen, Found)
        return seen

    def _is_ours(self, kind: Kind, name: str, place: Mapping[str, str]) -> bool:
        return belongs(self._message(kind, name, place), self.params.deployment)

    def _message(self, kind: Kind, name: str, where: Mapping[str, str]) -> Any:
        method = self.api.client(kind.client).get
        return self.api.call(f"gcp {kind.name} {name}", method, {**where, kind.name: name})

    def _place(self, kind: Kind, source: Mapping[str, Any]) -> dict[str, str]:
        return {} if kind.scope == "global" else {kind.scope: source[kind.scope]}

    def _change(
        self, kind: Kind, verb: str, request: dict[str, Any], key: str, hidden: list[str] | None = None
    ) -> None:
        method: Callable[..., Any] = getattr(self.api.client(kind.client), f"{verb}_unary")
        self.api.change(_label(key), method, request, hidden or ())

    def _update_instance(
        self, resource: Resource, where: dict[str, str], spec: Mapping[str, Any], changes: tuple[str, ...]
    ) -> None:
        kind = KINDS["instance"]
        now = self.api.call(_label(resource.key), self.api.client(kind.client).get, where)
        if "tags" in changes:
            tags = {"items": list(spec["tags"]["items"]), "fingerprint": now.tags.fingerprint}
            self._change(kind, "set_tags", {**where, "tags_resource": tags}, resource.key)
        if "labels" in changes:
            labels = {"labels": {**now.labels, **spec["labels"]}, "label_fingerprint": now.label_fingerprint}
            request = {**where, "instances_set_labels_request_resource": labels}
            self._change(kind, "set_labels", request, resource.key)
        if "running" in changes:
            self._change(kind, "start", where, resource.key)

    def _peer(self, resource: Resource, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        where = {"region": spec["region"], "router": resource.name}
        body = {name: spec[name] for name in changes}
        self._change(KINDS["router"], "patch", {**where, "router_resource": body}, resource.key)
        found = to_peering(self.api.call(_label(resource.key), self.api.client("RoutersClient").get, where))
        assert found is not None, "a router that was just given peers has some"
        return found

    def _unpeer(self, found: Found) -> None:
        # An empty list in a patch is not sent at all; putting the whole router without them takes them off.
        where = {"region": found.attributes["region"], "router": found.attributes["name"]}
        try:
            router = self.api.call(_label(found.key), self.api.client("RoutersClient").get, where)
            for name in PEERING_FIELDS:
                setattr(router, name, [])
            self._change(KINDS["router"], "update", {**where, "router_resource": router}, found.key)
        except CloudError as error:
            if not is_missing(error):
                raise


def _label(key: str) -> str:
    """A resource's key as it stands in a message: ``gcp vpn_tunnel demo-aws-1``."""
    return key.replace(":", " ")
