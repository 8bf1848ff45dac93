"""Which image new instances boot: named by a public parameter of Systems Manager, or by a pattern of names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ...errors import ParameterError
from ..base import Image
from .account import Account, code

# What precedes the name of a parameter in ``aws_image``.
PARAMETER = "ssm:"


def newest(account: Account) -> Image:
    """The newest image that the parameters name.

    Raises:
        ParameterError: there is none.
    """
    params = account.params
    if params.aws_image.startswith(PARAMETER):
        wanted: dict[str, Any] = {"ImageIds": [_told(account, params.aws_image.removeprefix(PARAMETER))]}
    else:
        wanted = {"Filters": [{"Name": "name", "Values": [params.aws_image]}]}
    wanted.setdefault("Filters", []).append({"Name": "state", "Values": ["available"]})
    images = account.ec2.describe_images(Owners=[params.aws_image_owner], **wanted)["Images"]
    if not images:
        raise ParameterError(
            "there is no such image",
            resource="aws_image",
            expected="the name of an AMI, a pattern that matches one, or ssm:PARAMETER, whose value is one",
            seen=f"{params.aws_image} of owner {params.aws_image_owner} in {params.aws_region}",
            remedy="correct aws_image or aws_image_owner; nothing was created",
        )
    found = max(images, key=lambda image: (image.get("CreationDate", ""), image["Name"]))
    return Image(params.aws_image, str(found["Name"]), str(found["ImageId"]))


def _told(account: Account, name: str) -> str:
    """The image that a parameter of Systems Manager tells.

    Raises:
        ParameterError: there is no such parameter, or it tells something else.
    """
    try:
        value = str(account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if code(error) not in ("ParameterNotFound", "ValidationException"):
            raise
        value = code(error)
    if not value.startswith("ami-"):
        raise ParameterError(
            "Systems Manager tells no image of that name",
            resource="aws_image",
            expected="a parameter whose value is an AMI, such as ssm:/aws/service/debian/release/12/latest/amd64",
            seen=f"{name} in {account.params.aws_region}: {value}",
            remedy="correct aws_image; `aws ssm get-parameters-by-path --path /aws/service/debian --recursive` lists"
            " Debian's; nothing was created",
        )
    return value
