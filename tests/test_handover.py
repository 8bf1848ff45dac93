"""Leaving and entering a service: what happens when somebody does not answer. All else is tested on real hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runbook_lib import consul
from runbook_lib.errors import AccessError
from runbook_lib.handover import Handover
from runbook_lib.params import Params
from runbook_lib.resources import Found, Host


def host(name: str, role: str) -> Host:
    return Host(name, "aws", role, "us-west-2a", "us-west-2", f"i-{name}", "10.0.0.9", None, "running")


HOSTS = (
    host("bastion-aws", "bastion"),
    host("server-aws-consul-1", "consul"),
    host("server-aws-test-1", "web"),
    host("server-aws-consul-2", "consul"),
)
SERVER, WEB, OTHER = HOSTS[1:]


class Silence:
    """Hosts of which some do not answer: a fault that real ones do not show on command."""

    def __init__(self, *silent: str) -> None:
        self.silent = silent
        self.hosts = HOSTS
        self.params = Params(timeout=1)
        self.asked: list[str] = []

    def run(self, host: Host, command: str, **_: Any) -> None:
        self.asked.append(host.name)
        self.answer(host)

    def answer(self, host: Host) -> None:
        if host.name in self.silent:
            raise AccessError(f"{host.name} is not reached", resource=host.name)


def retire(monkeypatch: pytest.MonkeyPatch, access: Silence, members: Mapping[str, str], host: Host = WEB) -> None:
    def known(_: Any, host: Host, wan: bool = False) -> tuple[consul.Member, ...]:
        access.answer(host)
        return tuple(consul.Member(n, "10.0.0.9", s, "client", "us-west-2", "1.8.7") for n, s in members.items())

    monkeypatch.setattr(consul, "leave", lambda _, host: access.answer(host))
    monkeypatch.setattr(consul, "members", known)
    monkeypatch.setattr(consul, "peers", lambda access, host: access.answer(host))
    Handover(access, lambda: HOSTS, lambda _: host).retire(Found("aws:instance:x", host.id))  # type: ignore[arg-type]


def test_one_that_failed_has_left_already(monkeypatch: pytest.MonkeyPatch) -> None:
    retire(monkeypatch, Silence(WEB.name), {WEB.name: "failed"})


def test_one_that_serves_and_cannot_be_asked_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessError, match=WEB.name):
        retire(monkeypatch, Silence(WEB.name), {WEB.name: "alive"})


def test_a_datacenter_in_which_nobody_answers_counts_on_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Silence(WEB.name, SERVER.name, OTHER.name)
    retire(monkeypatch, access, {})
    assert "bastion-aws" in access.asked


def test_without_its_bastion_nothing_is_known_of_a_datacenter(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessError, match="bastion-aws"):
        retire(monkeypatch, Silence(*(host.name for host in HOSTS)), {})


def test_a_server_whose_cluster_never_came_up_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Silence(SERVER.name, OTHER.name)
    retire(monkeypatch, access, {}, SERVER)
    assert access.asked == ["bastion-aws"]
