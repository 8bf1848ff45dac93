from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib import releases
from runbook_lib.errors import ParameterError
from runbook_lib.params import Params, help_lines, read_file

FOLDER = Path(__file__).resolve().parents[1] / "params"
PLACEHOLDER = {"gcp_project": "my-project-42", "consul_sha256": "c" * 64, "traefik_sha256": "7" * 64}


def test_the_lab_s_file_is_the_defaults_and_complete() -> None:
    content = read_file(FOLDER / "lab.yaml")
    assert list(content) == list(Params.model_fields)
    assert Params.load(FOLDER / "lab.yaml") == Params()


def test_the_real_clouds_file_is_complete_and_differs_where_it_says() -> None:
    content = read_file(FOLDER / "aws-gcp.yaml")
    assert list(content) == list(Params.model_fields)
    real, lab = Params.load(FOLDER / "aws-gcp.yaml", overrides=PLACEHOLDER), Params()
    different = {name for name in Params.model_fields if getattr(real, name) != getattr(lab, name)}
    assert different == {
        "aws_endpoint",
        "aws_credentials",
        "gcp_endpoint",
        "gcp_credentials",
        "gcp_project",
        "internet_proxy",
        "ssh_user",
        "keys",
        "timeout",
        "approval",
        "consul_sha256",
        "traefik_sha256",
        "aws_image",
    }


def test_the_real_clouds_file_is_refused_until_a_project_is_named() -> None:
    with pytest.raises(ParameterError, match=r"gcp_project.*\n.*gcp_project\n.*project ID") as refused:
        Params.load(FOLDER / "aws-gcp.yaml")
    assert "REPLACE-WITH-YOUR-PROJECT-ID" in str(refused.value)


@pytest.mark.parametrize("program", releases.PROGRAMS)
def test_the_real_clouds_file_is_refused_until_it_tells_the_checksums(program: releases.Program) -> None:
    given = {name: value for name, value in PLACEHOLDER.items() if name != f"{program}_sha256"}
    with pytest.raises(ParameterError) as refused:
        Params.load(FOLDER / "aws-gcp.yaml", overrides=given)
    assert refused.value.resource == f"{program}_sha256"
    version = getattr(Params(), f"{program}_version")
    assert f"curl -sSL {releases.sums_url(program, version)} prints it" in str(refused.value.expected)


def test_a_pinned_release_needs_no_checksum() -> None:
    pinned = {"traefik_version": "3.7.5", "traefik_sha256": ""}
    assert Params.parse(pinned, source="test").traefik_version == "3.7.5"


def test_a_checksum_may_be_given_for_each_architecture() -> None:
    several = f"{'a' * 64} {'b' * 64}"
    assert Params.parse({"consul_sha256": several}, source="test").consul_sha256 == several


