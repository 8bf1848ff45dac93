"""The Compute emulator, asked by Google's own clients over a real socket."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1
from google.oauth2 import service_account
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from runbook_lib.lab.gce import Gce
from runbook_lib.lab.model import TunnelStatus

PROJECT = "runbook-lab"
REGION, ZONE = "europe-west1", "europe-west1-b"
IMAGE = "projects/debian-cloud/global/images/family/debian-12"


@dataclass
class World:
    """Stands in for the namespaces: what should run, runs; what should not, ends."""

    follows: bool = True
    cloud: Gce | None = None
    consoles: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    changes: int = 0

    def changed(self) -> None:
        self.changes += 1
        if self.follows:
            self.follow()

    def follow(self) -> None:
        assert self.cloud
        machines = {machine.id: machine for machine in self.cloud.machines()}
        powered = {key for key, machine in machines.items() if machine.powered}
        started, ended = powered - self.running, self.running - powered
        self.running = powered
        for key in started:
            self.cloud.report_machine(key, "booting")
            self.cloud.report_machine(key, "running")
        for key in ended:
            self.cloud.report_machine(key, "stopping")
            self.cloud.report_machine(key, "stopped" if key in machines else "gone")

    def console(self, machine: str) -> str:
        return self.consoles.get(machine, "")


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Operator(service_account.Credentials):
    """The operator's credentials, which ask nobody but the emulator."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False  # else google-auth asks Google's IAM in the background


class Site:
    """The emulator behind a port of this machine, and clients that speak to it."""

    def __init__(self, *, follows: bool = True, operation_seconds: float = 0.0) -> None:
        self.world = World(follows)
        self.gce = Gce(self.world, PROJECT, operation_seconds=operation_seconds)
        self.world.cloud = self.gce
        self.gce.ready()
        self.server: BaseWSGIServer = make_server("127.0.0.1", 0, self.gce.api, threaded=True, request_handler=Quiet)
        self.server.daemon_threads = True  # type: ignore[attr-defined] # of the threaded kind
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.credentials = Operator.from_service_account_info(self.gce.operator_credentials(f"{self.url}/token"))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def client(self, name: str) -> Any:
        """A client by its class name, for example ``NetworksClient``."""
        kind = getattr(compute_v1, name)
        package = kind.__module__.rpartition(".")[0]
        transports = importlib.import_module(f"{package}.transports.rest")
        transport = getattr(transports, name.removesuffix("Client") + "RestTransport")
        host = self.url.removeprefix("http://")
        return kind(transport=transport(host=host, credentials=self.credentials, url_scheme="http"))

    def wait(self, operation: Any) -> Any:
        """An operation's end. (The clients' own futures ask Google's address, whatever endpoint the client has.)"""
        scope = "zone" if operation.zone else "region" if operation.region else ""
        client = self.client(f"{scope or 'global'}_operations".title().replace("_", "") + "Client")
        where = {scope: getattr(operation, scope).rpartition("/")[2]} if scope else {}
        while operation.status != compute_v1.Operation.Status.DONE:
            operation = client.wait(project=PROJECT, operation=operation.name, **where)
        return operation

    def done(self, operation: Any) -> bool:
        """Whether an operation in a zone has ended."""
        now = self.client("ZoneOperationsClient").get(project=PROJECT, zone=ZONE, operation=operation.name)
        return bool(now.status == compute_v1.Operation.Status.DONE)

    def insert(self, kind: str, body: dict[str, Any], **scope: str) -> Any:
        """Create a resource (``vpn_tunnel``), wait for it, and read it back."""
        client = self.client("".join(part.title() for part in kind.split("_")) + "sClient")
        self.wait(client.insert_unary(project=PROJECT, **scope, **{f"{kind}_resource": body}))
        return client.get(project=PROJECT, **scope, **{kind: body["name"]})

    def network(self, name: str = "net") -> Any:
        """A network with a public and a private subnetwork."""
        network = self.insert("network", {"name": name, "auto_create_subnetworks": False})
        for part, cidr in (("public", "172.27.3.0/26"), ("private", "172.27.3.128/26")):
            body = {"name": f"{name}-{part}", "network": network.self_link, "ip_cidr_range": cidr}
            self.insert("subnetwork", body, region=REGION)
        return network

    def instance(self, name: str, *, zone: str = ZONE, **more: Any) -> Any:
        return self.insert("instance", instance_body(name, zone=zone, **more), zone=zone)


