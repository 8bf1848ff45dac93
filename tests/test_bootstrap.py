"""Boot scripts: what they say, and that a shell accepts and repeats them."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from runbook_lib import bootstrap
from runbook_lib.params import Params
from runbook_lib.resources import CloudName

EVERY = [(cloud, role) for cloud in ("aws", "gcp") for role in bootstrap.PARTS]


@pytest.mark.parametrize(("cloud", "role"), EVERY)
def test_every_script_is_valid_shell_and_fits_user_data(cloud: CloudName, role: str) -> None:
    script = bootstrap.script(Params(), cloud, role, f"server-{cloud}-{role}-1")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # EC2 takes at most 16 KiB of user data.
    assert len(script.encode()) < 16 * 1024
    assert script.rstrip().endswith('say "boot finished"')


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(KeyError):
        bootstrap.script(Params(), "aws", "nomad", "x")


@pytest.mark.parametrize(
    ("cloud", "join"),
    [("gcp", "provider=gce tag_value=consul-servers"), ("aws", "provider=aws tag_key=Consul tag_value=server")],
)
def test_servers_find_each_other_through_the_clouds_api(cloud: CloudName, join: str) -> None:
    config = bootstrap.consul_config(Params(), cloud, "consul", "server-1")
    assert config["retry_join"] == [join]
    assert (config["server"], config["bootstrap_expect"]) == (True, 3)
    assert config["data_dir"] == "/var/consul"


@pytest.mark.parametrize("role", ["traefik", "web"])
def test_other_roles_are_clients(role: str) -> None:
    config = bootstrap.consul_config(Params(), "gcp", role, "x")
    assert "server" not in config and "bootstrap_expect" not in config


def test_the_number_of_servers_is_what_consul_waits_for() -> None:
    assert bootstrap.consul_config(Params(consul_servers=5), "aws", "consul", "x")["bootstrap_expect"] == 5


def test_the_configuration_in_the_script_is_the_one_shown() -> None:
    params = Params()
    script = bootstrap.script(params, "aws", "consul", "server-aws-consul-1")
    found = re.search(r"<<CONFIG[^\n]*\n(.*?)\nCONFIG", script, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == bootstrap.consul_config(params, "aws", "consul", "server-aws-consul-1")


@pytest.mark.parametrize(("cloud", "resolver"), [("gcp", "169.254.169.254"), ("aws", "169.254.169.253")])
def test_dnsmasq_splits_names_between_consul_and_the_cloud(cloud: CloudName, resolver: str) -> None:
    script = bootstrap.script(Params(), cloud, "traefik", "x")
    assert "server=/consul/127.0.0.1#8600" in script
    assert f"server={resolver}\n" in script


def test_only_gcps_bastion_translates_addresses() -> None:
    assert "masquerade" in bootstrap.script(Params(), "gcp", "bastion", "gcp-bastion")
    assert "masquerade" not in bootstrap.script(Params(), "aws", "bastion", "aws-bastion")


def test_traefik_reads_the_local_agent_and_publishes_tagged_services_only() -> None:
    config = bootstrap.traefik_config(Params(domain="example.org"))
    catalog = config["providers"]["consulCatalog"]
    assert catalog["endpoint"]["address"] == "127.0.0.1:8500"
    assert catalog["watch"] is True
    assert catalog["prefix"] == "traefik"
    assert catalog["defaultRule"] == "Host(`{{ normalize .Name }}.example.org`)"
    assert "traefik.tags=exposed" in catalog["constraints"]
    assert config["entryPoints"]["http"]["address"] == ":80"
    assert config["entryPoints"]["traefik"]["address"] == ":8080"
