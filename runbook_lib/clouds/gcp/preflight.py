"""Whether what the parameters say about GCP exists, asked before anything is created."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...errors import CloudError, ParameterError, PrerequisiteError
from ...together import each
from ..base import Image
from .api import Api, is_missing, reason

IMAGE = re.compile(r"(?:.*/)?projects/(?P<project>[^/]+)/global/images/(?P<family>family/)?(?P<name>[^/]+)")


def check(api: Api) -> None:
    """Make sure that project, region, zones, machine type and image exist.

    Raises:
        ParameterError: something that a parameter names does not exist.
        PrerequisiteError: credentials are refused or do not suffice.
    """
    params = api.params
    _named(api)

    def get(parameter: str, value: str, client: str, **request: str) -> Callable[[], None]:
        def ask() -> None:
            try:
                api.call(f"gcp {value}", api.client(client).get, request)
            except CloudError as error:
                raise _judge(parameter, value, error) from error.__cause__

        return ask

    # The project first: without it, or without leave to read it, every other answer is "not found" too.
    get("gcp_project", params.gcp_project, "ProjectsClient")()
    asks: list[Callable[[], object]] = [
        get("gcp_region", params.gcp_region, "RegionsClient", region=params.gcp_region),
        lambda: image(api),
    ]
    for zone in params.gcp_zones:
        size = params.gcp_machine_type
        asks.append(get("gcp_zones", zone, "ZonesClient", zone=zone))
        asks.append(get("gcp_machine_type", f"{size} in {zone}", "MachineTypesClient", zone=zone, machine_type=size))
    each(lambda ask: ask(), asks)


def image(api: Api) -> Image:
    """The image that the parameters name; of a family, the newest.

    Raises:
        ParameterError: there is none.
    """
    wanted = api.params.gcp_image
    named = _named(api)
    verb, part = ("get_from_family", "family") if named["family"] else ("get", "image")
    request = {"project": named["project"], part: named["name"]}
    try:
        found = api.call(f"gcp {wanted}", getattr(api.client("ImagesClient"), verb), request)
    except CloudError as error:
        raise _judge("gcp_image", wanted, error) from error.__cause__
    return Image(wanted, found.name, str(found.id))


def _named(api: Api) -> re.Match[str]:
    """What ``gcp_image`` is made of.

    Raises:
        ParameterError: it is no image's path.
    """
    named = IMAGE.fullmatch(api.params.gcp_image)
    if named is None:
        raise ParameterError(
            "the parameter gcp_image cannot be used",
            resource="gcp_image",
            expected="projects/PROJECT/global/images/NAME or projects/PROJECT/global/images/family/NAME",
            seen=api.params.gcp_image,
            remedy="correct gcp_image; nothing was created",
        )
    return named


def _judge(parameter: str, value: str, error: CloudError) -> Exception:
    cause: Any = error.__cause__
    code = getattr(cause, "code", None)
    if is_missing(error):
        return ParameterError(
            f"GCP does not know the {parameter} {value}",
            resource=parameter,
            expected="one that exists",
            seen=error.message,
            remedy=f"correct {parameter}; nothing was created",
        )
    if code in (401, 403) or "google.auth" in type(cause).__module__:
        return PrerequisiteError(
            "GCP does not accept the credentials, or they do not suffice",
            resource="gcp_credentials",
            expected=f"leave to read {value}",
            seen=f"{reason(cause) or type(cause).__name__}: {error.message}",
            remedy=error.remedy,
        )
    return error
