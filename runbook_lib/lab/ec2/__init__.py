"""The AWS side of the lab: EC2, IAM and STS on moto, mended where an operator would notice."""

from .app import Ec2

__all__ = ["Ec2"]
