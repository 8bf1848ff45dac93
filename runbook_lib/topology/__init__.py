"""From parameters to every resource wanted in both clouds. Pure: nothing here asks or changes a cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..bootstrap import script
from ..params import Params
from ..resources import CloudName, Resource
from . import aws, gcp
from .network import ExistingNetwork
from .nodes import STEP_OF_ROLE, Node, Role, nodes
from .rules import GROUPS, Opening, Rule, firewall, table

__all__ = [
    "GROUPS",
    "STEP_OF_ROLE",
    "ExistingNetwork",
    "Node",
    "Opening",
    "Role",
    "Rule",
    "Script",
    "Topology",
    "firewall",
    "table",
    "topology",
]

# (params, cloud, role, node name) -> the script that the instance boots with.
Script = Callable[[Params, CloudName, str, str], str]


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that a deployment consists of.

    Args:
        params: what it was made from.
        nodes: the instances, by the article's names.
        resources: every resource of both clouds, instances included.
        network: the existing network layer that it stands on, or ``None`` when it has its own.
    """

    params: Params
    nodes: tuple[Node, ...]
    resources: tuple[Resource, ...]
    network: ExistingNetwork | None = None

    @property
    def deployment(self) -> str:
        """The deployment's name, which every resource's name starts with."""
        return self.params.deployment

    @property
    def by_key(self) -> Mapping[str, Resource]:
        """The resources by their key."""
        return {resource.key: resource for resource in self.resources}

    def step(self, name: str) -> tuple[Resource, ...]:
        """The resources that one notebook creates."""
        return tuple(resource for resource in self.resources if resource.step == name)

    def nodes_of(self, cloud: CloudName | None = None, role: str | None = None) -> Iterator[Node]:
        """The nodes of one cloud, one role, or both."""
        return (n for n in self.nodes if cloud in (None, n.cloud) and role in (None, n.role))


def topology(
    params: Params,
    *,
    public_key: str,
    network: ExistingNetwork | None = None,
    script: Script = script,
) -> Topology:
    """Decide what a deployment consists of.

    Args:
        params: the deployment.
        public_key: the operator's SSH public key, one line as in ``authorized_keys``.
        network: an existing network layer to stand on; nothing of it is created, changed or destroyed.
        script: what renders boot scripts.
    """
    wanted = nodes(params, bastions=network is None)
    scripts = {node.key: script(params, node.cloud, node.role, node.name) for node in wanted}
    resources = (
        *aws.resources(params, wanted, scripts, public_key, network),
        *gcp.resources(params, wanted, scripts, public_key, network),
    )
    twice = [key for key, count in Counter(resource.key for resource in resources).items() if count > 1]
    assert not twice, f"resources of the same name: {twice}"
    return Topology(params, wanted, resources, network)