def instance_body(
    name: str, *, zone: str = ZONE, subnet: str = "net-private", public: bool = False, ip: str = "", **more: Any
) -> dict[str, Any]:
    interface: dict[str, Any] = {"subnetwork": f"regions/{REGION}/subnetworks/{subnet}"}
    if public:
        interface["access_configs"] = [{"name": "External NAT", "type_": "ONE_TO_ONE_NAT"}]
    if ip:
        interface["network_i_p"] = ip
    return {
        "name": name,
        "machine_type": f"zones/{zone}/machineTypes/e2-small",
        "disks": [{"boot": True, "auto_delete": True, "initialize_params": {"source_image": IMAGE}}],
        "network_interfaces": [interface],
        **more,
    }


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def idle() -> Iterator[Site]:
    """A site whose world does nothing by itself, and whose operations take long."""
    found = Site(follows=False, operation_seconds=30)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def still() -> Iterator[Site]:
    """A site whose world does nothing by itself."""
    found = Site(follows=False)
    try:
        yield found
    finally:
        found.close()


def refused(kind: type[Exception], part: str, call: Callable[[], Any]) -> Any:
    with pytest.raises(kind) as caught:
        call()
    assert part in str(caught.value)
    return caught.value


# ---- networks ------------------------------------------------------------------------------------------------


def test_a_network_comes_with_a_way_out_and_local_routes(site: Site) -> None:
    network = site.network()
    routes = list(site.client("RoutesClient").list(project=PROJECT))
    assert network.self_link.endswith("/projects/runbook-lab/global/networks/net")
    assert len(site.client("NetworksClient").get(project=PROJECT, network="net").subnetworks) == 2
    assert {(route.dest_range, route.priority, bool(route.next_hop_gateway)) for route in routes} == {
        ("0.0.0.0/0", 1000, True),
        ("172.27.3.0/26", 0, False),
        ("172.27.3.128/26", 0, False),
    }
    assert all(route.name.startswith("default-route-") for route in routes)


def test_what_is_in_use_is_not_deleted(site: Site) -> None:
    site.network()
    site.instance("one")
    networks, subnets = site.client("NetworksClient"), site.client("SubnetworksClient")
    refused(
        exceptions.BadRequest,
        "The network resource 'projects/runbook-lab/global/networks/net' is already being used by "
        "'projects/runbook-lab/regions/europe-west1/subnetworks/net-private'",
        lambda: networks.delete_unary(project=PROJECT, network="net"),
    )
    refused(
        exceptions.BadRequest,
        "already being used by 'projects/runbook-lab/zones/europe-west1-b/instances/one'",
        lambda: subnets.delete_unary(project=PROJECT, region=REGION, subnetwork="net-private"),
    )
    # A refusal leaves everything as it was.
    assert len(list(site.client("RoutesClient").list(project=PROJECT))) == 3


def test_everything_can_be_taken_down_again(site: Site) -> None:
    site.network()
    site.instance("one", public=True)
    site.client("InstancesClient").delete_unary(project=PROJECT, zone=ZONE, instance="one")
    for part in ("public", "private"):
        subnets = site.client("SubnetworksClient")
        subnets.delete_unary(project=PROJECT, region=REGION, subnetwork=f"net-{part}")
    site.client("NetworksClient").delete_unary(project=PROJECT, network="net")
    assert list(site.client("RoutesClient").list(project=PROJECT)) == []
    assert site.gce.networks({}) == ()
    assert site.gce.machines() == ()


