"""Each way to break a lab, seen to break and to be mended from inside the instances and from the internet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runbook_lib.lab import faults, host, image
from runbook_lib.lab.errors import LabError
from tests.e2e.operators import Operator

# ---- deciding --------------------------------------------------------------------------------------------

SERVERS = [{"id": f"i-{number}", "name": f"consul-{number}"} for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("count", "leader", "names"),
    [
        (1, 1, ["consul-1"]),
        (2, 1, ["consul-1"]),
        (3, 2, ["consul-2", "consul-1"]),
        (4, 4, ["consul-4", "consul-1"]),
        (5, 3, ["consul-3", "consul-1", "consul-2"]),
    ],
)
def test_most_is_as_few_as_leave_no_majority(count: int, leader: int, names: list[str]) -> None:
    chosen = faults.most(SERVERS[:count], SERVERS[leader - 1])
    assert [server["name"] for server in chosen] == names
    assert count - len(chosen) < count // 2 + 1 <= count - len(chosen) + 1


def test_every_kind_says_what_it_does_and_what_ends_it() -> None:
    for name, kind in faults.KINDS.items():
        assert name.isalpha()
        assert kind.does and kind.ends


# ---- doing -----------------------------------------------------------------------------------------------

# As the runbook's own units: what is killed is started again after a second.
UNIT = """#!/bin/bash
{before}
cat >/etc/systemd/system/{name}.service <<'EOF'
[Service]
ExecStart={command}
Restart=on-failure
RestartSec=1s
[Install]
WantedBy=multi-user.target
EOF
systemctl enable {name}
systemctl start {name}
"""
PEERS = {f"faulty-consul-{number}": f"10.7.0.1{number}" for number in (1, 2, 3)}
CONSUL = (
    "/usr/bin/env consul agent -server -bootstrap-expect=3 -data-dir=/var/consul -datacenter=faulty -node={name} "
    "-bind={address} " + " ".join(f"-retry-join={address}" for address in PEERS.values()) + " -retry-interval=1s"
)
APACHE_FILES = """mkdir -p /var/www/html /etc/apache2 /var/log/apache2
echo here >/var/www/html/index.html
cat >/etc/apache2/faulty.conf <<'EOF'
ServerName localhost
PidFile /run/apache2.pid
DefaultRuntimeDir /run
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
DirectoryIndex index.html
User www-data
Group www-data
Listen 80
DocumentRoot /var/www/html
ErrorLog /var/log/apache2/error.log
EOF
"""
APACHE = UNIT.format(
    before=APACHE_FILES, name="web", command="/usr/sbin/apache2 -f /etc/apache2/faulty.conf -DFOREGROUND"
)


@pytest.fixture(scope="module")
def operator(lab: host.Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Someone with a network of three Consul servers and a web server that the internet reaches."""
    made = Operator(lab, tmp_path_factory.mktemp("operator"), os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(made.folder / "none"))
        ec2 = made.boto("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.7.0.0/24")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/27")["Subnet"]["SubnetId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        group = ec2.create_security_group(GroupName="faulty", Description="all", VpcId=vpc)["GroupId"]
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[everything])

        def start(name: str, script: str, address: str) -> str:
            wired = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True}
            tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
            identity: str = ec2.run_instances(
                ImageId=ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"],
                InstanceType="t3.small",
                MinCount=1,
                MaxCount=1,
                UserData=script,
                NetworkInterfaces=[{**wired, "PrivateIpAddress": address}],
                TagSpecifications=tags,
            )["Instances"][0]["InstanceId"]
            return identity

        started = [start("faulty-web", APACHE, "10.7.0.9")]
        for name, address in PEERS.items():
            unit = UNIT.format(before="", name="consul", command=CONSUL.format(name=name, address=address))
            started.append(start(name, unit, address))
        ec2.get_waiter("instance_running").wait(InstanceIds=started, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        yield made
        ec2.terminate_instances(InstanceIds=started)
        waiter = ec2.get_waiter("instance_terminated")
        waiter.wait(InstanceIds=started, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def eventually(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Bounded waiting; what is asserted is that it happens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.2)
    pytest.fail(f"did not happen: {what}")


def leader(operator: Operator) -> str:
    """The address that every server which runs names as the leader; empty while they do not agree."""
    ask = "curl -s -m 2 http://127.0.0.1:8500/v1/status/leader || true"
    said = {operator.inside(name, ask).stdout.strip('"\n') for name in PEERS} - {""}
    return said.pop().partition(":")[0] if len(said) == 1 else ""


def running(operator: Operator, name: str, program: str) -> list[str]:
    """The processes of a program on a node."""
    return operator.inside(name, f"ps -C {program} -o pid=").stdout.split()


def fault(operator: Operator, *words: str) -> str:
    """What `runbook lab fault` (or, named first, `heal`) said; it succeeded."""
    command = words if words[0] == "heal" else ("fault", *words)
    done = operator.runbook("lab", *command, "--name", operator.lab.name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def page(operator: Operator) -> str:
    """The web server's page, asked from the internet; empty without an answer."""
    [web] = operator.nodes("faulty-web")
    return operator.visit(f"http://{web['public_ip']}/").stdout.strip()


@pytest.mark.lab
def test_a_killed_leader_is_replaced_and_started_again(operator: Operator) -> None:
    first = eventually(lambda: leader(operator), "three servers agree on a leader")
    [name] = [name for name, address in PEERS.items() if address == first]
    before = running(operator, name, "consul")
    assert f"{name}: SIGKILL to consul" in fault(operator, "leader", "aws")
    # A killed process is listed until the kernel has taken it apart.
    again = lambda: set(running(operator, name, "consul")) - set(before)  # noqa: E731
    eventually(again, "its service manager starts it again")
    assert not set(before) & set(running(operator, name, "consul"))
    eventually(lambda: leader(operator), "they agree again")


@pytest.mark.lab
def test_without_quorum_there_is_no_leader_until_it_is_healed(operator: Operator) -> None:
    eventually(lambda: leader(operator), "three servers agree on a leader")
    said = fault(operator, "quorum", "aws")
    down = [name for name in PEERS if f"{name}: consul killed and kept down" in said]
    assert len(down) == 2
    [left] = set(PEERS) - set(down)
    ask = "curl -s -m 20 http://127.0.0.1:8500/v1/kv/anything"
    eventually(lambda: "No cluster leader" in operator.inside(left, ask).stdout, "the one that is left has no leader")
    eventually(lambda: not any(running(operator, name, "consul") for name in down), "both are down")
    refused = operator.runbook("lab", "fault", "leader", "aws", "--name", operator.lab.name)
    assert refused.returncode == 1
    assert "no agent in aws knows of a leader" in refused.stderr
    fault(operator, "heal", "quorum", "aws")
    eventually(lambda: leader(operator), "they agree again")
    assert all(running(operator, name, "consul") for name in PEERS)


@pytest.mark.lab
def test_a_hanging_server_accepts_and_never_answers(operator: Operator) -> None:
    eventually(lambda: page(operator) == "here", "the page is served")
    assert "faulty-web: SIGSTOP to apache2" in fault(operator, "hang", "faulty-web")
    assert operator.inside("faulty-consul-1", "nc -z -w 3 10.7.0.9 80").returncode == 0
    asked = operator.inside("faulty-consul-1", "curl -sS -m 2 http://10.7.0.9/")
    assert asked.returncode == 28, "curl's word for: no answer in time"
    assert "SIGCONT" in fault(operator, "heal", "hang", "faulty-web")
    assert page(operator) == "here"


@pytest.mark.lab
def test_a_killed_program_is_started_again(operator: Operator) -> None:
    eventually(lambda: page(operator) == "here", "the page is served")
    before = running(operator, "faulty-web", "apache2")
    assert "faulty-web: SIGKILL to apache2" in fault(operator, "kill", "faulty-web")
    eventually(lambda: page(operator) == "here", "the page is served again")
    assert not set(before) & set(running(operator, "faulty-web", "apache2"))


@pytest.mark.lab
def test_a_full_disk_is_full_for_its_own_node_alone(operator: Operator) -> None:
    size = operator.asked("faulty-web", "df -BM --output=size /etc | tail -n 1").strip()
    assert size == f"{image.DISK_MIB}M"
    assert "faulty-web: 0 left" in fault(operator, "disk", "faulty-web")
    write = "dd if=/dev/zero of=/etc/more bs=4096 count=1"
    done = operator.inside("faulty-web", write)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert operator.inside("faulty-consul-1", write).returncode == 0
    assert page(operator) == "here", "what is there can still be read"
    fault(operator, "heal", "disk", "faulty-web")
    assert operator.inside("faulty-web", write).returncode == 0


@pytest.mark.lab
def test_a_cloud_that_is_cut_off_stays_so_whatever_its_rules_become(operator: Operator) -> None:
    out = "curl -sS -m 2 -o /dev/null https://ec2.us-west-2.amazonaws.com/"
    eventually(lambda: page(operator) == "here", "the page is served")
    assert operator.inside("faulty-web", out).returncode == 0
    fault(operator, "cloud", "aws")
    assert page(operator) == ""
    assert operator.inside("faulty-web", out).returncode != 0
    assert operator.inside("faulty-consul-1", "curl -sS -m 2 http://10.7.0.9/").stdout == "here\n", "inside goes on"
    # A change in the API gives the router a new ruleset.
    ec2 = operator.boto("ec2")
    [group] = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["faulty"]}])["SecurityGroups"]
    closed = {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[closed])
    listed = [*operator.lab.inside(), "nsenter", f"--net=/run/netns/{operator.lab.networks()[0]['router']}"]
    rules = lambda: operator.command(*listed, "--", "nft", "list", "ruleset").stdout  # noqa: E731
    eventually(lambda: "dport 81" in rules(), "the new rule has come")
    assert rules().count("table ip cloud") == 1
    assert page(operator) == ""
    fault(operator, "heal", "cloud", "aws")
    assert page(operator) == "here"
    assert "fault" not in rules()


