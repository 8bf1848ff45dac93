"""Whether the parameters name things that AWS has, before anything is made."""

from __future__ import annotations

from botocore.exceptions import ClientError, EndpointConnectionError

from ...errors import ParameterError, PrerequisiteError
from .account import Account, code
from .instance import Instance

_REFUSED = ("AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "RequestExpired")


def check(account: Account, instances: Instance) -> None:
    """Ask for the region, its zones, the instance type and the image.

    Raises:
        ParameterError: one of them does not exist.
        PrerequisiteError: nothing answers, or the credentials are refused.
    """
    params = account.params
    try:
        zones = {zone["ZoneName"] for zone in account.probe.describe_availability_zones()["AvailabilityZones"]}
    except EndpointConnectionError as error:
        raise PrerequisiteError(
            "AWS does not answer",
            resource="aws_endpoint" if params.aws_endpoint else "aws_region",
            seen=str(error),
            remedy="correct it, or check the network; in the lab, start the lab (`runbook lab up`)",
        ) from None
    except ClientError as error:
        if code(error) not in _REFUSED:
            raise  # a missing permission among them: the error's own words name it
        raise PrerequisiteError(
            "AWS refuses the credentials",
            resource="aws_credentials",
            seen=f"{code(error)}: {error.response['Error'].get('Message', '')}",
            remedy="check them with `aws sts get-caller-identity`; the region must be enabled for the account",
        ) from None
    if unknown := [zone for zone in params.aws_zones if zone not in zones]:
        raise ParameterError(
            "there is no such zone",
            resource="aws_zones",
            expected=", ".join(sorted(zones)),
            seen=", ".join(unknown),
            remedy="choose zones that the account may use; nothing was created",
        )
    offered = {
        offer["Location"]
        for offer in account.ec2.describe_instance_type_offerings(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [params.aws_instance_type]}]
        )["InstanceTypeOfferings"]
    }
    if lacking := [zone for zone in params.aws_zones if zone not in offered]:
        raise ParameterError(
            "the instance type is not offered",
            resource="aws_instance_type",
            expected=f"a type offered in {', '.join(params.aws_zones)}",
            seen=f"{params.aws_instance_type} is not offered in {', '.join(lacking)}",
            remedy="choose another aws_instance_type or other aws_zones; nothing was created",
        )
    instances.image()