@pytest.mark.parametrize(
    ("kind", "scope", "body", "error", "part"),
    [
        ("network", {}, {"name": "Net"}, exceptions.BadRequest, "Must be a match of regex"),
        ("network", {}, {"name": "net", "auto_create_subnetworks": False}, exceptions.Conflict, "already exists"),
        (
            "subnetwork",
            {"region": REGION},
            {"name": "a", "network": "global/networks/net", "ip_cidr_range": "172.27.3.32/27"},
            exceptions.BadRequest,
            "Invalid IPCidrRange: 172.27.3.32/27 conflicts with existing subnetwork 'net-public'",
        ),
        (
            "subnetwork",
            {"region": REGION},
            {"name": "a", "network": "global/networks/none", "ip_cidr_range": "10.0.0.0/24"},
            exceptions.BadRequest,
            "The referenced network resource cannot be found.",
        ),
        (
            "subnetwork",
            {"region": "mars-1"},
            {"name": "a", "network": "global/networks/net", "ip_cidr_range": "10.0.0.0/24"},
            exceptions.BadRequest,
            "Unknown region",
        ),
        (
            "firewall",
            {},
            {"name": "f", "network": "net", "allowed": [{"I_p_protocol": "tcp"}]},
            exceptions.BadRequest,
            "The URL is malformed.",
        ),
        ("firewall", {}, {"name": "f", "network": "global/networks/net"}, exceptions.BadRequest, "exactly one of"),
        (
            "firewall",
            {},
            {"name": "f", "network": "global/networks/net", "allowed": [{"I_p_protocol": "tcp", "ports": ["80-79"]}]},
            exceptions.BadRequest,
            "resource.allowed[0].ports[0]",
        ),
        (
            "route",
            {},
            {"name": "r", "network": "global/networks/net", "dest_range": "10.0.0.0/8"},
            exceptions.BadRequest,
            "Exactly one next hop",
        ),
        (
            "route",
            {},
            {"name": "r", "network": "global/networks/net", "dest_range": "10.0.0.0/8", "next_hop_ip": "10.1.1.1"},
            exceptions.BadRequest,
            "in no subnetwork",
        ),
    ],
)
def test_refusals_of_network_resources(
    site: Site, kind: str, scope: dict[str, str], body: dict[str, Any], error: type[Exception], part: str
) -> None:
    site.network()
    refused(error, part, lambda: site.insert(kind, body, **scope))


def test_a_firewall_rule_is_patched_and_replaced(site: Site) -> None:
    site.network()
    body = {
        "name": "web",
        "network": "global/networks/net",
        "allowed": [{"I_p_protocol": "tcp", "ports": ["80"]}],
        "source_tags": ["traefik"],
        "description": "first",
    }
    made = site.insert("firewall", body)
    assert (made.direction, made.priority, list(made.source_ranges)) == ("INGRESS", 1000, [])
    client = site.client("FirewallsClient")
    client.patch_unary(project=PROJECT, firewall="web", firewall_resource={"source_ranges": ["10.0.0.0/8"]})
    patched = client.get(project=PROJECT, firewall="web")
    assert (list(patched.source_tags), list(patched.source_ranges)) == (["traefik"], ["10.0.0.0/8"])
    client.update_unary(
        project=PROJECT, firewall="web", firewall_resource={k: v for k, v in body.items() if k != "description"}
    )
    replaced = client.get(project=PROJECT, firewall="web")
    assert (list(replaced.source_ranges), replaced.description, replaced.id) == ([], "", made.id)


def test_a_subnetwork_is_patched_with_its_fingerprint_only(site: Site) -> None:
    site.network()
    client = site.client("SubnetworksClient")
    where = {"project": PROJECT, "region": REGION, "subnetwork": "net-private"}
    wish = {"private_ip_google_access": True}
    refused(exceptions.PreconditionFailed, "fingerprint", lambda: client.patch_unary(**where, subnetwork_resource=wish))
    now = client.get(**where)
    client.patch_unary(**where, subnetwork_resource=wish | {"fingerprint": now.fingerprint})
    after = client.get(**where)
    assert after.private_ip_google_access
    assert after.fingerprint != now.fingerprint


def test_reserved_addresses_know_their_users(site: Site) -> None:
    site.network()
    client = site.client("AddressesClient")
    client.insert_unary(project=PROJECT, region=REGION, address_resource={"name": "front"})
    address = client.get(project=PROJECT, region=REGION, address="front")
    assert address.status == "RESERVED"
    body = instance_body("one", public=True)
    body["network_interfaces"][0]["access_configs"][0]["nat_i_p"] = address.address
    site.insert("instance", body, zone=ZONE)
    used = client.get(project=PROJECT, region=REGION, address="front")
    assert (used.status, next(iter(used.users)).rpartition("/")[2]) == ("IN_USE", "one")
    refused(
        exceptions.BadRequest,
        "already being used",
        lambda: client.delete_unary(project=PROJECT, region=REGION, address="front"),
    )


# ---- instances -----------------------------------------------------------------------------------------------


