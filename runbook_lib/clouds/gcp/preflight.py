"""Whether what the parameters say about GCP exists, asked before anything is created."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...errors import CloudError, ParameterError, PrerequisiteError
from .api import Api, is_missing, reason

IMAGE = re.compile(r"(?:.*/)?projects/(?P<project>[^/]+)/global/images/(?P<family>family/)?(?P<name>[^/]+)")


def check(api: Api) -> None:
    """Make sure that project, region, zones, machine type and image exist.

    Raises:
        ParameterError: something that a parameter names does not exist.
        PrerequisiteError: credentials are refused or do not suffice.
    """
    params = api.params
    image = IMAGE.fullmatch(params.gcp_image)
    if image is None:
        raise ParameterError(
            "the parameter gcp_image cannot be used",
            resource="gcp_image",
            expected="projects/PROJECT/global/images/NAME or projects/PROJECT/global/images/family/NAME",
            seen=params.gcp_image,
            remedy="correct gcp_image; nothing was created",
        )

    def get(parameter: str, value: str, client: str, verb: str = "get", **request: str) -> Callable[[], None]:
        def ask() -> None:
            try:
                api.call(f"gcp {value}", getattr(api.client(client), verb), request)
            except CloudError as error:
                raise _judge(parameter, value, error) from error.__cause__

        return ask

    of_family = image["family"] is not None
    # The project first: without it, or without leave to read it, every other answer is "not found" too.
    get("gcp_project", params.gcp_project, "ProjectsClient")()
    asks = [
        get("gcp_region", params.gcp_region, "RegionsClient", region=params.gcp_region),
        get(
            "gcp_image",
            params.gcp_image,
            "ImagesClient",
            "get_from_family" if of_family else "get",
            project=image["project"],
            **{"family" if of_family else "image": image["name"]},
        ),
    ]
    for zone in params.gcp_zones:
        size = params.gcp_machine_type
        asks.append(get("gcp_zones", zone, "ZonesClient", zone=zone))
        asks.append(get("gcp_machine_type", f"{size} in {zone}", "MachineTypesClient", zone=zone, machine_type=size))
    with ThreadPoolExecutor(len(asks)) as pool:
        for waiting in [pool.submit(ask) for ask in asks]:
            waiting.result()


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
