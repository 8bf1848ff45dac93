"""Boot scripts: what they say, and that a shell accepts and repeats them."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from runbook_lib import bootstrap
from runbook_lib.params import Params
from runbook_lib.resources import CLOUDS, CloudName

EVERY = [(cloud, role) for cloud in CLOUDS for role in bootstrap.PARTS]
ARTICLE = Params(security="article")


@pytest.mark.parametrize("params", [Params(), ARTICLE], ids=lambda params: params.security)
@pytest.mark.parametrize(("cloud", "role"), EVERY)
def test_every_script_is_valid_shell_and_fits_user_data(cloud: CloudName, role: str, params: Params) -> None:
    script = bootstrap.script(params, cloud, role, f"server-{cloud}-{role}-1")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # EC2 takes at most 16 KiB of user data.
    assert len(script.encode()) < 16 * 1024
    assert script.rstrip().endswith('record "boot finished"')
    assert bootstrap.written_for(script) == ("demo", f"server-{cloud}-{role}-1")


@pytest.mark.parametrize("script", ["", "#!/bin/sh\n", "echo # Boot script of x (web) in aws, deployment demo."])
def test_another_script_is_not_taken_for_ours(script: str) -> None:
    assert bootstrap.written_for(script) is None


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


@pytest.mark.parametrize(("servers", "expected"), [(1, 1), (3, 3), (5, 3), (7, 3)])
def test_three_servers_elect_the_first_leader_and_more_join_them(servers: int, expected: int) -> None:
    config = bootstrap.consul_config(Params(consul_servers=servers), "aws", "consul", "x")
    assert config["bootstrap_expect"] == expected


def test_more_servers_leave_the_scripts_of_the_others_as_they_are() -> None:
    few, many = (bootstrap.script(Params(consul_servers=n), "gcp", "consul", "server-gcp-consul-1") for n in (3, 7))
    assert few == many


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


def test_nothing_that_needs_a_secret_starts_before_it_is_there() -> None:
    script = bootstrap.script(Params(), "aws", "traefik", "x")
    assert f"ConditionPathExists={bootstrap.SECRETS}\n" in script
    assert f"ConditionPathExists={bootstrap.TRAEFIK_TOKEN}\n" in script
    assert "ConditionPathExists" not in bootstrap.script(ARTICLE, "aws", "traefik", "x")


def test_hardened_agents_encrypt_and_ask_for_tokens_and_the_article_s_do_not() -> None:
    hardened = bootstrap.consul_config(Params(), "aws", "consul", "x")
    assert all(hardened[name] is True for name in ("verify_incoming_rpc", "verify_outgoing", "verify_server_hostname"))
    assert (hardened["acl"]["enabled"], hardened["acl"]["default_policy"]) == (True, "deny")
    assert hardened["client_addr"] == "127.0.0.1"
    article = bootstrap.consul_config(ARTICLE, "aws", "consul", "x")
    assert article["client_addr"] == "0.0.0.0"
    assert not {"acl", "ca_file", "encrypt"} & article.keys()


def test_the_dashboard_asks_for_a_password_unless_it_is_the_article_s() -> None:
    assert bootstrap.traefik_config(Params())["api"]["insecure"] is False
    assert "dashboard.yml" in bootstrap.script(Params(), "gcp", "traefik", "x")
    assert bootstrap.traefik_config(ARTICLE)["api"]["insecure"] is True
    assert "dashboard.yml" not in bootstrap.script(ARTICLE, "gcp", "traefik", "x")
    router = bootstrap.dashboard_config()["http"]["routers"]["dashboard"]
    assert (router["entryPoints"], router["middlewares"][0]) == (["traefik"], "password")


@pytest.mark.parametrize(
    ("change", "roles"),
    [
        ({"traefik_version": "3.7.16"}, {"traefik"}),
        ({"traefik_sha256": "7" * 64}, {"traefik"}),
        ({"consul_version": "1.8.8"}, {"consul", "traefik", "web"}),
        ({"consul_sha256": "c" * 64}, {"consul", "traefik", "web"}),
    ],
)
def test_another_release_changes_only_the_hosts_that_run_it(change: dict[str, str], roles: set[str]) -> None:
    before, after = Params(), Params.parse(change, source="test")
    changed = {
        role
        for cloud, role in EVERY
        if bootstrap.script(before, cloud, role, "x") != bootstrap.script(after, cloud, role, "x")
    }
    assert changed == roles


def test_an_archive_is_fetched_by_checksums_that_the_script_brings() -> None:
    params = Params(
        consul_sha256="c" * 64, traefik_version="3.7.5", traefik_sha256="", release_mirror="https://m.test/x"
    )
    script = bootstrap.script(params, "gcp", "traefik", "x")
    consul = f'"https://m.test/x/consul/1.8.7/consul_1.8.7_linux_$(dpkg --print-architecture).zip" "{"c" * 64}"'
    assert f"\nrelease consul 1.8.7 {consul}\n" in script
    assert re.search(r"\nrelease traefik 3\.7\.5 \S+ \S+\.tar\.gz\" \"[0-9a-f]{64} [0-9a-f]{64}\"\n", script)
    assert "SHA256SUMS" not in script, "the publisher's list comes from where the archive comes"


def test_an_image_that_brings_everything_makes_the_script_fetch_nothing() -> None:
    assert re.search(r'\nrelease consul 1\.8\.7 "\S+ \S+" ""\n', bootstrap.script(Params(), "aws", "consul", "x"))


def test_no_service_runs_as_root_but_dnsmasq_which_drops_its_rights() -> None:
    for cloud, role in EVERY:
        script = bootstrap.script(Params(), cloud, role, "x")
        units = re.findall(r"service (\S+) .*?\n(.*?)\nUNIT", script, re.DOTALL)
        assert {name for name, unit in units if "\nUser=" not in unit} <= {"dnsmasq"}
        assert len(units) == script.count("<<'UNIT'")