def test_an_instance_lives_as_in_google_cloud(still: Site) -> None:
    still.network()
    client = still.client("InstancesClient")
    where = {"project": PROJECT, "zone": ZONE, "instance": "one"}

    def status() -> str:
        return str(client.get(**where).status)

    insert = client.insert_unary(project=PROJECT, zone=ZONE, instance_resource=instance_body("one", public=True))
    (machine,) = still.gce.machines()
    assert (status(), still.done(insert), machine.id, machine.powered) == ("PROVISIONING", False, f"{ZONE}/one", True)
    assert machine.hostname == "one.c.runbook-lab.internal"
    still.gce.report_machine(machine.id, "booting")
    assert (status(), still.done(insert)) == ("STAGING", False)
    still.gce.report_machine(machine.id, "running")
    assert (status(), still.done(insert)) == ("RUNNING", True)

    stop = client.stop_unary(**where)
    assert (status(), still.done(stop), still.gce.machines()[0].powered) == ("STOPPING", False, False)
    still.gce.report_machine(machine.id, "stopped")
    assert (status(), still.done(stop)) == ("TERMINATED", True)
    stopped = client.get(**where).network_interfaces[0]
    assert (stopped.network_i_p, stopped.access_configs[0].nat_i_p) == (machine.private_ip, "")

    start = client.start_unary(**where)
    assert (status(), still.done(start), still.gce.machines()[0].powered) == ("PROVISIONING", False, True)
    assert still.gce.machines()[0].public_ip not in (None, machine.public_ip)
    still.gce.report_machine(machine.id, "booting")
    still.gce.report_machine(machine.id, "running")
    assert (status(), still.done(start)) == ("RUNNING", True)

    reset = client.reset_unary(**where)
    assert (status(), still.done(reset), still.gce.machines()[0].powered) == ("RUNNING", False, False)
    still.gce.report_machine(machine.id, "stopped")
    assert still.gce.machines()[0].powered
    still.gce.report_machine(machine.id, "running")
    assert still.done(reset)

    delete = client.delete_unary(**where)
    assert (status(), still.done(delete), still.gce.machines()) == ("STOPPING", False, ())
    still.gce.report_machine(machine.id, "gone")
    assert still.done(delete)
    refused(exceptions.NotFound, "instances/one' was not found", status)


def test_an_instance_that_shuts_itself_down_is_terminated(site: Site) -> None:
    site.network()
    site.instance("one")
    site.world.follows = False
    site.gce.report_machine(f"{ZONE}/one", "stopped")
    assert site.client("InstancesClient").get(project=PROJECT, zone=ZONE, instance="one").status == "TERMINATED"
    assert not site.gce.machines()[0].powered


def test_what_the_world_says_of_an_earlier_instance_is_not_taken_for_the_new_one(still: Site) -> None:
    still.network()
    client = still.client("InstancesClient")
    client.insert_unary(project=PROJECT, zone=ZONE, instance_resource=instance_body("one"))
    still.gce.report_machine(f"{ZONE}/one", "gone")
    assert still.gce.machines()[0].powered


def test_addresses_are_the_first_free_ones_and_googles_are_left_out(site: Site) -> None:
    site.network()
    first, second = site.instance("one"), site.instance("two", public=True)
    assert first.network_interfaces[0].network_i_p == "172.27.3.130"
    assert second.network_interfaces[0].network_i_p == "172.27.3.131"
    assert second.network_interfaces[0].access_configs[0].nat_i_p.startswith("203.0.113.")
    assert site.instance("three", ip="172.27.3.189").network_interfaces[0].network_i_p == "172.27.3.189"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"ip": "172.27.3.128"}, "reserved by the subnetwork"),
        ({"ip": "172.27.3.129"}, "reserved by the subnetwork"),
        ({"ip": "172.27.3.190"}, "reserved by the subnetwork"),
        ({"ip": "172.27.3.191"}, "reserved by the subnetwork"),
        ({"ip": "10.0.0.5"}, "must be in the subnetwork's range"),
        ({"machine_type": f"zones/{ZONE}/machineTypes/e2-huge"}, "Machine type with name 'e2-huge' does not exist"),
        ({"machine_type": "zones/europe-west1-c/machineTypes/e2-small"}, "must be in zone 'europe-west1-b'"),
        ({"machine_type": "e2-small"}, "The URL is malformed."),
        ({"labels": {"Role": "web"}}, "Label key must match"),
        ({"labels": {"role": "a.b"}}, "Label value must match"),
        ({"tags": {"items": ["No_Tag"]}}, "resource.tags.items[0]"),
        ({"metadata": {"items": [{"key": "a b", "value": ""}]}}, "resource.metadata.items.key"),
        ({"metadata": {"items": [{"key": "a", "value": "x" * 262145}]}}, "too large"),
        ({"subnet": "none"}, "The referenced subnetwork resource cannot be found."),
        ({"network_interfaces": [{"network": "global/networks/net"}]}, "must specify a subnet"),
        ({"disks": []}, "boot disk"),
        ({"service_accounts": [{"email": "default", "scopes": ["compute-ro"]}]}, "URI of a scope"),
    ],
)
def test_refusals_of_instances(site: Site, change: dict[str, Any], part: str) -> None:
    site.network()
    refused(exceptions.BadRequest, part, lambda: site.instance("one", **change))
    assert site.gce.machines() == ()


