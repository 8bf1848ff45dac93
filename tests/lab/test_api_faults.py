"""Schedules are drawn and followed as they should be, and every fault is worded as its cloud's client understands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore import xform_name
from botocore.model import StructureShape
from botocore.parsers import create_parser
from google.api_core import exceptions
from google.cloud import compute_v1
from requests import Request, Response

from runbook_lib.lab.api_faults import refusals
from runbook_lib.lab.api_faults.injector import Injector
from runbook_lib.lab.api_faults.schedule import CALLS, FAULTS, FOR_GOOD, Fault, Strike, draw
from runbook_lib.lab.calls import Answer, Call, HangUp

OK = Answer("200 OK", (), b"ok")


def calls(fault: Fault) -> Iterator[Call]:
    """A call of every action that meets a fault, with what it would carry."""
    for action in CALLS["aws"][fault]:
        named = {"Filter.1.Name": "tag:Deployment", "InstanceType": "t3.micro", "ImageId": "ami-1"}
        named |= {name: "x-1" for _, name, _ in refusals._UNKNOWN.values()}
        yield Call("aws", action, "Describe" not in action, body=urlencode(named).encode())
    for action in CALLS["gcp"][fault]:
        _, kind, verb = action.split(".")
        place = "zones/europe-west1-b" if kind in ("instances", "operations") else "regions/europe-west1"
        disk = {"initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-12"}}
        sent = {"name": "blue-a", "network": "projects/p/global/networks/blue-network", "disks": [disk]}
        target = f"p/{place}/{kind}" + ("" if verb in ("insert", "list") else "/blue-a")
        yield Call("gcp", action, verb in ("insert", "patch"), target, json.dumps(sent).encode())


# ---- the schedule ----------------------------------------------------------------------------------------------


def test_a_seed_always_gives_the_same_and_another_seed_another() -> None:
    drawn = [draw(seed) for seed in range(200)]
    assert drawn == [draw(seed) for seed in range(200)]
    assert len(set(drawn)) == 200
    strikes = [strike for schedule in drawn for strike in schedule]
    assert {(strike.cloud, strike.fault) for strike in strikes} == {
        (cloud, fault) for cloud in CALLS for fault in CALLS[cloud]
    }
    assert all(strike.times <= 3 or (strike.fault == "expired" and strike.times == FOR_GOOD) for strike in strikes)


def test_every_call_that_is_struck_is_one_that_the_clouds_have() -> None:
    session: Any = boto3.Session("k", "s", region_name="us-west-2")
    known = {service: set(session.client(service).meta.service_model.operation_names) for service in ("ec2", "iam")}
    for fault in FAULTS:
        for action in CALLS["aws"][fault]:
            service, _, name = action.partition(":")
            assert name in known[service], action
        for action in CALLS["gcp"][fault]:
            _, kind, verb = action.split(".")
            if kind != "operations":
                client = getattr(compute_v1, f"{kind[:1].upper()}{kind[1:]}Client")
                assert hasattr(client, xform_name(verb)), action


# ---- the words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in ("stale", "cut-before", "cut-after", "failed")])
def test_clients_read_every_refusal_as_what_it_is(fault: Fault) -> None:
    for call in calls(fault):
        answer = refusals.refusal(fault, call)
        status = int(answer.status.split()[0])
        assert status >= 400
        assert dict(answer.headers)["Content-Length"] == str(len(answer.body))
        if call.cloud == "aws":
            kind = "ec2" if call.action.startswith("ec2:") else "query"
            said = create_parser(kind).parse(
                {"status_code": status, "headers": {}, "body": answer.body},
                StructureShape("Nothing", {"type": "structure", "members": {}}),
            )
            assert said["Error"]["Code"] and said["Error"]["Message"]
        else:
            response = Response()
            response.status_code, response._content = status, answer.body
            response.request = Request("POST", "http://compute").prepare()
            error = exceptions.from_http_response(response)
            assert error.errors[0]["reason"] and error.message


def test_quotas_and_places_are_named() -> None:
    sentence = {
        "compute.networks.insert": "Quota 'NETWORKS' exceeded.  Limit: 5.0 globally.",
        "compute.instances.insert": "Quota 'CPUS' exceeded.  Limit: 5.0 in region europe-west1.",
        "compute.routers.insert": "Quota 'ROUTERS' exceeded.  Limit: 5.0 in region europe-west1.",
    }
    places = {"networks": "global", "instances": "zones/europe-west1-b", "routers": "regions/europe-west1"}
    for action, expected in sentence.items():
        kind = action.split(".")[1]
        call = Call("gcp", action, True, f"p/{places[kind]}/{kind}", b"{}")
        assert json.loads(refusals.refusal("quota", call).body)["error"]["message"] == expected


# ---- following it ----------------------------------------------------------------------------------------------


def test_the_calls_that_a_strike_means_meet_it_and_no_others() -> None:
    injector = Injector([Strike("aws", "throttled", "ec2:CreateVpc", first=2, times=2)])
    vpc, subnet = Call("aws", "ec2:CreateVpc", True), Call("aws", "ec2:CreateSubnet", True)
    seen = [injector(call, lambda: OK).status[:3] for call in (vpc, subnet, vpc, subnet, vpc, vpc)]
    assert seen == ["200", "200", "503", "200", "503", "200"]
    injector.stop()
    assert len(injector.struck) == 2


@pytest.mark.parametrize(("fault", "acted"), [("cut-before", 0), ("cut-after", 1)])
def test_a_connection_ends_before_or_after_the_cloud_has_acted(fault: Fault, acted: int) -> None:
    done: list[Answer] = []

    def serve() -> Answer:
        done.append(OK)
        return OK

    injector = Injector([Strike("aws", fault, "ec2:CreateVpc")])
    with pytest.raises(HangUp):
        injector(Call("aws", "ec2:CreateVpc", True), serve)
    assert len(done) == acted


def test_a_stale_list_is_the_one_of_before() -> None:
    injector = Injector([Strike("gcp", "stale", "compute.networks.list", times=2)])
    answers = iter(Answer("200 OK", (), body) for body in (b"none", b"one", b"two"))
    call = Call("gcp", "compute.networks.list", False, "p/global/networks")
    # The first call has nothing older to be answered with.
    assert [injector(call, lambda: next(answers)).body for _ in range(4)] == [b"none", b"none", b"none", b"one"]


def test_a_change_of_gcps_is_accepted_and_then_fails_without_a_trace() -> None:
    injector = Injector([Strike("gcp", "capacity", "compute.instances.insert")])
    insert = Call("gcp", "compute.instances.insert", True, "p/zones/europe-west1-b/instances", b'{"name": "blue-a"}')

    def never() -> Answer:
        raise AssertionError("the cloud must not act")

    begun = compute_v1.Operation.from_json(injector(insert, never).body)
    assert begun.status == compute_v1.Operation.Status.RUNNING
    wait = Call("gcp", "compute.operations.wait", False, f"p/zones/europe-west1-b/operations/{begun.name}/wait")
    ended = compute_v1.Operation.from_json(injector(wait, never).body)
    assert ended.status == compute_v1.Operation.Status.DONE
    (error,) = ended.error.errors
    assert error.code == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert error.message.startswith("The zone 'projects/p/zones/europe-west1-b' does not have enough resources")
    assert ended.http_error_status_code == 503
