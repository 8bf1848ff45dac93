"""Which secrets a deployment has, and that they stay the same and out of sight."""

from __future__ import annotations

import base64
import uuid
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import bcrypt
import pytest

from runbook_lib import credentials
from runbook_lib.credentials import Credentials, Role
from runbook_lib.params import Params

DATACENTERS = ("us-west-2", "europe-west1")


@pytest.fixture
def held(tmp_path: Path) -> Credentials:
    found = credentials.of(Params(keys=str(tmp_path)))
    assert found is not None
    return found


def secrets_in(value: Any) -> set[str]:
    """Every text in a record that its ``repr`` is to leave out."""
    if isinstance(value, dict):
        return set().union(*map(secrets_in, value.values()))
    if not hasattr(value, "__dataclass_fields__"):
        return set()
    found = {str(getattr(value, f.name)) for f in fields(value) if not f.repr}
    return found.union(*(secrets_in(getattr(value, f.name)) for f in fields(value)))


def test_the_same_ones_ever_after(held: Credentials, tmp_path: Path) -> None:
    assert credentials.of(Params(keys=str(tmp_path))) == held
    other = credentials.of(Params(keys=str(tmp_path), deployment="other"))
    assert other is not None
    assert not secrets_in(other) & secrets_in(held), "another deployment has secrets of its own"


def test_the_article_s_level_has_none_and_makes_none(tmp_path: Path) -> None:
    assert credentials.of(Params(keys=str(tmp_path), security="article")) is None
    assert not list(tmp_path.iterdir())


def test_one_token_a_role_and_datacenter_but_for_those_that_cross(held: Credentials) -> None:
    first, second = (held.tokens[datacenter] for datacenter in DATACENTERS)
    assert set(first) == set(second) == set(get_args(Role))
    assert {role for role in first if first[role] == second[role]} == {"names", "operator"}
    every = [token.secret for tokens in (first, second) for token in tokens.values()]
    assert len(set(every)) == 2 * len(first) - 2
    for secret in every:
        assert str(uuid.UUID(secret)) == secret  # the form that Consul takes


def test_a_lost_store_finds_its_tokens_again_by_their_accessors(tmp_path: Path, held: Credentials) -> None:
    anew = credentials.of(Params(keys=str(tmp_path / "empty")))
    assert anew is not None
    for datacenter in DATACENTERS:
        for role, token in held.tokens[datacenter].items():
            assert anew.tokens[datacenter][role].accessor == token.accessor
            assert anew.tokens[datacenter][role].secret != token.secret


def test_the_gossip_key_is_what_consul_takes(held: Credentials) -> None:
    assert len(base64.b64decode(held.gossip_key, validate=True)) == 32


def test_traefik_s_line_holds_the_password_it_does_not_tell(held: Credentials) -> None:
    user, _, hashed = held.dashboard_users.strip().partition(":")
    assert user == credentials.DASHBOARD_USER
    assert bcrypt.checkpw(held.dashboard_password.encode(), hashed.encode())
    assert held.dashboard_password not in held.dashboard_users


def test_no_secret_is_printed(held: Credentials) -> None:
    shown, found = repr(held), secrets_in(held)
    assert len(found) > 10
    assert not [secret for secret in found if secret in shown]