def test_an_unknown_image_is_not_found(site: Site) -> None:
    site.network()
    disks = [{"boot": True, "initialize_params": {"source_image": "projects/debian-cloud/global/images/family/potato"}}]
    refused(exceptions.NotFound, "images/family/potato' was not found", lambda: site.instance("one", disks=disks))


def test_a_zone_of_another_region_does_not_take_the_subnetwork(site: Site) -> None:
    site.network()
    refused(exceptions.BadRequest, "must be in regions/us-central1", lambda: site.instance("one", zone="us-central1-a"))


def test_an_address_in_use_fails_in_the_operation(site: Site) -> None:
    site.network()
    site.instance("one", ip="172.27.3.140")
    client = site.client("InstancesClient")
    body = instance_body("two", ip="172.27.3.140")
    operation = client.insert_unary(project=PROJECT, zone=ZONE, instance_resource=body)
    assert operation.error.errors[0].code == "IP_IN_USE_BY_ANOTHER_RESOURCE"
    refused(exceptions.NotFound, "was not found", lambda: client.get(project=PROJECT, zone=ZONE, instance="two"))


def test_many_at_once_get_an_address_each(site: Site) -> None:
    site.network()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: site.instance(f"n{n}", public=True), range(24)))
    interfaces = [one.network_interfaces[0] for one in made]
    assert len({interface.network_i_p for interface in interfaces}) == 24
    assert len({interface.access_configs[0].nat_i_p for interface in interfaces}) == 24


def test_tags_metadata_and_labels_are_set_with_the_current_fingerprint(site: Site) -> None:
    site.network()
    site.instance("one", tags={"items": ["a"]})
    client = site.client("InstancesClient")
    where = {"project": PROJECT, "zone": ZONE, "instance": "one"}
    now = client.get(**where)
    client.set_tags_unary(**where, tags_resource={"items": ["b"], "fingerprint": now.tags.fingerprint})
    client.set_metadata_unary(
        **where,
        metadata_resource={"items": [{"key": "k", "value": "v"}], "fingerprint": now.metadata.fingerprint},
    )
    labels = {"labels": {"role": "web"}, "label_fingerprint": now.label_fingerprint}
    client.set_labels_unary(**where, instances_set_labels_request_resource=labels)
    after = client.get(**where)
    assert list(after.tags.items) == ["b"]
    assert after.metadata.items[0].value == "v"
    assert dict(after.labels) == {"role": "web"}
    refused(
        exceptions.PreconditionFailed,
        "Supplied fingerprint does not match current tags fingerprint.",
        lambda: client.set_tags_unary(**where, tags_resource={"items": ["c"], "fingerprint": now.tags.fingerprint}),
    )


def test_the_console_is_read_on_from_where_one_was(site: Site) -> None:
    site.network()
    site.instance("one")
    client = site.client("InstancesClient")
    where = {"project": PROJECT, "zone": ZONE, "instance": "one"}
    site.world.consoles[f"{ZONE}/one"] = "première\n"
    first = client.get_serial_port_output(**where)
    site.world.consoles[f"{ZONE}/one"] += "second\n"
    second = client.get_serial_port_output(request={**where, "start": first.next_})
    assert (first.contents, first.start, second.contents) == ("première\n", 0, "second\n")
    assert client.get_serial_port_output(request={**where, "start": second.next_}).contents == ""


# ---- lists ---------------------------------------------------------------------------------------------------


def test_lists_filter_and_turn_pages(site: Site) -> None:
    site.network()
    for number in range(5):
        zone = ZONE if number < 4 else "europe-west1-c"
        site.instance(f"n{number}", zone=zone, labels={"odd": str(number % 2)}, tags={"items": [f"t{number}"]})
    client = site.client("InstancesClient")

    def names(**request: Any) -> list[str]:
        return [i.name for i in client.list(request={"project": PROJECT, "zone": ZONE, **request})]

    assert names(max_results=2) == ["n0", "n1", "n2", "n3"]
    page = next(client.list(request={"project": PROJECT, "zone": ZONE, "max_results": 3}).pages)
    assert (len(page.items), bool(page.next_page_token)) == (3, True)
    assert names(filter="labels.odd=1") == ["n1", "n3"]
    assert names(filter='tags.items:"t2"') == ["n2"]
    assert names(filter="name eq n[0-2]") == ["n0", "n1", "n2"]
    refused(exceptions.BadRequest, "Invalid list filter expression", lambda: names(filter="nmae = n1"))
    everywhere = dict(client.aggregated_list(request={"project": PROJECT, "max_results": 2}))
    assert [i.name for i in everywhere["zones/europe-west1-c"].instances] == ["n4"]
    assert everywhere["zones/europe-west1-d"].warning.code == "NO_RESULTS_ON_PAGE"


