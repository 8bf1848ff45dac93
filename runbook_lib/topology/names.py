"""What a deployment's things are called: which names it may use, whatever its parameters are or were. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .rules import ARTICLE, HARDENED, groups

_ROLE = "ec2-describe-instances"
_NUMBERED = r"server-{cloud}-(consul|traefik|test)-[1-9][0-9]?"
_INSTANCE = rf"bastion-{{cloud}}|{_NUMBERED}"
_GROUPS = "|".join(groups())
_RULES = "|".join(dict.fromkeys(rule.name for rule in (*HARDENED, *ARTICLE)))

# What comes behind the deployment's name and a hyphen, as a pattern, by "cloud:kind".
SUFFIXES: Mapping[str, str] = {
    "aws:iam_role": _ROLE,
    "aws:instance_profile": _ROLE,
    "aws:key_pair": "operator",
    "aws:vpc": "vpc",
    "aws:internet_gateway": "igw",
    "aws:vpn_gateway": "vgw",
    "aws:subnet": "(public|private)-[a-z]",
    "aws:elastic_ip": "nat",
    "aws:nat_gateway": "nat",
    "aws:route_table": "public|private",
    "aws:customer_gateway": "gcp-[ab]",
    "aws:vpn_connection": "gcp-[ab]",
    "aws:security_group": _GROUPS,
    "aws:security_group_rules": _GROUPS,
    "aws:instance": _INSTANCE.format(cloud="aws"),
    "gcp:network": "network",
    "gcp:subnetwork": "public|private",
    "gcp:route": "nat",
    "gcp:vpn_gateway": "vpn",
    "gcp:router": "vpn",
    "gcp:router_peering": "vpn",
    "gcp:external_vpn_gateway": "aws",
    "gcp:vpn_tunnel": "aws-[1-4]",
    "gcp:firewall": _RULES,
    "gcp:instance": _INSTANCE.format(cloud="gcp"),
}


def role_name(deployment: str) -> str:
    """The name of the role of a deployment's instances, and of their instance profile."""
    return f"{deployment}-{_ROLE}"


def is_ours(deployment: str, kind: str, name: str) -> bool:
    """Whether a deployment of that name would call something so.

    Args:
        deployment: its name.
        kind: the thing's "cloud:kind".
        name: the thing's whole name.
    """
    return re.fullmatch(f"{re.escape(deployment)}-({SUFFIXES[kind]})", name) is not None
