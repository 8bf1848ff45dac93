"""Every check has likely causes, and lines to paste that could run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product

import pytest

import runbook_lib
from runbook_lib import causes, consul, consul_agent, traefik
from runbook_lib.access import Access
from runbook_lib.causes.table import CONSUL_LOG, TABLE, TRAEFIK_LOG
from runbook_lib.checks import Checks, equal, require
from runbook_lib.errors import CheckFailed
from runbook_lib.params import Params
from runbook_lib.resources import STEPS
from runbook_lib.site import Site
from tests.conftest import ROOT

# Modules whose checks notebooks require.
MODULES = ("audit", "experiment", "matrix", "resilience", "states", "verify")
MAKERS = {"Check": 0, "equal": 0, "contains": 0, "at_least": 0, "is_true": 0, "unanswered": 2}
# What stands in a check's name: the code between braces, and a value that it may have.
PARTS = {
    "host.name": "server-aws-consul-1",
    "here.name": "server-gcp-consul-1",
    "server": "server-aws-consul-2",
    "bastion.name": "bastion-gcp",
    "verify: name": "demo",
    "resilience: name": "server-aws-test-1",
    "SERVICE": "demo",
    "cloud": "gcp",
    "server.cloud": "gcp",
    "here": "aws",
    "there": "gcp",
    "other(cloud)": "aws",
    "addresses[there]": "172.27.3.2",
    "dc": "europe-west1",
    "kind": "private",
    "domain": "demo.exemple.com",
    "program": "traefik",
    "seen.server": "ip-172-30-3-70",
    "step": "00_provision",
    "site.params.deployment": "demo",
    "', '.join(sorted(self.spared))": "server-aws-traefik-1, server-gcp-traefik-1",
}
# Names that only their callers know.
HANDED_ON = {"name"}


def said(module: str, node: ast.expr) -> str:
    """A name as it would read."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.FormattedValue):
        part = ast.unparse(node.value)
        return PARTS.get(f"{module}: {part}") or PARTS[part]
    assert isinstance(node, ast.JoinedStr), ast.unparse(node)
    return "".join(said(module, one) for one in node.values)


def names(module: str) -> Iterator[str]:
    """Names of all checks that a module makes."""
    for node in ast.walk(ast.parse((ROOT / "runbook_lib" / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
            place = node.args[MAKERS[node.func.id]]
            if ast.unparse(place) not in HANDED_ON:
                yield said(module, place)


NAMES = sorted({name for module in MODULES for name in names(module)})
LINES = sorted({line for one in causes.advice(NAMES) for line in one.look})


def test_the_checks_are_found_in_the_source() -> None:
    assert {module for module in MODULES if not list(names(module))} == set()
    assert {"AWS: tunnels up", "gcp: voters", "server-aws-consul-1: gossip encrypted"} <= {*NAMES}
    assert len(NAMES) > 70


@pytest.mark.parametrize("name", NAMES)
def test_every_check_has_causes_and_a_place_to_look(name: str) -> None:
    [advice] = causes.advice([name])
    assert advice.about == (name,)
    assert len(advice.causes) >= 1 and len(advice.look) >= 1
    assert len(set(advice.causes)) == len(advice.causes)


@pytest.mark.parametrize(("pattern", "_", "look"), TABLE, ids=[str(number) for number in range(len(TABLE))])
def test_no_row_is_idle_and_every_part_is_named(pattern: str, _: object, look: tuple[str, ...]) -> None:
    fits = [name for name in NAMES if re.fullmatch(pattern, name)]
    assert fits
    asked = set(re.findall(r"<(\w+)>", " ".join(look)))
    assert asked <= {*re.compile(pattern).groupindex}
    for name, part in product(fits, asked):
        match = re.fullmatch(pattern, name)
        assert match and match[part], f"{part} is not in {name}"


@pytest.mark.parametrize("line", LINES)
def test_what_is_to_be_pasted_is_one_cell_of_names_that_exist(line: str) -> None:
    assert "<" not in line
    tree = ast.parse(line, mode="eval")
    known = {"rb": runbook_lib, "site": Site, "params": Params, "list": list}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            assert node.id in known
        if isinstance(node, ast.Attribute) and re.fullmatch(r"[\w.]+", dotted := ast.unparse(node)):
            first, *rest = dotted.split(".")
            thing: object = known[first]
            for name in rest:
                assert name in getattr(thing, "model_fields", ()) or hasattr(thing, name), dotted
                thing = Access if name == "access" else getattr(thing, name, None)


@pytest.mark.parametrize("line", LINES)
def test_what_is_to_be_pasted_shows_something_and_changes_nothing(line: str) -> None:
    assert re.match(r"rb\.(show|text|architecture)\(|site\.left\(\)", line)
    assert not re.search(r"apply|deliver|grant|register|join_wan|restart|\bstop\b|\bstart\b", line)
    for step in re.findall(r'"(\d\d_\w+)"', line):
        assert step in STEPS
    for path in re.findall(r"/(?:etc|var)/[\w./-]+", line):
        assert path not in {consul.WEB_FILE, "/etc/consul/agent.json"}, "it holds a secret"


def test_logs_are_where_the_programs_write_them() -> None:
    assert (CONSUL_LOG, TRAEFIK_LOG) == (consul_agent.LOG, traefik.LOG)


def test_those_who_share_causes_are_told_once() -> None:
    [first, second] = causes.advice(["gcp: voters", "AWS: AS number", "gcp: servers alive", "nobody knows this one"])
    assert first.about == ("gcp: voters", "gcp: servers alive")
    assert second.about == ("AWS: AS number",)
    assert 'site.hosts("consul", "gcp")[0]' in first.look[0]


def test_a_failed_check_tells_them_wherever_it_is_shown() -> None:
    voters, fine = equal("gcp: voters", ["a", "b"], ["a"]), equal("AWS: AS number", 64512, 64512)
    [advice] = causes.advice([voters.name])
    with pytest.raises(CheckFailed) as caught:
        require(voters, fine, step="01_bootstrap")
    shown = Checks([voters, fine])
    for text in (str(caught.value), repr(shown)):
        assert str(advice) in text
        assert "AS number: likely" not in text
    html = shown._repr_html_()
    assert advice.causes[0] in html and "</table></div><p><b>gcp: voters</b>" in html
    assert "tail -n 50 /var/log/consul/consul.log" in html
    assert "AS number</b>" not in html


def test_checks_that_agree_need_no_causes() -> None:
    agreed = Checks([equal("gcp: voters", 3, 3)])
    assert "likely" not in repr(agreed) and "likely" not in agreed._repr_html_()