def test_the_catalogue_is_there(site: Site) -> None:
    zones = site.client("ZonesClient").list(request={"project": PROJECT, "filter": "name eq europe-.*"})
    assert [zone.name for zone in zones] == ["europe-west1-b", "europe-west1-c", "europe-west1-d"]
    region = site.client("RegionsClient").get(project=PROJECT, region=REGION)
    assert len(region.zones) == 3
    machine = site.client("MachineTypesClient").get(project=PROJECT, zone=ZONE, machine_type="e2-small")
    assert (machine.guest_cpus, machine.memory_mb, machine.zone) == (2, 2048, ZONE)
    image = site.client("ImagesClient").get_from_family(project="debian-cloud", family="debian-12")
    assert site.client("ImagesClient").get(project="debian-cloud", image=image.name) == image
    project = site.client("ProjectsClient").get(project=PROJECT)
    assert project.name == PROJECT
    refused(exceptions.NotFound, "projects/other", lambda: list(site.client("NetworksClient").list(project="other")))


# ---- operations ----------------------------------------------------------------------------------------------


def test_what_is_still_being_made_cannot_be_used(idle: Site) -> None:
    networks, firewalls = idle.client("NetworksClient"), idle.client("FirewallsClient")
    body = {"name": "net", "auto_create_subnetworks": False}
    operation = networks.insert_unary(project=PROJECT, network_resource=body)
    assert operation.status != compute_v1.Operation.Status.DONE
    rule = {"name": "f", "network": "global/networks/net", "allowed": [{"I_p_protocol": "icmp"}]}
    error = refused(
        exceptions.BadRequest,
        "The resource 'projects/runbook-lab/global/networks/net' is not ready",
        lambda: firewalls.insert_unary(project=PROJECT, firewall_resource=rule),
    )
    assert error.errors[0]["reason"] == "resourceNotReady"


def test_the_same_request_id_does_a_thing_once(site: Site) -> None:
    client = site.client("NetworksClient")
    request = {
        "project": PROJECT,
        "network_resource": {"name": "net", "auto_create_subnetworks": False},
        "request_id": "7f5a6c1e-98d3-4b53-8b06-3c4f4a9f7d11",
    }
    first, second = client.insert_unary(request=request), client.insert_unary(request=request)
    assert first.name == second.name
    other = {**request, "network_resource": {"name": "other", "auto_create_subnetworks": False}}
    refused(exceptions.BadRequest, "different request", lambda: client.insert_unary(request=other))
    refused(exceptions.BadRequest, "valid UUID", lambda: client.insert_unary(request={**request, "request_id": "once"}))


def test_waiting_for_an_operation_returns_when_the_instance_runs(still: Site) -> None:
    still.network()
    body = instance_body("one")
    started = still.client("InstancesClient").insert_unary(project=PROJECT, zone=ZONE, instance_resource=body)
    answers: list[Any] = []
    zone_operations = still.client("ZoneOperationsClient")
    waiter = threading.Thread(
        target=lambda: answers.append(zone_operations.wait(project=PROJECT, zone=ZONE, operation=started.name))
    )
    waiter.start()
    still.gce.report_machine(f"{ZONE}/one", "running")
    waiter.join(timeout=10)
    assert [answer.status for answer in answers] == [compute_v1.Operation.Status.DONE]
    listed = zone_operations.list(project=PROJECT, zone=ZONE)
    assert [(o.operation_type, o.progress) for o in listed] == [("insert", 100)]


# ---- VPN -----------------------------------------------------------------------------------------------------

PEERS = ("198.51.100.11", "198.51.100.12", "198.51.100.13", "198.51.100.14")


