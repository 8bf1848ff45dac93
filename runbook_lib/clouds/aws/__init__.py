"""Amazon Web Services: EC2 and IAM through boto3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...params import Params
from ...resources import CloudName, Found, Resource
from ...together import Workers
from ..base import Image, unique
from ..recent import PATIENCE, Patience, Recent

__all__ = ["Aws", "connect"]

# How the actions begin that change nothing.
READS = ("Describe", "Get", "List")


def connect(params: Params, patience: Patience = PATIENCE) -> Aws:
    """AWS as the parameters name it; no call is made.

    Args:
        params: the deployment.
        patience: for how long AWS may disagree with itself.

    Raises:
        ParameterError: the credentials file cannot be used.
    """
    from .account import open_account

    return Aws(open_account(params, patience))


class Aws:
    """``clouds.base.CloudApi`` for AWS."""

    name: CloudName = "aws"

    def __init__(self, account: Any) -> None:
        from . import access, holders, instance, lock, network, vpn
        from . import account as calls

        self.lock = lock.KeyPairLock(account)
        self._account = account
        self._errors = calls.errors
        self._recent = Recent(account.patience.lists)
        self._naming_holders = holders.naming_holders
        self._instances = instance.Instance(account)
        kinds = (
            network.Vpc,
            network.Subnet,
            network.InternetGateway,
            network.ElasticIp,
            network.NatGateway,
            network.RouteTable,
            vpn.VpnGateway,
            vpn.CustomerGateway,
            vpn.VpnConnection,
            access.SecurityGroup,
            access.SecurityGroupRules,
            access.KeyPair,
            access.IamRole,
            access.InstanceProfile,
        )
        self._kinds = {kind.name: kind(account) for kind in kinds} | {"instance": self._instances}

    def check(self) -> None:
        """See ``CloudApi.check``."""
        from .check import check

        with self._errors("aws"):
            check(self._account, self._instances)

    def image(self) -> Image:
        """See ``CloudApi.image``."""
        with self._errors("aws:instance"):
            return self._instances.image()

    def inventory(self) -> dict[str, Found]:
        """See ``CloudApi.inventory``."""

        def find(kind: Any, vpcs: frozenset[str]) -> list[Found]:
            with self._errors(f"aws:{kind.name}"):
                return list(kind.find(vpcs))

        def look() -> dict[str, Found]:
            # First of all, as what stands in them may be known by that alone.
            networks = find(self._kinds["vpc"], frozenset())
            vpcs = frozenset(found.id for found in networks)
            others = [kind for name, kind in self._kinds.items() if name != "vpc"]
            with Workers(8) as pool:
                rest = pool.map(lambda kind: find(kind, vpcs), others)
                return unique(found for of_kind in (networks, *rest) for found in of_kind)

        return self._recent.agree(look, "aws")

    def instances(self) -> dict[str, Found]:
        """See ``CloudApi.instances``."""
        with self._errors("aws:instance"):
            return self._recent.agree(
                lambda: unique(self._instances.find(frozenset())), "aws instances", "aws:instance:"
            )

    def create(self, resource: Resource, spec: Mapping[str, Any]) -> Found:
        """See ``CloudApi.create``."""
        with self._errors(resource.key):
            return self._recent.made(self._kinds[resource.kind].create(resource.name, spec))

    def update(self, resource: Resource, found: Found, spec: Mapping[str, Any], changes: tuple[str, ...]) -> Found:
        """See ``CloudApi.update``."""
        with self._errors(resource.key):
            kind = self._kinds[resource.kind]
            if "marked" in changes:
                kind.mark(found, resource.name, spec)
                known = {name: value for name, value in found.attributes.items() if name != "marked"}
                found, changes = replace(found, attributes=known), tuple(c for c in changes if c != "marked")
            return kind.update(found, spec, changes) if changes else found

    def wait(self, found: Found) -> Found:
        """See ``CloudApi.wait``."""
        with self._errors(found.key):
            return self._kinds[found.key.split(":")[1]].wait(found)

    def destroy(self, found: Found) -> None:
        """See ``CloudApi.destroy``."""
        with self._errors(found.key), self._naming_holders(self._account, found):
            self._kinds[found.key.split(":")[1]].destroy(found)
            self._recent.removed(found)

    def console_output(self, host_id: str) -> str:
        """See ``CloudApi.console_output``."""
        with self._errors(f"aws instance {host_id}"):
            return self._instances.console_output(host_id)

    def guard(self, proceed: Callable[[], None] | None) -> None:
        """See ``CloudApi.guard``: each attempt counts as a call."""

        def ask(event_name: str, **_: object) -> None:
            if proceed and not event_name.rpartition(".")[2].startswith(READS):
                proceed()

        for client in (self._account.ec2, self._account.probe, self._account.iam):
            events = client.meta.events
            events.unregister("before-send", unique_id="runbook-guard")
            if proceed:
                events.register("before-send", ask, unique_id="runbook-guard")
