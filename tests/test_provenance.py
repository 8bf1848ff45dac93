"""Parameters as they are given: of which kind, and where from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib.errors import ParameterError
from runbook_lib.params import Params
from runbook_lib.provenance import provenance, typed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("deployment", "007", "007"),
        ("deployment", "true", "true"),
        ("domain", "[a", "[a"),
        ("timeout", "007", 7),
        ("timeout", "600", 600),
        ("test", "false", False),
        ("aws_zones", "[a, b]", ["a", "b"]),
        ("security", "article", "article"),
    ],
)
def test_text_from_the_command_line_is_of_its_parameter_s_kind(name: str, text: str, value: Any) -> None:
    found = typed(name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("timeout", "1e3", "a whole number"),
        ("timeout", "6.0", "a whole number"),
        ("timeout", "-1", "a whole number"),
        ("timeout", "0x10", "a whole number"),
        ("timeout", "", "a whole number"),
        ("timeout", "true", "a whole number"),
        ("test", "yes", "true or false"),
        ("test", "1", "true or false"),
        ("test", "True", "true or false"),
        ("aws_zones", "us-west-2a", "a list such as"),
        ("aws_zones", "[", "a list such as"),
    ],
)
def test_text_that_is_not_of_its_kind_is_refused(name: str, text: str, expected: str) -> None:
    with pytest.raises(ParameterError, match=f"the parameter {name} cannot be used") as refused:
        typed(name, text)
    assert str(refused.value.expected).startswith(expected)
    assert refused.value.seen == f"{text!r} (from command line)"


def test_each_parameter_s_origin_is_known(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(yaml.safe_dump({"deployment": "one", "domain": "one.org", "traefiks": 1}))
    second.write_text(yaml.safe_dump({"domain": "two.org", "aws_zones": ["us-west-2a"]}))
    given, sources = provenance([first, second], [("traefiks", "3"), ("timeout", "5"), ("timeout", "60")])
    assert given == {
        "deployment": "one",
        "domain": "two.org",
        "aws_zones": ["us-west-2a"],
        "traefiks": 3,
        "timeout": 60,
    }
    assert list(sources) == list(Params.model_fields)
    assert {name: source for name, source in sources.items() if source != "default"} == {
        "deployment": str(first),
        "domain": str(second),
        "aws_zones": str(second),
        "traefiks": "command line",
        "timeout": "command line",
    }
    assert provenance([], []) == ({}, dict.fromkeys(Params.model_fields, "default"))


def test_a_misspelt_name_is_refused_with_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "1.yaml"
    file.write_text("traefik: 1\n")
    with pytest.raises(ParameterError, match="no parameter called traefik") as refused:
        provenance([file], [])
    assert str(file) in str(refused.value.seen)
    with pytest.raises(ParameterError, match="no parameter called traefik") as refused:
        provenance([], [("traefik", "1")])
    assert "command line" in str(refused.value.seen)
