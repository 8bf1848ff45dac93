"""Addresses: how the ranges are split, and an existing network layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from ..params import Params
from ..resources import CloudName
from .rules import Place

# Inside addresses of the four VPN tunnels: AWS takes the first host of each, GCP the second. Any /30 of
# 169.254.0.0/16 would do but for those that AWS keeps (169.254.0.0/30 to 169.254.5.0/30, 169.254.169.252/30).
TUNNELS: tuple[str, ...] = tuple(f"169.254.21.{4 * index}/30" for index in range(4))


@dataclass(frozen=True, slots=True)
class ExistingNetwork:
    """The outputs of a network layer that another tool made; the fields are named after the outputs.

    Args:
        gcp_network: name or URL of the VPC network.
        gcp_pub_subnet: name or URL of the public subnetwork.
        gcp_priv_subnet: name or URL of the private subnetwork.
        aws_vpc: VPC id.
        aws_pub_subnet: ids of the public subnets, one a zone, in the order of ``aws_zones``.
        aws_priv_subnet: ids of the private subnets, likewise.
        aws_ngw: id of the NAT gateway that the private subnets go out by.
        aws_igw: id of the internet gateway.
        aws_bastion_sg: id of the security group of the AWS bastion.
        gcp_bastion_ip: public address of the GCP bastion.
        aws_bastion_ip: public address of the AWS bastion.
    """

    gcp_network: str
    gcp_pub_subnet: str
    gcp_priv_subnet: str
    aws_vpc: str
    aws_pub_subnet: tuple[str, ...]
    aws_priv_subnet: tuple[str, ...]
    aws_ngw: str
    aws_igw: str
    aws_bastion_sg: str
    gcp_bastion_ip: str
    aws_bastion_ip: str


def aws_subnets(params: Params) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ranges of AWS's (public, private) subnets, one of each a zone: the eighths 0, 1, 2 and 4, 5, 6."""
    eighths = [str(part) for part in IPv4Network(params.aws_network).subnets(prefixlen_diff=3)]
    zones = len(params.aws_zones)
    return tuple(eighths[:zones]), tuple(eighths[4 : 4 + zones])


def inside(tunnel: int) -> tuple[str, str]:
    """Inside addresses (AWS's, GCP's) of a tunnel, 0 to 3."""
    aws, gcp = IPv4Network(TUNNELS[tunnel]).hosts()
    return str(aws), str(gcp)


def places(params: Params, cloud: CloudName, network: ExistingNetwork | None) -> Mapping[Place, tuple[str, ...]]:
    """What the rules' places are for one cloud, as ranges.

    An existing network's subnets are known by id only, so its private part is the whole of its range.
    """
    gcp = (params.gcp_public_subnet, params.gcp_private_subnet)
    aws_private = aws_subnets(params)[1] if network is None else (params.aws_network,)
    whole: Mapping[CloudName, tuple[str, ...]] = {"aws": (params.aws_network,), "gcp": gcp}
    private: Mapping[CloudName, tuple[str, ...]] = {"aws": aws_private, "gcp": (params.gcp_private_subnet,)}
    other: CloudName = "gcp" if cloud == "aws" else "aws"
    return {
        "anywhere": ("0.0.0.0/0",),
        "here": whole[cloud],
        "there": whole[other],
        "here-private": private[cloud],
        "there-private": private[other],
    }