@pytest.mark.lab
def test_a_node_without_power_is_stopped_in_its_cloud_and_comes_back_with_its_disk(operator: Operator) -> None:
    ec2 = operator.boto("ec2")
    [node] = operator.nodes("faulty-web")
    [identity] = [n["id"] for n in operator.lab.nodes() if n["name"] == "faulty-web"]
    operator.asked("faulty-web", "echo kept | tee /var/kept")
    assert "faulty-web: switched off" in fault(operator, "power", "faulty-web")
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[identity], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert operator.nodes("faulty-web") == []
    ec2.start_instances(InstanceIds=[identity])
    eventually(lambda: page(operator) == "here", "it is served again")
    assert operator.asked("faulty-web", "cat /var/kept") == "kept\n"
    assert operator.nodes("faulty-web")[0]["private_ip"] == node["private_ip"]


@pytest.mark.lab
@pytest.mark.parametrize(
    ("kind", "target", "said", "remedy"),
    [
        ("party", "", "no fault called 'party'", "leader, quorum"),
        ("leader", "azure", "for a cloud, not for azure", "aws, gcp"),
        ("cloud", "", "for a cloud, not for nothing", "aws, gcp"),
        ("leader", "gcp", "no agent in gcp", "runbook lab heal quorum gcp"),
        ("cloud", "gcp", "gcp has no network", "runbook run 00"),
        ("vpn", "", "gcp has no network", "runbook run 00"),
        ("vpn", "aws", "takes no node or cloud", "leave it out"),
        ("hang", "", "none is named", "faulty-web"),
        ("disk", "nobody", "no instance is called nobody", "faulty-web"),
    ],
)
def test_what_cannot_be_broken_is_told(operator: Operator, kind: str, target: str, said: str, remedy: str) -> None:
    with pytest.raises(LabError, match=said) as caught:
        faults.inject(operator.lab, kind, target)
    assert remedy in caught.value.remedy


@pytest.mark.lab
def test_what_heals_by_itself_is_not_healed_by_hand(operator: Operator) -> None:
    with pytest.raises(LabError, match="not healed by hand") as caught:
        faults.heal(operator.lab, "leader", "aws")
    assert "service manager" in caught.value.remedy


@pytest.mark.lab
def test_healing_what_is_whole_changes_nothing(operator: Operator) -> None:
    for words in (("cloud", "aws"), ("disk", "faulty-web"), ("hang", "faulty-web"), ("quorum", "aws")):
        assert fault(operator, "heal", *words)
    assert page(operator) == "here"


@pytest.mark.lab
def test_a_lab_is_found_by_its_endpoint(operator: Operator) -> None:
    assert host.at(operator.lab.aws_endpoint) == operator.lab
    done = operator.runbook("lab", "fault", "vpn", "--endpoint", "https://ec2.example")
    assert done.returncode == 1
    assert "no lab that is up answers at https://ec2.example" in done.stderr
