"""A VPN made in a lab by both clouds' own clients: one AWS connection (two tunnels) to each GCP interface."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from google.cloud import compute_v1

from runbook_lib.lab import host
from tests.lab.test_world import GCP_REGION, IMAGE, PROJECT, ZONE, Gce, ec2_client

AWS_NETWORK, GCP_NETWORK = "10.8.0.0/24", "10.9.0.0/26"
AWS_ASN, GCP_ASN = 64512, 65273
INSIDE = tuple(f"169.254.77.{4 * number}" for number in range(8))


def eventually(look: Callable[[], Any], wanted: Any, seconds: float = 60) -> None:
    """Bounded waiting until a look shows what is wanted; what is asserted is that it happens."""
    deadline = time.monotonic() + seconds
    while (seen := look()) != wanted:
        if time.monotonic() > deadline:
            pytest.fail(f"wanted {wanted}, last seen {seen}")
        time.sleep(0.2)


class TwoClouds:
    """Networks in both clouds of a lab, and what joins them.

    Args:
        lab: the lab.
        name: of everything; two deployments in one lab have different ones.
    """

    def __init__(self, lab: host.Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.ec2 = ec2_client(lab)
        self.gce = Gce(lab)
        self.aws_node = self.gcp_node = ""
        self.connections: list[str] = []
        self.vpc = self.ec2.create_vpc(CidrBlock=AWS_NETWORK)["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.8.0.0/27")["Subnet"]["SubnetId"]
        self.table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        self.vgw = self.ec2.create_vpn_gateway(Type="ipsec.1", AmazonSideAsn=AWS_ASN)["VpnGateway"]["VpnGatewayId"]
        self.ec2.attach_vpn_gateway(VpcId=self.vpc, VpnGatewayId=self.vgw)
        self._insert("Networks", network_resource={"name": name, "auto_create_subnetworks": False})
        network = f"global/networks/{name}"
        subnet = {"name": name, "network": network, "ip_cidr_range": GCP_NETWORK}
        self._insert("Subnetworks", region=GCP_REGION, subnetwork_resource=subnet)
        self._insert("VpnGateways", region=GCP_REGION, vpn_gateway_resource={"name": name, "network": network})
        router = {"name": name, "network": network, "bgp": {"asn": GCP_ASN}}
        self._insert("Routers", region=GCP_REGION, router_resource=router)

    # ---- making ------------------------------------------------------------------------------------------

    def connect(
        self,
        *,
        options: Mapping[int, Mapping[str, Any]] | None = None,
        tunnels: Mapping[int, Mapping[str, Any]] | None = None,
        sessions: Mapping[int, Mapping[str, Any]] | None = None,
        customers: Mapping[int, str] | None = None,
    ) -> None:
        """Make four tunnels; what is given by number (0 to 3) differs from what would be right.

        Args:
            options: AWS's tunnel options.
            tunnels: fields of GCP's tunnels.
            sessions: fields of the router's interfaces and peers.
            customers: by connection (0, 1), the address that AWS is told to expect.
        """
        client = self.gce.client("VpnGateways")
        gateway = client.get(project=PROJECT, region=GCP_REGION, vpn_gateway=self.name)
        ends = [interface.ip_address for interface in gateway.vpn_interfaces]
        shown: list[dict[str, Any]] = []
        for index in (0, 1):
            address = (customers or {}).get(index, ends[index])
            customer = self.ec2.create_customer_gateway(Type="ipsec.1", BgpAsn=GCP_ASN, IpAddress=address)
            wanted = [
                {"TunnelInsideCidr": f"{INSIDE[number]}/30", **(options or {}).get(number, {})}
                for number in (2 * index, 2 * index + 1)
            ]
            connection = self.ec2.create_vpn_connection(
                Type="ipsec.1",
                CustomerGatewayId=customer["CustomerGateway"]["CustomerGatewayId"],
                VpnGatewayId=self.vgw,
                Options={"TunnelOptions": wanted},
            )["VpnConnection"]
            self.connections.append(connection["VpnConnectionId"])
            shown += connection["Options"]["TunnelOptions"]
        interfaces = [{"id": number, "ip_address": one["OutsideIpAddress"]} for number, one in enumerate(shown)]
        peer = {"name": self.name, "redundancy_type": "FOUR_IPS_REDUNDANCY", "interfaces": interfaces}
        self._insert("ExternalVpnGateways", external_vpn_gateway_resource=peer)
        for number, one in enumerate(shown):
            tunnel = {
                "name": f"{self.name}-{number}",
                "vpn_gateway": f"regions/{GCP_REGION}/vpnGateways/{self.name}",
                "vpn_gateway_interface": number // 2,
                "peer_external_gateway": f"global/externalVpnGateways/{self.name}",
                "peer_external_gateway_interface": number,
                "router": f"regions/{GCP_REGION}/routers/{self.name}",
                "shared_secret": one["PreSharedKey"],
                **(tunnels or {}).get(number, {}),
            }
            self._insert("VpnTunnels", region=GCP_REGION, vpn_tunnel_resource=tunnel)
        self.peer(sessions or {})

    def peer(self, sessions: Mapping[int, Mapping[str, Any]]) -> None:
        body: dict[str, Any] = {"interfaces": [], "bgp_peers": []}
        for number in range(4):
            wrong = dict(sessions.get(number, {}))
            base = wrong.pop("inside", INSIDE[number])
            first, _, last = base.rpartition(".")
            body["interfaces"].append(
                {
                    "name": f"i{number}",
                    "ip_range": f"{first}.{int(last) + 2}/30",
                    "linked_vpn_tunnel": f"regions/{GCP_REGION}/vpnTunnels/{self.name}-{number}",
                }
            )
            peer = {"name": f"p{number}", "interface_name": f"i{number}", "peer_ip_address": f"{first}.{int(last) + 1}"}
            body["bgp_peers"].append({**peer, "peer_asn": AWS_ASN, **wrong})
        client = self.gce.client("Routers")
        done = client.patch_unary(project=PROJECT, region=GCP_REGION, router=self.name, router_resource=body)
        self.gce.done(done)

    def boot(self) -> None:
        """An instance in each network, which anybody may ping and which answers on port 7000."""
        group = self.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        identity = group["SecurityGroups"][0]["GroupId"]
        anything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.authorize_security_group_ingress(GroupId=identity, IpPermissions=anything)
        script = "#!/bin/sh\nwhile :; do nc -l -p 7000 </dev/null; done\n"
        image = self.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        launched = self.ec2.run_instances(
            ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1, UserData=script, SubnetId=self.subnet
        )
        self.aws_node = launched["Instances"][0]["InstanceId"]
        rule = {
            "name": self.name,
            "network": f"global/networks/{self.name}",
            "allowed": [{"I_p_protocol": "all"}],
            "source_ranges": ["0.0.0.0/0"],
        }
        self._insert("Firewalls", firewall_resource=rule)
        start = {"initialize_params": {"source_image": IMAGE}, "boot": True, "auto_delete": True}
        instance = {
            "name": self.name,
            "machine_type": f"zones/{ZONE}/machineTypes/e2-small",
            "disks": [start],
            "network_interfaces": [{"subnetwork": f"regions/{GCP_REGION}/subnetworks/{self.name}"}],
            "metadata": {"items": [{"key": "startup-script", "value": script}]},
        }
        self._insert("Instances", zone=ZONE, instance_resource=instance)
        self.gcp_node = self.name
        waiter = self.ec2.get_waiter("instance_running")
        waiter.wait(InstanceIds=[self.aws_node], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def _insert(self, kind: str, **request: Any) -> None:
        (name,) = (key for key in request if key.endswith("_resource"))
        message = getattr(compute_v1, kind.removesuffix("s"))(request.pop(name))
        self.gce.done(self.gce.client(kind).insert_unary(project=PROJECT, **request, **{name: message}))

    # ---- looking -----------------------------------------------------------------------------------------

    def aws(self) -> list[tuple[str, str]]:
        """(status, message) of each tunnel, as AWS says."""
        answer = self.ec2.describe_vpn_connections(VpnConnectionIds=self.connections)["VpnConnections"]
        by_id = {one["VpnConnectionId"]: one for one in answer}
        found = []
        for identity in self.connections:
            telemetry = {entry["OutsideIpAddress"]: entry for entry in by_id[identity]["VgwTelemetry"]}
            for option in by_id[identity]["Options"]["TunnelOptions"]:
                entry = telemetry[option["OutsideIpAddress"]]
                found.append((entry["Status"], entry["StatusMessage"]))
        return found

    def gcp(self) -> list[tuple[str, str]]:
        """(status, detail) of each tunnel, as GCP says."""
        listed = self.gce.client("VpnTunnels").list(project=PROJECT, region=GCP_REGION)
        own = [tunnel for tunnel in listed if tunnel.name.startswith(f"{self.name}-")]
        return [(tunnel.status, tunnel.detailed_status) for tunnel in sorted(own, key=lambda tunnel: tunnel.name)]

    def states(self) -> tuple[list[str], list[str]]:
        """The statuses alone, (AWS's, GCP's)."""
        return [status for status, _ in self.aws()], [status for status, _ in self.gcp()]

    def router(self) -> Any:
        """The answer of getRouterStatus."""
        client = self.gce.client("Routers")
        return client.get_router_status(project=PROJECT, region=GCP_REGION, router=self.name).result

    def learned(self) -> list[str]:
        """What AWS's route table learned."""
        shown = self.ec2.describe_route_tables(RouteTableIds=[self.table])["RouteTables"][0]["Routes"]
        return [r["DestinationCidrBlock"] for r in shown if r["Origin"] == "EnableVgwRoutePropagation"]

    def propagate(self) -> None:
        """Let AWS's route table learn."""
        self.ec2.enable_vgw_route_propagation(RouteTableId=self.table, GatewayId=self.vgw)

    def across(self) -> tuple[bool, bool]:
        """Whether a new connection to the other side opens, (from AWS, from GCP)."""
        nodes = {node["id"]: node for node in self.lab.nodes()}
        aws, gcp = nodes[self.aws_node], nodes[f"{ZONE}/{self.gcp_node}"]
        return self._opens(aws, gcp["private_ip"]), self._opens(gcp, aws["private_ip"])

    def _opens(self, node: Mapping[str, Any], address: str) -> bool:
        command = [*self.lab.enter(node), "nc", "-z", "-w", "2", address, "7000"]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
