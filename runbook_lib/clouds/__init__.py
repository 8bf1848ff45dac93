"""The clouds: one module each, the same verbs in both (``base.CloudApi``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..params import Params
from ..together import Workers
from .base import CloudApi, Clouds
from .recent import PATIENCE, Patience

if TYPE_CHECKING:
    from .aws import Aws

__all__ = ["CloudApi", "Clouds", "Patience", "connect"]


def connect(params: Params, patience: Patience = PATIENCE) -> Clouds:
    """Clients of both clouds, made at the same time because their SDKs are slow to load; no call is made yet.

    Args:
        params: the deployment.
        patience: for how long the clouds may disagree with themselves.

    Raises:
        ParameterError: a credentials file is named that does not exist.
        PrerequisiteError: there are no credentials.
    """
    with Workers(2) as pool:
        aws, gcp = pool.submit(_aws, params, patience), pool.submit(_gcp, params, patience)
        return Clouds(aws.result(), gcp.result(), aws.result().lock)


def _aws(params: Params, patience: Patience) -> Aws:
    from . import aws

    return aws.connect(params, patience)


def _gcp(params: Params, patience: Patience) -> CloudApi:
    from . import gcp

    return gcp.connect(params, patience)