def build_vpn(site: Site) -> None:
    """A whole HA VPN: four tunnels, each with its BGP session."""
    site.network()
    site.insert("vpn_gateway", {"name": "gw", "network": "global/networks/net"}, region=REGION)
    router = {"name": "cr", "network": "global/networks/net", "bgp": {"asn": 65273}}
    site.insert("router", router, region=REGION)
    interfaces = [{"id": n, "ip_address": address} for n, address in enumerate(PEERS)]
    site.insert(
        "external_vpn_gateway",
        {"name": "aws", "redundancy_type": "FOUR_IPS_REDUNDANCY", "interfaces": interfaces},
    )
    for number in range(4):
        site.insert("vpn_tunnel", tunnel_body(number), region=REGION)
    sessions = {
        "interfaces": [
            {
                "name": f"i{n}",
                "ip_range": f"169.254.10.{4 * n + 2}/30",
                "linked_vpn_tunnel": f"regions/{REGION}/vpnTunnels/t{n}",
            }
            for n in range(4)
        ],
        "bgp_peers": [
            {
                "name": f"p{n}",
                "interface_name": f"i{n}",
                "peer_ip_address": f"169.254.10.{4 * n + 1}",
                "peer_asn": 64512,
            }
            for n in range(4)
        ],
    }
    site.client("RoutersClient").patch_unary(project=PROJECT, region=REGION, router="cr", router_resource=sessions)


def tunnel_body(number: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"t{number}",
        "vpn_gateway": f"regions/{REGION}/vpnGateways/gw",
        "vpn_gateway_interface": number // 2,
        "peer_external_gateway": "global/externalVpnGateways/aws",
        "peer_external_gateway_interface": number,
        "router": f"regions/{REGION}/routers/cr",
        "shared_secret": f"secret.key_{number}",
        **more,
    }


def test_a_vpn_is_told_to_the_world_whole_and_reports_back(site: Site) -> None:
    build_vpn(site)
    ends = site.gce.tunnels()
    assert [end.id for end in ends] == [f"{REGION}/t{n}" for n in range(4)]
    gateway = site.client("VpnGatewaysClient").get(project=PROJECT, region=REGION, vpn_gateway="gw")
    addresses = [interface.ip_address for interface in gateway.vpn_interfaces]
    assert [end.local for end in ends] == [addresses[0], addresses[0], addresses[1], addresses[1]]
    last = ends[3]
    assert (last.peer, last.shared_key, last.ike) == (PEERS[3], "secret.key_3", 2)
    assert (last.inside_local, last.inside_peer, last.local_asn, last.peer_asn) == (
        "169.254.10.14",
        "169.254.10.13",
        65273,
        64512,
    )
    assert last.advertised == ("172.27.3.128/26", "172.27.3.0/26")

    tunnels, routers = site.client("VpnTunnelsClient"), site.client("RoutersClient")
    tunnel = tunnels.get(project=PROJECT, region=REGION, vpn_tunnel="t0")
    assert (tunnel.status, tunnel.shared_secret.strip("*")) == ("FIRST_HANDSHAKE", "")
    site.gce.report_tunnels({
        ends[0].id: TunnelStatus(True, "AES", ("172.30.3.0/24",), session="Established", announced=last.advertised),
        ends[1].id: TunnelStatus(False, "the keys differ", trouble="wrong key"),
        ends[2].id: TunnelStatus(False, "AES; BGP is down: Active", trouble="no BGP", session="Active"),
        ends[3].id: TunnelStatus(False, "", trouble="no answer"),
    })  # fmt: skip
    states = {t.name: (t.status, t.detailed_status) for t in tunnels.list(project=PROJECT, region=REGION)}
    assert states == {
        "t0": ("ESTABLISHED", "Tunnel is up and running: AES"),
        "t1": ("AUTHORIZATION_ERROR", "the keys differ"),
        "t2": ("ESTABLISHED", "Tunnel is up and running: AES; BGP is down: Active"),
        "t3": ("NO_INCOMING_PACKETS", "No incoming packets from peer."),
    }
    result = routers.get_router_status(project=PROJECT, region=REGION, router="cr").result
    sessions = result.bgp_peer_status
    assert [(p.name, p.status, p.state, p.num_learned_routes, len(p.advertised_routes)) for p in sessions] == [
        ("p0", "UP", "Established", 1, 2),
        ("p1", "DOWN", "Idle", 0, 0),
        ("p2", "DOWN", "Active", 0, 0),
        ("p3", "DOWN", "Idle", 0, 0),
    ]
    assert [route.dest_range for route in result.best_routes] == ["172.30.3.0/24"]
    status = site.client("VpnGatewaysClient").get_status(project=PROJECT, region=REGION, vpn_gateway="gw")
    (connection,) = status.result.vpn_connections
    assert (connection.state.state, len(connection.tunnels)) == ("CONNECTION_REDUNDANCY_MET", 4)


