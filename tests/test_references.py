"""Parameters that lead to a secret: where to, that records keep the reference, and that no message tells the value."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import ParameterError, PrerequisiteError
from runbook_lib.params import Params
from runbook_lib.references import LONGEST, is_reference, resolve
from runbook_lib.secret_store import Files
from tests.conftest import Recorder

VALUE = "socks5h://proxy.example.com:1080"


def parse(**values: Any) -> Params:
    return Params.parse(values, source="test")


@pytest.mark.parametrize("value", ["env:X", "file:~/x", "secret:a.b", "env:"])
def test_what_is_a_reference(value: str) -> None:
    assert is_reference(value)


@pytest.mark.parametrize("value", ["", "env", "environment:X", "http://file:1", 7, None, ["env:X"]])
def test_what_is_none(value: object) -> None:
    assert not is_reference(value)


def test_a_reference_leads_to_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PROXY", VALUE)
    params = parse(internet_proxy="env:MY_PROXY")
    assert params.internet_proxy == VALUE
    assert params.secrets() == {"internet_proxy": VALUE}


def test_a_reference_leads_to_a_file_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "proxy").write_text(VALUE + "\r\n\n")
    assert parse(internet_proxy="file:~/proxy").internet_proxy == VALUE


def test_a_reference_leads_to_the_deployment_s_secret_store(tmp_path: Path) -> None:
    Files(Params(deployment="blue", keys=str(tmp_path))).add("proxy", VALUE)
    params = parse(deployment="blue", keys=str(tmp_path), internet_proxy="secret:proxy")
    assert params.internet_proxy == VALUE


def test_the_folder_of_the_store_may_be_a_reference_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEYS", str(tmp_path))
    Files(Params(keys=str(tmp_path))).add("proxy", VALUE)
    assert parse(keys="env:MY_KEYS", internet_proxy="secret:proxy").internet_proxy == VALUE


def test_of_and_load_follow_references_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PROXY", VALUE)
    file = tmp_path / "params.yaml"
    file.write_text("internet_proxy: env:MY_PROXY\n")
    assert Params.load(file).internet_proxy == VALUE
    assert Params.of({"internet_proxy": "env:MY_PROXY"}).internet_proxy == VALUE


def test_a_record_keeps_the_reference_and_can_be_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PROXY", VALUE)
    params = parse(internet_proxy="env:MY_PROXY", timeout=60)
    recorded = params.recorded()
    assert recorded["internet_proxy"] == "env:MY_PROXY"
    assert (recorded["timeout"], recorded["aws_zones"]) == (60, ["us-west-2a", "us-west-2b", "us-west-2c"])
    assert list(recorded) == list(Params.model_fields)
    assert Params.parse(recorded, source="a record") == params
    assert VALUE not in repr(params)
    assert VALUE not in str(params)
    for copy in (pickle.loads(pickle.dumps(params)), params.model_copy(update={"timeout": 5})):
        assert copy.recorded()["internet_proxy"] == "env:MY_PROXY"


def test_without_references_a_record_is_the_parameters() -> None:
    assert Params().recorded() == Params().model_dump(mode="json")
    assert Params().secrets() == {}


def test_the_recorder_is_told_the_value_under_the_parameter_s_name(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PROXY", VALUE)
    parse(internet_proxy="env:MY_PROXY")
    assert recorder.take() == [{"kind": "secret", "name": "internet_proxy", "value": VALUE}]


def test_a_secret_of_the_store_is_told_as_well(recorder: Recorder, tmp_path: Path) -> None:
    Files(Params(keys=str(tmp_path))).add("proxy", VALUE)
    parse(keys=str(tmp_path), internet_proxy="secret:proxy")
    assert {event["value"] for event in recorder.take()} == {VALUE}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NO_SUCH_NAME", "no such environment variable"),
        ("env:", "no such environment variable"),
        ("file:/no/such/file", "No such file"),
        ("file:/", "directory"),
        ("secret:nothing", "no such secret"),
    ],
)
def test_a_reference_to_nothing_is_refused(tmp_path: Path, reference: str, said: str) -> None:
    with pytest.raises(ParameterError, match="leads to nothing that can be used") as refused:
        parse(keys=str(tmp_path), internet_proxy=reference)
    assert refused.value.resource == "internet_proxy"
    assert reference in str(refused.value.seen)
    assert said in str(refused.value.seen)
    assert refused.value.remedy


@pytest.mark.parametrize("value", ["", "hunter2", "x" * (LONGEST + 1)])
def test_a_value_that_cannot_be_kept_secret_is_refused_and_not_told(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SHORT", value)
    with pytest.raises(ParameterError) as refused:
        parse(ssh_user="env:SHORT")
    assert str(len(value)) in str(refused.value.seen)
    assert not value or value not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe12345678")
    with pytest.raises(ParameterError, match="no UTF-8 text"):
        resolve("ssh_user", f"file:{tmp_path / 'x'}", lambda _: None)


def test_a_store_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    Files(Params(keys=str(tmp_path))).add("proxy", VALUE)
    (tmp_path / "demo" / "secrets" / "proxy").chmod(0o644)
    with pytest.raises(PrerequisiteError, match="open to other accounts"):
        parse(keys=str(tmp_path), internet_proxy="secret:proxy")


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("internet_proxy", "http://me:hunter2hunter2@example.com", "hunter2"),
        ("aws_network", "172.30.300.0/24", "300"),
        ("aws_network", "172.30.3.0/9999", "9999"),
        ("gcp_public_subnet", "172.30.3.0/24", "172.30.3.0"),
        ("aws_region", "nowhere-at-all-1", "nowhere"),
        ("gcp_project", "No-Such-Project", "No-Such"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_reference(
    monkeypatch: pytest.MonkeyPatch, field: str, value: str, part: str
) -> None:
    monkeypatch.setenv("WRONG", value)
    with pytest.raises(ParameterError, match="cannot be used") as refused:
        parse(**{field: "env:WRONG"})
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__context__)
    assert part not in told
    assert "env:WRONG" in told


@pytest.mark.parametrize("name", ["deployment", "security", "secret_store"])
def test_what_others_are_looked_up_by_is_written_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NAME", "hardened")
    if name == "secret_store":
        assert parse(secret_store="env:NAME").secret_store == "env:NAME"
        return
    with pytest.raises(ParameterError, match=f"the parameter {name} cannot be used"):
        parse(**{name: "env:NAME"})
