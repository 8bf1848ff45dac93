"""GCP: the pure parts by tables, the verbs against the lab's Compute API over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1
from werkzeug.serving import WSGIRequestHandler, make_server

from runbook_lib.clouds import gcp
from runbook_lib.clouds.base import Secret, differences
from runbook_lib.clouds.gcp.kinds import belongs, plain, secrets, to_found, to_peering
from runbook_lib.errors import CloudError, ParameterError, PrerequisiteError
from runbook_lib.lab.gce import Gce
from runbook_lib.params import Params
from runbook_lib.resources import Found, Resource, resolve
from runbook_lib.topology import Topology, topology
from tests.conftest import Recorder

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8m0Vd4n1rJ3m2l operator"


class World:
    """Stands where the lab's world would: what should run runs at once, and what should not ends at once."""

    def __init__(self) -> None:
        self.gce: Gce | None = None
        self._wake, self._end = threading.Event(), threading.Event()
        self._running: set[str] = set()
        self._thread = threading.Thread(target=self._work)

    def changed(self) -> None:
        self._wake.set()

    def console(self, machine: str) -> str:
        return f"console of {machine}\n"

    def start(self, gce: Gce) -> None:
        self.gce = gce
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        assert self.gce is not None
        while self._wake.wait() and not self._end.is_set():
            self._wake.clear()
            known = self.gce.machines()
            powered = {machine.id for machine in known if machine.powered}
            for machine in powered - self._running:
                self.gce.report_machine(machine, "booting")
                self.gce.report_machine(machine, "running")
            for machine in self._running - powered:
                off = any(machine == one.id for one in known)
                self.gce.report_machine(machine, "stopped" if off else "gone")
            self._running = powered


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None: ...


@pytest.fixture
def params(tmp_path: Path) -> Iterator[Params]:
    """Parameters that lead to an empty project of its own."""
    world = World()
    gce = Gce(world, "runbook-lab")
    gce.ready()
    server = make_server("127.0.0.1", 0, gce.api, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    world.start(gce)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps(gce.operator_credentials(f"{endpoint}/token")))
    yield Params(gcp_endpoint=endpoint, gcp_credentials=str(credentials), deployment="blue", timeout=30)
    world.stop()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cloud(params: Params) -> gcp.Gcp:
    return gcp.connect(params)


def wanted(params: Params) -> Topology:
    return topology(params, public_key=KEY, script=lambda _params, _cloud, role, name: f"echo {role} {name}")


def aws_end(params: Params) -> dict[str, Found]:
    """What GCP's resources refer to in AWS: two connections of two tunnels."""
    found = {}
    for number, letter in enumerate("ab"):
        key = f"aws:vpn_connection:{params.deployment}-gcp-{letter}"
        attributes = {f"address_{n}": f"198.51.100.{10 * number + n}" for n in (1, 2)}
        attributes |= {f"key_{n}": Secret(f"secretkey.{letter}{n}") for n in (1, 2)}
        found[key] = Found(key, f"vpn-{letter}", attributes)
    return found


def ordered(resources: tuple[Resource, ...]) -> list[Resource]:
    by_key = {resource.key: resource for resource in resources if resource.cloud == "gcp"}
    graph = {key: resource.needs() & by_key.keys() for key, resource in by_key.items()}
    return [by_key[key] for key in TopologicalSorter(graph).static_order()]


def build(cloud: gcp.Gcp, resources: list[Resource], found: dict[str, Found]) -> None:
    for resource in resources:
        found[resource.key] = cloud.wait(cloud.create(resource, resolve(resource.spec, found)))


def network_only(params: Params) -> list[Resource]:
    kinds = ("network", "subnetwork")
    return [resource for resource in ordered(wanted(params).resources) if resource.kind in kinds]


def by_name(params: Params, name: str) -> Resource:
    (resource,) = (r for r in wanted(params).resources if r.cloud == "gcp" and r.name == f"blue-{name}")
    return resource


# ---- all of it -------------------------------------------------------------------------------------------------


def test_all_that_is_wanted_is_made_found_as_wanted_and_unmade(cloud: gcp.Gcp, params: Params) -> None:
    resources = ordered(wanted(params).resources)
    found = aws_end(params)
    build(cloud, resources, found)

    seen = cloud.inventory()
    assert sorted(seen) == sorted(resource.key for resource in resources)
    for resource in resources:
        spec = resolve(resource.spec, found)
        assert differences(spec, seen[resource.key].spec) == (), resource.key
        missing = spec.keys() - seen[resource.key].spec.keys()
        assert missing <= {"disks", "shared_secret"}, resource.key

    assert "secretkey" not in repr(seen)
    instances = cloud.instances()
    assert instances == {key: one for key, one in seen.items() if ":instance:" in key}
    bastion = instances["gcp:instance:blue-bastion-gcp"].attributes
    assert (bastion["role"], bastion["zone"], bastion["state"]) == ("bastion", "europe-west1-b", "RUNNING")
    assert bastion["private_ip"].startswith("172.27.3.") and bastion["public_ip"].startswith("203.0.113.")
    assert instances["gcp:instance:blue-server-gcp-consul-1"].attributes["public_ip"] is None
    gateway = seen["gcp:vpn_gateway:blue-vpn"].attributes
    assert gateway["address_0"] != gateway["address_1"]

    for resource in reversed(resources):
        cloud.destroy(seen[resource.key])
    assert cloud.inventory() == {}
    for resource in resources:
        cloud.destroy(seen[resource.key])  # once more does no harm