def test_a_tunnel_without_its_session_waits_for_it(site: Site) -> None:
    build_vpn(site)
    client = site.client("RoutersClient")
    router = client.get(project=PROJECT, region=REGION, router="cr")
    router.bgp_peers = [peer for peer in router.bgp_peers if peer.name != "p2"]
    client.update_unary(project=PROJECT, region=REGION, router="cr", router_resource=router)
    assert [end.id for end in site.gce.tunnels()] == [f"{REGION}/t{n}" for n in (0, 1, 3)]
    tunnel = site.client("VpnTunnelsClient").get(project=PROJECT, region=REGION, vpn_tunnel="t2")
    assert tunnel.status == "WAITING_FOR_FULL_CONFIG"


def test_a_vpn_is_taken_down_tunnels_first(site: Site) -> None:
    build_vpn(site)
    where = {"project": PROJECT, "region": REGION}
    for client, name, kind in (
        ("VpnGatewaysClient", "gw", "vpn_gateway"),
        ("RoutersClient", "cr", "router"),
    ):
        delete = partial(site.client(client).delete_unary, **where, **{kind: name})
        refused(exceptions.BadRequest, "vpnTunnels/t0'", delete)
    for number in range(4):
        site.client("VpnTunnelsClient").delete_unary(**where, vpn_tunnel=f"t{number}")
    site.client("RoutersClient").delete_unary(**where, router="cr")
    site.client("VpnGatewaysClient").delete_unary(**where, vpn_gateway="gw")
    site.client("ExternalVpnGatewaysClient").delete_unary(project=PROJECT, external_vpn_gateway="aws")
    assert site.gce.tunnels() == ()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"shared_secret": "short"}, "resource.sharedSecret"),
        ({"shared_secret": "0starts.with.zero"}, "resource.sharedSecret"),
        ({"peer_external_gateway_interface": 4}, "no such interface"),
        ({"vpn_gateway_interface": 2}, "Must be 0 or 1."),
        ({"ike_version": 3}, "Must be 1 or 2."),
        ({"name": "again"}, "exists already"),
    ],
)
def test_refusals_of_tunnels(site: Site, change: dict[str, Any], part: str) -> None:
    build_vpn(site)
    if "name" not in change:
        site.client("VpnTunnelsClient").delete_unary(project=PROJECT, region=REGION, vpn_tunnel="t3")
    error = refused(
        exceptions.BadRequest, part, lambda: site.insert("vpn_tunnel", tunnel_body(3, **change), region=REGION)
    )
    assert "secret.key" not in str(error)


@pytest.mark.parametrize(
    ("interface", "peer", "part"),
    [
        ({"ip_range": "10.0.0.2/30"}, {}, "Must be in 169.254.0.0/16"),
        ({"ip_range": "169.254.169.254/30"}, {}, "not the metadata server's"),
        ({"ip_range": "169.254.20.0/30"}, {}, "host address of a /30"),
        ({"ip_range": "169.254.10.2/30"}, {}, "Overlaps"),
        ({"linked_vpn_tunnel": f"regions/{REGION}/vpnTunnels/t0"}, {}, "Cannot link multiple interfaces"),
        ({}, {"interface_name": "none"}, "no such interface"),
        ({}, {"peer_asn": 65273}, "Must differ"),
        ({}, {"peer_ip_address": "169.254.30.1"}, "other host address"),
        ({}, {"name": "p0"}, "more than once"),
    ],
)
def test_refusals_of_sessions(site: Site, interface: dict[str, Any], peer: dict[str, Any], part: str) -> None:
    build_vpn(site)
    client = site.client("RoutersClient")
    router = client.get(project=PROJECT, region=REGION, router="cr")
    new_interface = {"name": "new", "ip_range": "169.254.20.2/30", **interface}
    new_peer = {
        "name": "new",
        "interface_name": "new",
        "peer_ip_address": "169.254.20.1",
        "peer_asn": 64512,
        **peer,
    }
    router.interfaces = [*router.interfaces, new_interface]
    router.bgp_peers = [*router.bgp_peers, new_peer]
    where = {"project": PROJECT, "region": REGION, "router": "cr", "router_resource": router}
    refused(exceptions.BadRequest, part, lambda: client.patch_unary(**where))
