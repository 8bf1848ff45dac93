"""EC2's actions as HTTP answers: what moto's handlers leave out, get wrong or do not have."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.serialize import return_if_not_empty
from moto.core.types import Base64EncodedString
from moto.core.utils import get_pagination_model, utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.ec2.utils import add_tag_specification, parse_user_data

from .base import ACCOUNT, LabBackend, refuse
from .errors import CONSOLE


class LabResponse(EC2Response):
    """One request. ``serve`` makes a subclass that knows its account's regions and consoles."""

    account: Any = None  # an account.Account, set by the subclass
    # What moto sends empty, or not at all.
    RESPONSE_KEY_PATH_TO_TRANSFORMER = {  # noqa: RUF012  # moto's name and kind
        **EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
        ".Association": return_if_not_empty,
        "SecurityGroupRule.GroupOwnerId": lambda _: ACCOUNT,
        ".StateReason": lambda reason: reason if reason and reason.code else None,
    }

    @property
    def ec2_backend(self) -> Any:
        return self.account.region(self.region)

    def call_action(self) -> Any:
        """Forget what is long gone; answer a repeated client token with the same answer (moto ignores tokens)."""
        backend: LabBackend = self.ec2_backend
        backend.sweep()
        token = self._get_param("ClientToken")
        if not token:
            return super().call_action()
        key = (self.region, self._get_action(), token)
        wish = {name: value for name, value in self.querystring.items() if name != "ClientToken"}
        if key in self.account.tokens:
            same, answer = self.account.tokens[key]
            if same == wish:
                return answer
            mismatch = "The client token you have provided is associated with a resource that has different parameters"
            return self.serialized(ActionResult(EC2ClientError("IdempotentParameterMismatch", f"{mismatch}: {token}")))
        answer = super().call_action()
        if int(answer[0]) < 400:
            self.account.tokens[key] = (wish, answer)
        return answer

    def serialized(self, action_result: ActionResult) -> Any:
        """Pages: moto gives everything at once for most lists, whatever MaxResults says."""
        model = get_pagination_model("ec2").get(self._get_action())
        result = action_result.result
        if model and isinstance(result, dict) and isinstance(model.get("result_key"), str):
            key, limit = model["result_key"], self._get_param("MaxResults")
            token = self._get_param("NextToken")
            if isinstance(result.get(key), list) and (limit or token):
                try:
                    page, following = paged(result[key], int(limit or 1000), token)
                except EC2ClientError as refusal:
                    return super().serialized(ActionResult(refusal))
                action_result = ActionResult(result | {key: page, "NextToken": following})
        return super().serialized(action_result)

    # ---- instances ---------------------------------------------------------------------------------------

    def run_instances(self) -> ActionResult:
        """MaxCount is honoured and every reference checked; moto makes MinCount of nearly anything."""
        self.error_on_dryrun()
        nics = self._get_param("NetworkInterfaces", [])
        if nics and (self._get_param("SubnetId") or self._get_param("SecurityGroupIds")):
            refuse(
                "InvalidParameterCombination",
                "Network interfaces and an instance-level subnet ID or security groups may not be specified on the"
                " same request",
            )
        reservation = self.ec2_backend.launch(
            int(self._get_param("MinCount") or 1),
            int(self._get_param("MaxCount") or 1),
            self._get_param("ImageId") or "",
            parse_user_data(self._get_param("UserData")),
            instance_type=self._get_param("InstanceType") or "m1.small",
            zone=self._get_param("Placement.AvailabilityZone"),
            region_name=self.region,
            subnet_id=self._get_param("SubnetId"),
            key_name=self._get_param("KeyName"),
            group_ids=self._get_param("SecurityGroupIds", []),
            group_names=self._get_param("SecurityGroups", []),
            nics=nics,
            private_ip=self._get_param("PrivateIpAddress"),
            associate_public_ip=None,
            tags=self._parse_tag_specification(),
            ebs_optimized=self._get_param("EbsOptimized") or False,
            disable_api_stop=self._get_param("DisableApiStop") or False,
            disable_api_termination=self._get_param("DisableApiTermination") or False,
            instance_initiated_shutdown_behavior=self._get_param("InstanceInitiatedShutdownBehavior"),
            profile_name=self._get_param("IamInstanceProfile.Name"),
            profile_arn=self._get_param("IamInstanceProfile.Arn"),
            monitoring_state="enabled" if self._get_param("Monitoring.Enabled") else "disabled",
            metadata_options=self._get_param("MetadataOptions", {}),
            client_token=self._get_param("ClientToken") or "",
            block_device_mappings=self._parse_block_device_mapping(),
        )
        return ActionResult(reservation)

    def describe_instances(self) -> ActionResult:
        """Everything that matches; ``serialized`` cuts pages."""
        self.error_on_dryrun()
        ids, filters = self._get_param("InstanceIds", []), self._filters_from_querystring()
        if ids and self._get_param("MaxResults"):
            refuse(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if ids:
            found = self.ec2_backend.get_reservations_by_instance_ids(sorted(set(ids)), filters=filters)
        else:
            found = self.ec2_backend.describe_instances(filters=filters)
        return ActionResult({"Reservations": found})

    def terminate_instances(self) -> ActionResult:
        return self._changed_states("TerminatingInstances", self.ec2_backend.terminate_instances)

    def stop_instances(self) -> ActionResult:
        return self._changed_states("StoppingInstances", self.ec2_backend.stop_instances)

    def start_instances(self) -> ActionResult:
        return self._changed_states("StartingInstances", self.ec2_backend.start_instances)

    def _changed_states(self, name: str, change: Any) -> ActionResult:
        self.error_on_dryrun()
        return ActionResult(
            {
                name: [
                    {"InstanceId": instance.id, "CurrentState": instance.instance_state, "PreviousState": before}
                    for instance, before in change(self._get_param("InstanceIds", []))
                ]
            }
        )

    def get_console_output(self) -> ActionResult:
        """The machine's own output; moto answers with a sample."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = self.normalized_request.environ.get(CONSOLE, "")
        return ActionResult(
            {
                "InstanceId": instance.id,
                "Timestamp": utcnow(),
                "Output": Base64EncodedString.from_raw_string(text) if text else "",
            }
        )

    # ---- VPN and routes ----------------------------------------------------------------------------------

    def create_vpn_connection(self) -> ActionResult:
        self.error_on_dryrun()
        connection = self.ec2_backend.connect(
            self._get_param("Type"),
            self._get_param("CustomerGatewayId"),
            self._get_param("VpnGatewayId"),
            dict(self._get_param("Options", {})),
            add_tag_specification(self._get_param("TagSpecifications", [])),
        )
        return ActionResult({"VpnConnection": connection})

    def create_vpn_connection_route(self) -> ActionResult:
        return self._static_route(wanted=True)

    def delete_vpn_connection_route(self) -> ActionResult:
        return self._static_route(wanted=False)

    def _static_route(self, *, wanted: bool) -> ActionResult:
        self.ec2_backend.change_static_route(
            self._get_param("VpnConnectionId"), self._get_param("DestinationCidrBlock"), wanted=wanted
        )
        return EmptyResult()

    def enable_vgw_route_propagation(self) -> ActionResult:
        self.ec2_backend.enable_propagation(self._get_param("RouteTableId"), self._get_param("GatewayId"))
        return EmptyResult()

    def disable_vgw_route_propagation(self) -> ActionResult:
        self.ec2_backend.disable_propagation(self._get_param("RouteTableId"), self._get_param("GatewayId"))
        return EmptyResult()

    def delete_route_table(self) -> ActionResult:
        """The main table goes with its VPC only."""
        table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
        if table.main_association_id:
            refuse("DependencyViolation", f"The routeTable '{table.id}' has dependencies and cannot be deleted.")
        self.ec2_backend.delete_route_table(table.id)
        return EmptyResult()

    # ---- key pairs ---------------------------------------------------------------------------------------

    def describe_key_pairs(self) -> ActionResult:
        """By id as well, which moto ignores: it gives them all."""
        ids = self._get_param("KeyPairIds", [])
        wanted = self.ec2_backend.key_pairs_by_id(ids)
        result: Any = super().describe_key_pairs().result
        return ActionResult({"KeyPairs": [pair for pair in result["KeyPairs"] if not ids or pair in wanted]})

    def delete_key_pair(self) -> ActionResult:
        """By id as well, which moto ignores. One that does not exist is no error."""
        self.error_on_dryrun()
        name, wanted = self._get_param("KeyName"), self._get_param("KeyPairId")
        if not name and not wanted:
            refuse("MissingParameter", "The request must contain the parameter KeyName or KeyPairId")
        pairs = list(self.ec2_backend.key_pairs.values())
        gone = [pair for pair in pairs if name in (None, pair.key_name) and wanted in (None, pair.id)]
        for pair in gone:
            self.ec2_backend.delete_key_pair(pair.key_name)
        return ActionResult({"Return": True, "KeyPairId": gone[0].id if gone else None})

    # ---- security groups ---------------------------------------------------------------------------------

    def authorize_security_group_ingress(self) -> ActionResult:
        return self._authorize(egress=False)

    def authorize_security_group_egress(self) -> ActionResult:
        return self._authorize(egress=True)

    def _authorize(self, *, egress: bool) -> ActionResult:
        """All rules of a request or none, all of them answered; moto keeps the first half and shows the last."""
        self.error_on_dryrun()
        backend = self.ec2_backend
        wishes = [checked(wish) for wish in self._process_rules_from_querystring()]
        group = backend.get_security_group_by_name_or_id(wishes[0]["group_name_or_id"]) if wishes else None
        before = (list(group.ingress_rules), list(group.egress_rules)) if group else None
        added = []
        try:
            for wish in wishes:
                authorize = (
                    backend.authorize_security_group_egress if egress else backend.authorize_security_group_ingress
                )
                added += authorize(**wish)[0]
        except Exception:
            if group and before:
                group.ingress_rules, group.egress_rules = before
            raise
        return ActionResult({"Return": True, "SecurityGroupRules": added})

    def delete_security_group(self) -> ActionResult:
        wanted = self._get_param("GroupId") or self._get_param("GroupName")
        group = self.ec2_backend.get_security_group_by_name_or_id(wanted or "")
        if group and group.is_default:
            refuse("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
        return super().delete_security_group()


def paged(items: list[Any], limit: int, token: str | None) -> tuple[list[Any], str | None]:
    """One page of a list, and the token of the next one.

    Raises:
        EC2ClientError: ``InvalidNextToken``, ``InvalidParameterValue``.
    """
    if limit < 1:
        refuse("InvalidParameterValue", f"Value ( {limit} ) for parameter maxResults is invalid.")
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token, validate=True).decode().removeprefix("from:"))
        except (binascii.Error, ValueError):
            refuse("InvalidNextToken", f"The token '{token}' is invalid")
    end = start + limit
    following = base64.b64encode(f"from:{end}".encode()).decode() if end < len(items) else None
    return items[start:end], following


def checked(wish: dict[str, Any]) -> dict[str, Any]:
    """A security group rule with its ports in order; moto stumbles over missing ones.

    Raises:
        EC2ClientError: ``InvalidParameterValue``, ``MissingParameter``.
    """
    protocol = str(wish["ip_protocol"] or "").lower()
    if not re.fullmatch(r"-1|tcp|udp|icmp|icmpv6|all|\d{1,3}", protocol):
        refuse("InvalidParameterValue", f"Invalid value '{wish['ip_protocol']}' for IP protocol.")
    ports = (wish["from_port"], wish["to_port"])
    if protocol in ("tcp", "udp", "6", "17"):
        if None in ports:
            refuse(
                "InvalidParameterValue",
                "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
            )
        low, high = (int(port) for port in ports)
        if not 0 <= low <= high <= 65535:
            refuse("InvalidParameterValue", f"Invalid TCP/UDP port range ({low}:{high})")
    elif protocol not in ("-1", "all"):
        ports = (-1 if ports[0] is None else ports[0], -1 if ports[1] is None else ports[1])
    if not (wish["ip_ranges"] or wish["source_groups"] or wish["prefix_list_ids"]):
        refuse("MissingParameter", "Source group ID or CIDR block missing.")
    return wish | {"from_port": ports[0], "to_port": ports[1]}
