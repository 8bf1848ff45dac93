"""What `runbook doctor -f` learns of a cloud before anything is made: who asks, what may be done, what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..params import Params
from ..resources import CloudName, Found, Resource

# What quotas count besides resources' kinds.
CPUS, ADDRESSES = "cpus", "public addresses"


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of something there may be.

    Args:
        name: the cloud's name for it.
        counts: a resource's kind, ``CPUS`` or ``ADDRESSES``.
        limit: how many the account may have.
        used: how many it has, whosever they are.
        each: how much one thing that is counted takes; for ``CPUS``, of one instance.
    """

    name: str
    counts: str
    limit: int
    used: int
    each: int = 1


class Surveyor(Protocol):
    """Asks one cloud; changes nothing. Raises as ``CloudApi`` does."""

    name: CloudName

    def identity(self) -> str:
        """Whose the credentials are, and in which account or project they count."""

    def check(self) -> None:
        """See ``CloudApi.check``."""

    def denied(self, permissions: Iterable[str]) -> tuple[str, ...]:
        """Those of some permissions that the credentials do not have."""

    def quotas(self) -> tuple[Quota, ...]:
        """What the account may have and has, of what deployments need."""

    def found(self) -> Mapping[str, Found]:
        """See ``CloudApi.inventory``."""

    def taken(self, wanted: Iterable[Resource]) -> tuple[str, ...]:
        """The keys of wanted resources whose names something has that is not the deployment's."""


def surveyor(params: Params, cloud: CloudName) -> Surveyor:
    """Who asks one cloud.

    Raises:
        ParameterError: a credentials file is named that does not exist.
        PrerequisiteError: there are no credentials.
    """
    if cloud == "aws":
        from .aws.survey import AwsSurveyor

        return AwsSurveyor(params)
    from .gcp.survey import GcpSurveyor

    return GcpSurveyor(params)
