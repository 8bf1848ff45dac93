"""The clouds' own Python clients, on the account and endpoint that the parameters name: for exercises and for looking.

What is changed by them is changed past the runbook, as by anybody else who may: the next plan shows it.
"""

from __future__ import annotations

from typing import Any

from .params import Params


def aws(params: Params, service: str = "ec2") -> Any:
    """One of boto3's clients.

    Args:
        params: the deployment.
        service: boto3's name for the service.

    Raises:
        ParameterError: the credentials file cannot be used.
    """
    from .clouds.aws.account import clients, errors

    client = clients(params)
    with errors(f"aws {service}"):
        return client(service)


def gcp(params: Params, resource: str) -> Any:
    """One of google-cloud-compute's clients.

    Args:
        params: the deployment.
        resource: the class's name without "Client", for example ``Firewalls``.

    Raises:
        ParameterError: the credentials file cannot be used.
        PrerequisiteError: there are no credentials.
    """
    from .clouds.gcp.api import Api

    api = Api(params)
    client = api.client(f"{resource}Client")
    # What a change returns waits for its end by a client of its own, which Google's would make for its public endpoint
    # alone. There is no public way to give it another.
    client.transport._extended_operations_services |= {
        f"{scope.lower()}_operations": api.client(f"{scope}OperationsClient") for scope in ("Global", "Region", "Zone")
    }
    return client