@pytest.mark.parametrize("name", ["lab.yaml", "aws-gcp.yaml"])
def test_each_parameter_of_a_file_is_explained(name: str) -> None:
    lines = (FOLDER / name).read_text().splitlines()
    for field in Params.model_fields:
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{field}: "))
        assert lines[at - 1].startswith("# "), field


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"consul_servers": 4}, "consul_servers"),
        ({"consul_servers": "3"}, "consul_servers"),
        ({"consul_servers": True}, "consul_servers"),
        ({"web_servers": 0}, "web_servers"),
        ({"test": "yes"}, "test"),
        ({"deployment": "Demo"}, "deployment"),
        ({"deployment": 7}, "deployment"),
        ({"deployment": "a" * 21}, "deployment"),
        ({"domain": "exemple"}, "domain"),
        ({"domain": "-a.com"}, "domain"),
        ({"aws_zones": ["us-west-2a", "eu-west-1a"]}, "aws_zones"),
        ({"aws_zones": ["us-west-2a", "us-west-2a"]}, "aws_zones"),
        ({"aws_zones": []}, "aws_zones"),
        ({"aws_zones": ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"]}, "aws_zones"),
        ({"aws_network": "172.30.3.0/26"}, "aws_network"),
        ({"aws_network": "8.8.8.0/24"}, "aws_network"),
        ({"aws_network": "172.30.3.7/24"}, "aws_network"),
        ({"gcp_public_subnet": "172.27.3.0/30"}, "gcp_public_subnet"),
        ({"gcp_public_subnet": "172.30.3.0/26"}, "gcp_public_subnet"),
        ({"gcp_private_subnet": "172.27.3.32/27"}, "gcp_private_subnet"),
        ({"gcp_asn": 64512}, "gcp_asn"),
        ({"aws_asn": 15169}, "aws_asn"),
        ({"aws_endpoint": "localhost:4560"}, "aws_endpoint"),
        ({"internet_proxy": "http://127.0.0.1:1"}, "internet_proxy"),
        ({"consul_version": "1.8"}, "consul_version"),
        ({"aws_image": ""}, "aws_image"),
        ({"aws_image": "ssm:"}, "aws_image"),
        ({"aws_image": "ssm:debian 12"}, "aws_image"),
        ({"consul_sha256": "c" * 63}, "consul_sha256"),
        ({"consul_sha256": "C" * 64}, "consul_sha256"),
        ({"consul_sha256": "c" * 64 + "\n"}, "consul_sha256"),
        ({"traefik_sha256": ""}, "traefik_sha256"),
        ({"traefik_version": "3.7.5", "traefik_sha256": "any"}, "traefik_sha256"),
        ({"release_mirror": "http://mirror.example.org"}, "release_mirror"),
        ({"release_mirror": "https://mirror.example.org/"}, "release_mirror"),
        ({"release_mirror": 'https://mirror.example.org/"$(reboot)"'}, "release_mirror"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterError) as refused:
        Params.parse(values, source="test")
    assert refused.value.resource == field
    assert refused.value.expected
    assert "from test" in str(refused.value.seen)


def test_a_misspelt_name_is_refused_with_the_right_one() -> None:
    with pytest.raises(ParameterError) as refused:
        Params.parse({"web_server": 3}, source="test")
    assert refused.value.expected == "web_servers?"


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n", "something else than names and values"), ("a: [\n", "not YAML"), (None, "cannot be read")],
)
def test_files_that_are_no_parameter_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "params.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ParameterError, match=message):
        Params.load(file)


def test_later_files_win_and_single_values_last(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(yaml.safe_dump({"deployment": "one", "domain": "one.org", "traefiks": 1}))
    second.write_text(yaml.safe_dump({"domain": "two.org", "traefiks": 1}))
    params = Params.load(first, second, overrides={"traefiks": 3})
    assert (params.deployment, params.domain, params.traefiks) == ("one", "two.org", 3)


def test_a_notebook_s_names_become_parameters() -> None:
    names = {"deployment": "blue", "aws_zones": ["us-west-2a"], "__name__": "__main__", "In": [""], "_i1": "x"}
    params = Params.of(names)
    assert (params.deployment, params.aws_zones) == ("blue", ("us-west-2a",))


def test_a_notebook_s_misspelt_parameter_is_refused() -> None:
    with pytest.raises(ParameterError, match="there is no parameter called deploiment"):
        Params.of({"deploiment": "blue"})


def test_help_lines_are_python_that_gives_the_defaults_back() -> None:
    values: dict[str, Any] = {}
    for name, _, default, description in help_lines():
        exec(f"{name} = {default}", {}, values)
        assert description, name
    assert Params.parse(values, source="test") == Params()


@pytest.mark.parametrize("endpoint", ["aws_endpoint", "gcp_endpoint"])
def test_the_article_s_set_up_is_refused_on_a_real_cloud_unless_insisted_upon(endpoint: str) -> None:
    plain = {"security": "article", endpoint: ""}
    with pytest.raises(ParameterError, match="the parameter security cannot be used") as refused:
        Params.parse(plain, source="test")
    assert "security_override" in str(refused.value.expected)
    assert Params.parse({**plain, "security_override": True}, source="test").security == "article"
    assert Params.parse({"security": "article"}, source="test").security == "article", "the lab allows it"


def test_no_third_kind_of_security() -> None:
    with pytest.raises(ParameterError, match="the parameter security cannot be used"):
        Params.parse({"security": "none"}, source="test")
