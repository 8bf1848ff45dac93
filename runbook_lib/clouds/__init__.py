"""The clouds: one module each, the same verbs in both (``base.CloudApi``)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..params import Params
from .base import CloudApi, Clouds

__all__ = ["CloudApi", "Clouds", "connect"]


def connect(params: Params) -> Clouds:
    """Clients of both clouds, made at the same time because their SDKs are slow to load; no call is made yet.

    Raises:
        ParameterError: a credentials file is named that does not exist.
        PrerequisiteError: there are no credentials.
    """
    with ThreadPoolExecutor(2) as pool:
        aws, gcp = pool.submit(_aws, params), pool.submit(_gcp, params)
        return Clouds(aws.result(), gcp.result())


def _aws(params: Params) -> CloudApi:
    from . import aws

    return aws.connect(params)


def _gcp(params: Params) -> CloudApi:
    from . import gcp

    return gcp.connect(params)
