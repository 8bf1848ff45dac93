"""Which of the clouds' permissions the runbook uses, by what is done to what: the one place where they are written.

``tests/clouds/test_permissions.py`` lets everything be done with what stands here, and nothing with one of it less.
GCP's are those for an image that Google publishes; one of the project's own needs ``compute.images.getFromFamily`` (or
``get``) and ``compute.images.useReadOnly`` besides. AWS's ``ssm:GetParameter`` is for an image named by a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..resources import CloudName

# make, bring in line, and take away one resource.
Verb = Literal["create", "change", "destroy"]
Actions = tuple[str, ...]

# What is only asked, by purpose.
READS: Mapping[CloudName, Mapping[str, Actions]] = {
    "aws": {
        "look": (
            "ec2:DescribeAddresses",
            "ec2:DescribeCustomerGateways",
            "ec2:DescribeInstances",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeKeyPairs",
            "ec2:DescribeNatGateways",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeVpcs",
            "ec2:DescribeVpnConnections",
            "ec2:DescribeVpnGateways",
            "iam:GetInstanceProfile",
            "iam:GetRole",
            "iam:GetRolePolicy",
        ),
        "check the parameters": (
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypeOfferings",
            "ssm:GetParameter",
        ),
        "read consoles": ("ec2:GetConsoleOutput",),
        # Everybody may ask who they are.
        "doctor": (
            "ec2:DescribeInstanceTypes",
            "iam:SimulatePrincipalPolicy",
            "servicequotas:ListAWSDefaultServiceQuotas",
            "servicequotas:ListServiceQuotas",
        ),
    },
    "gcp": {
        "look": (
            "compute.externalVpnGateways.list",
            "compute.firewalls.list",
            "compute.instances.list",
            "compute.networks.list",
            "compute.routers.get",
            "compute.routers.list",
            "compute.routes.list",
            "compute.subnetworks.list",
            "compute.vpnGateways.list",
            "compute.vpnTunnels.list",
        ),
        "check the parameters": (
            "compute.machineTypes.get",
            "compute.projects.get",
            "compute.regions.get",
            "compute.zones.get",
        ),
        "read consoles": ("compute.instances.getSerialPortOutput",),
    },
}

# What every change of a deployment needs besides, or may need: the key pair that keeps other operators out, tags that
# somebody took off (what an instance was made with tells whose it is), and who holds on to what should go.
BESIDES: Mapping[CloudName, Mapping[str, Actions]] = {
    "aws": {
        "keep others out": ("ec2:ImportKeyPair", "ec2:CreateTags", "ec2:DeleteKeyPair"),
        "put tags back": (
            "ec2:CreateTags",
            "ec2:DescribeInstanceAttribute",
            "iam:TagInstanceProfile",
            "iam:TagRole",
        ),
        "name what holds on": ("ec2:DescribeNetworkInterfaces",),
    },
    "gcp": {},
}

_TAGGED = "ec2:CreateTags"  # tags that come with a creation
_GLOBAL, _REGION, _ZONE = (f"compute.{scope}Operations.get" for scope in ("global", "region", "zone"))
_POLICY = "compute.networks.updatePolicy"  # what hangs on a network changes what it lets through

# In the order in which they are called.
AWS: Mapping[str, Mapping[Verb, Actions]] = {
    "vpc": {
        "create": ("ec2:CreateVpc", "ec2:ModifyVpcAttribute", _TAGGED),
        "change": ("ec2:ModifyVpcAttribute",),
        "destroy": ("ec2:DeleteVpc",),
    },
    "subnet": {"create": ("ec2:CreateSubnet", _TAGGED), "destroy": ("ec2:DeleteSubnet",)},
    "internet_gateway": {
        "create": ("ec2:CreateInternetGateway", "ec2:AttachInternetGateway", _TAGGED),
        "change": ("ec2:DetachInternetGateway", "ec2:AttachInternetGateway"),
        "destroy": ("ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"),
    },
    "elastic_ip": {"create": ("ec2:AllocateAddress", _TAGGED), "destroy": ("ec2:ReleaseAddress",)},
    "nat_gateway": {"create": ("ec2:CreateNatGateway", _TAGGED), "destroy": ("ec2:DeleteNatGateway",)},
    "route_table": {
        "create": (
            "ec2:CreateRouteTable",
            "ec2:AssociateRouteTable",
            "ec2:CreateRoute",
            "ec2:EnableVgwRoutePropagation",
            _TAGGED,
        ),
        "change": (
            "ec2:AssociateRouteTable",
            "ec2:DisassociateRouteTable",
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:EnableVgwRoutePropagation",
            "ec2:DisableVgwRoutePropagation",
        ),
        "destroy": ("ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"),
    },
    "vpn_gateway": {
        "create": ("ec2:CreateVpnGateway", "ec2:AttachVpnGateway", _TAGGED),
        "change": ("ec2:DetachVpnGateway", "ec2:AttachVpnGateway"),
        "destroy": ("ec2:DetachVpnGateway", "ec2:DeleteVpnGateway"),
    },
    "customer_gateway": {
        "create": ("ec2:CreateCustomerGateway", _TAGGED),
        "destroy": ("ec2:DeleteCustomerGateway",),
    },
    "vpn_connection": {"create": ("ec2:CreateVpnConnection", _TAGGED), "destroy": ("ec2:DeleteVpnConnection",)},
    "security_group": {"create": ("ec2:CreateSecurityGroup", _TAGGED), "destroy": ("ec2:DeleteSecurityGroup",)},
    "security_group_rules": {
        "create": ("ec2:AuthorizeSecurityGroupIngress",),
        "change": ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
        "destroy": ("ec2:RevokeSecurityGroupIngress",),
    },
    "key_pair": {"create": ("ec2:ImportKeyPair", _TAGGED), "destroy": ("ec2:DeleteKeyPair",)},
    "iam_role": {
        "create": ("iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole"),
        "change": ("iam:PutRolePolicy",),
        "destroy": ("iam:DeleteRolePolicy", "iam:DeleteRole"),
    },
    "instance_profile": {
        "create": (
            "iam:CreateInstanceProfile",
            "iam:AddRoleToInstanceProfile",
            "iam:PassRole",
            "iam:TagInstanceProfile",
        ),
        "change": ("iam:RemoveRoleFromInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"),
        "destroy": ("iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"),
    },
    "instance": {
        "create": ("ssm:GetParameter", "ec2:DescribeImages", "ec2:RunInstances", "iam:PassRole", _TAGGED),
        "change": ("ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyInstanceAttribute", "ec2:StartInstances"),
        "destroy": ("ec2:TerminateInstances",),
    },
}

GCP: Mapping[str, Mapping[Verb, Actions]] = {
    "network": {
        "create": ("compute.networks.create", "compute.networks.get", _GLOBAL),
        "destroy": ("compute.networks.delete", _GLOBAL),
    },
    "subnetwork": {
        "create": ("compute.subnetworks.create", "compute.subnetworks.get", _POLICY, _REGION),
        "destroy": ("compute.subnetworks.delete", _POLICY, _REGION),
    },
    "firewall": {
        "create": ("compute.firewalls.create", "compute.firewalls.get", _POLICY, _GLOBAL),
        "change": ("compute.firewalls.update", "compute.firewalls.get", _POLICY, _GLOBAL),
        "destroy": ("compute.firewalls.delete", _POLICY, _GLOBAL),
    },
    "route": {
        "create": ("compute.routes.create", "compute.routes.get", "compute.instances.use", _POLICY, _GLOBAL),
        "destroy": ("compute.routes.delete", _POLICY, _GLOBAL),
    },
    "router": {
        "create": ("compute.routers.create", _POLICY, _REGION),
        "change": ("compute.routers.update", _POLICY, _REGION),
        "destroy": ("compute.routers.delete", _POLICY, _REGION),
    },
    "router_peering": {
        "create": ("compute.routers.update", _POLICY, _REGION),
        "change": ("compute.routers.update", _POLICY, _REGION),
        "destroy": ("compute.routers.update", _POLICY, _REGION),
    },
    "vpn_gateway": {
        "create": ("compute.vpnGateways.create", "compute.vpnGateways.get", "compute.networks.use", _REGION),
        "destroy": ("compute.vpnGateways.delete", _REGION),
    },
    "external_vpn_gateway": {
        "create": ("compute.externalVpnGateways.create", "compute.externalVpnGateways.get", _GLOBAL),
        "destroy": ("compute.externalVpnGateways.delete", _GLOBAL),
    },
    "vpn_tunnel": {
        "create": (
            "compute.vpnTunnels.create",
            "compute.vpnTunnels.get",
            "compute.externalVpnGateways.use",
            "compute.routers.use",
            "compute.vpnGateways.use",
            _REGION,
        ),
        "destroy": ("compute.vpnTunnels.delete", _REGION),
    },
    "instance": {
        "create": (
            "compute.instances.create",
            "compute.instances.get",
            "compute.instances.setLabels",
            "compute.instances.setMetadata",
            "compute.instances.setServiceAccount",
            "compute.instances.setTags",
            "compute.disks.create",
            "compute.subnetworks.use",
            "compute.subnetworks.useExternalIp",
            "iam.serviceAccounts.actAs",
            _ZONE,
        ),
        "change": (
            "compute.instances.get",
            "compute.instances.setLabels",
            "compute.instances.setTags",
            "compute.instances.start",
            _ZONE,
        ),
        "destroy": ("compute.instances.delete", _ZONE),
    },
}

KINDS: Mapping[CloudName, Mapping[str, Mapping[Verb, Actions]]] = {"aws": AWS, "gcp": GCP}