# ---- each verb -------------------------------------------------------------------------------------------------


def test_a_difference_is_seen_and_mended_in_place(cloud: gcp.Gcp, params: Params) -> None:
    found: dict[str, Found] = {}
    build(cloud, network_only(params), found)
    rule = by_name(params, "traefik")
    build(cloud, [rule], found)
    changed = replace(rule, spec={**rule.spec, "source_ranges": ["192.0.2.0/24"], "allowed": [{"I_p_protocol": "udp"}]})
    spec = resolve(changed.spec, found)
    fields = differences(spec, found[rule.key].spec)
    assert set(fields) == {"source_ranges", "allowed"}
    after = cloud.update(changed, found[rule.key], spec, fields)
    assert after.id == found[rule.key].id
    assert differences(spec, after.spec) == ()
    assert cloud.inventory()[rule.key] == after


def test_an_instance_changes_tags_and_labels_and_starts_again(cloud: gcp.Gcp, params: Params) -> None:
    found: dict[str, Found] = {}
    build(cloud, network_only(params), found)
    web = by_name(params, "server-gcp-test-1")
    build(cloud, [web], found)
    changed = replace(web, spec={**web.spec, "tags": {"items": ["other"]}, "labels": {"role": "idle"}})
    spec = resolve(changed.spec, found)
    fields = differences(spec, found[web.key].spec)
    assert set(fields) == {"tags", "labels"}
    after = cloud.update(changed, found[web.key], spec, fields)
    assert after.spec["tags"]["items"] == ["other"]
    assert after.spec["labels"] == {"deployment": "blue", "role": "idle"}

    where = {"zone": after.attributes["zone"], "instance": after.attributes["name"]}
    cloud.api.change("it", cloud.api.client("InstancesClient").stop_unary, where)
    stopped = cloud.instances()[web.key]
    assert (stopped.attributes["state"], stopped.attributes["running"]) == ("TERMINATED", False)
    again = cloud.wait(cloud.update(changed, stopped, spec, ("running",)))
    assert again.attributes["running"] is True
    assert again.id == after.id


def test_the_console_is_read_through_the_api(cloud: gcp.Gcp, params: Params) -> None:
    found: dict[str, Found] = {}
    build(cloud, network_only(params), found)
    web = by_name(params, "server-gcp-test-1")
    build(cloud, [web], found)
    assert cloud.console_output(found[web.key].id) == "console of europe-west1-b/blue-server-gcp-test-1\n"
    with pytest.raises(CloudError, match="no such instance"):
        cloud.console_output("1")


def test_a_deployment_whose_name_begins_alike_is_left_alone(cloud: gcp.Gcp, params: Params) -> None:
    other = gcp.connect(params.model_copy(update={"deployment": "blue-green"}))
    build(other, network_only(other.params), {})
    assert cloud.inventory() == {}
    assert len(other.inventory()) == 3


# ---- refusals --------------------------------------------------------------------------------------------------


def test_what_exists_already_is_taken_if_it_is_ours_and_named_if_it_is_not(cloud: gcp.Gcp, params: Params) -> None:
    network, *_ = network_only(params)
    ours = cloud.create(network, network.spec)
    assert cloud.create(network, network.spec) == ours
    cloud.destroy(ours)
    somebodys = {"network_resource": {"name": network.name, "auto_create_subnetworks": False}}
    cloud.api.change("it", cloud.api.client("NetworksClient").insert_unary, somebodys)
    with pytest.raises(CloudError, match="already exists") as caught:
        cloud.create(network, network.spec)
    assert caught.value.resource == "gcp network blue-network"
    assert "409 alreadyExists" in str(caught.value.seen)
    assert caught.value.remedy


def test_what_is_in_use_is_not_destroyed(cloud: gcp.Gcp, params: Params) -> None:
    found: dict[str, Found] = {}
    build(cloud, network_only(params), found)
    with pytest.raises(CloudError, match="already being used"):
        cloud.destroy(found["gcp:network:blue-network"])


def test_no_refusal_shows_a_key(cloud: gcp.Gcp, params: Params) -> None:
    resources = [r for r in ordered(wanted(params).resources) if r.kind != "router_peering"]
    tunnel = by_name(params, "aws-1")
    found = aws_end(params)
    build(cloud, [r for r in resources if r.key in tunnel.needs() or r.kind == "network"], found)
    key = "0-bad-key-0-bad-key"
    spec = {**resolve(tunnel.spec, found), "shared_secret": Secret(key)}
    with pytest.raises(CloudError) as caught:
        cloud.create(tunnel, spec)
    shown: BaseException | None = caught.value
    while shown is not None:
        assert key not in f"{shown} {shown!r} {shown.__dict__}"
        shown = shown.__cause__


