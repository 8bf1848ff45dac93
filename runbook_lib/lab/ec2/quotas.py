"""Service Quotas, as far as it is asked here: what an account may have, with AWS's own codes and defaults."""

from __future__ import annotations

import json
from typing import Any

from .base import ACCOUNT
from .errors import RefusedError

# service -> code -> name and value that every region has at first, from AWS's table of service quotas; for vCPUs what
# accounts have that have run something before (one that never did begins with 5).
QUOTAS = {
    "ec2": {
        "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 32),
        "L-0263D0A3": ("EC2-VPC Elastic IPs", 5),
        "L-7029FAB6": ("Virtual private gateways per region", 5),
        "L-4FB7FF5D": ("Customer gateways per region", 50),
        "L-3E6EC3A3": ("VPN connections per region", 50),
    },
    "vpc": {
        "L-F678F1CE": ("VPCs per Region", 5),
        "L-A4707A72": ("Internet gateways per Region", 5),
        "L-FE5A380F": ("NAT gateways per Availability Zone", 5),
        "L-E79EC296": ("VPC security groups per Region", 2500),
    },
}
# Quotas of which an account has no value of its own, only everybody's.
_DEFAULT_ONLY = ("L-E79EC296", "L-4FB7FF5D")


def answer(action: str, body: bytes, region: str) -> bytes:
    """The answer to a request, a JSON document.

    Raises:
        RefusedError: an action or service that the lab does not know.
    """
    if action not in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        raise RefusedError("UnknownOperationException", f"The lab answers lists of quotas, not {action}.")
    service = json.loads(body or b"{}").get("ServiceCode", "")
    if service not in QUOTAS:
        raise RefusedError(
            "NoSuchResourceException", "The request failed because the specified service does not exist."
        )
    left_out = _DEFAULT_ONLY if action == "ListServiceQuotas" else ()
    quotas = [_quota(service, region, code, *entry) for code, entry in QUOTAS[service].items() if code not in left_out]
    return json.dumps({"Quotas": quotas}).encode()


def _quota(service: str, region: str, code: str, name: str, value: int) -> dict[str, Any]:
    return {
        "ServiceCode": service,
        "QuotaCode": code,
        "QuotaName": name,
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:{service}/{code}",
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