def test_no_answer_at_all_is_an_error_with_a_remedy(params: Params) -> None:
    nobody = gcp.connect(params.model_copy(update={"gcp_endpoint": "http://127.0.0.1:1"}))
    with pytest.raises(CloudError, match=r"127\.0\.0\.1") as caught:
        nobody.inventory()
    assert "gcp_endpoint" in caught.value.remedy


# ---- before anything is created --------------------------------------------------------------------------------


def test_good_parameters_pass(cloud: gcp.Gcp) -> None:
    cloud.check()


def test_a_family_means_its_newest_image(params: Params, cloud: gcp.Gcp) -> None:
    newest = cloud.image()
    assert (newest.wanted, newest.name) == (params.gcp_image, "debian-12-bookworm-v20260101")
    by_name = f"projects/debian-cloud/global/images/{newest.name}"
    assert gcp.connect(params.model_copy(update={"gcp_image": by_name})).image().id == newest.id


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("gcp_project", "no-such-project"),
        ("gcp_region", "europe-west9"),
        ("gcp_zones", ("europe-west1-b", "europe-west1-x")),
        ("gcp_machine_type", "e2-giant"),
        ("gcp_image", "projects/debian-cloud/global/images/family/debian-3"),
        ("gcp_image", "projects/debian-cloud/global/images/no-such"),
        ("gcp_image", "debian-12"),
    ],
)
def test_a_parameter_that_names_nothing_is_named(params: Params, parameter: str, value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        gcp.connect(params.model_copy(update={parameter: value})).check()
    assert caught.value.resource == parameter


def test_the_recorder_is_told_of_the_credentials_private_key(params: Params, recorder: Recorder) -> None:
    gcp.connect(params)
    key = json.loads(Path(params.gcp_credentials).read_text())["private_key"]
    assert recorder.take() == [{"kind": "secret", "name": "gcp-credentials.private_key", "value": key}]


def test_refused_credentials_are_a_prerequisite(params: Params) -> None:
    path = Path(params.gcp_credentials)
    stranger = json.loads(path.read_text())
    stranger["client_email"] = "stranger@elsewhere.iam.gserviceaccount.com"
    path.write_text(json.dumps(stranger))
    with pytest.raises(PrerequisiteError) as caught:
        gcp.connect(params).check()
    assert caught.value.resource == "gcp_credentials"


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), ("{", "cannot be used"), ("{}", "cannot be")])
def test_an_unusable_credentials_file_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ParameterError, match=words) as caught:
        gcp.connect(Params(gcp_credentials=str(path)))
    assert str(path) in str(caught.value)


# ---- pure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        (compute_v1.Network(name="blue-network", description="deployment=blue"), True),
        (compute_v1.Network(name="blue-green-network", description="deployment=blue-green"), False),
        (compute_v1.Network(name="blue-network", description=""), False),
        (compute_v1.Network(name="other", description="deployment=blue"), False),
        (compute_v1.Instance(name="blue-a", labels={"deployment": "blue"}), True),
        (compute_v1.Instance(name="blue-a", labels={"deployment": "blue-green"}), False),
    ],
)
def test_whose_it_is(message: Any, ours: bool) -> None:
    assert belongs(message, "blue") is ours


@pytest.mark.parametrize(
    ("status", "ready", "running"),
    [
        ("PROVISIONING", False, True),
        ("STAGING", False, True),
        ("RUNNING", True, True),
        ("STOPPING", True, False),
        ("TERMINATED", True, False),
    ],
)
def test_instance_states(status: str, ready: bool, running: bool) -> None:
    found = to_found("instance", compute_v1.Instance(name="blue-a", status=status))
    assert (found.attributes["ready"], found.attributes["running"]) == (ready, running)


def test_an_instance_is_compared_by_what_the_runbook_sets() -> None:
    message = compute_v1.Instance(
        name="blue-a",
        metadata={"items": [{"key": "startup-script", "value": "x"}, {"key": "somebodys", "value": "y"}]},
        service_accounts=[{"email": "42-compute@developer.gserviceaccount.com", "scopes": ["s"]}],
        disks=[{"boot": True}],
    )
    spec = to_found("instance", message).spec
    assert spec["metadata"] == {"items": [{"key": "startup-script", "value": "x"}]}
    assert spec["service_accounts"] == [{"email": "default", "scopes": ["s"]}]
    assert spec["can_ip_forward"] is False
    assert "disks" not in spec


def test_a_router_without_peers_has_no_peering() -> None:
    assert to_peering(compute_v1.Router(name="blue-vpn", region="regions/r")) is None
    found = to_peering(compute_v1.Router(name="blue-vpn", region="regions/r", bgp_peers=[{"name": "a"}]))
    assert found is not None and found.key == "gcp:router_peering:blue-vpn"


def test_secrets_are_plain_in_requests_only() -> None:
    spec = {"a": [{"b": Secret("hush")}], "c": "open"}
    assert "hush" not in f"{spec}"
    assert plain(spec) == {"a": [{"b": "hush"}], "c": "open"}
    assert f"{plain(spec)}" == "{'a': [{'b': 'hush'}], 'c': 'open'}"
    assert secrets(spec) == ["hush"]
