"""The secrets of a deployment: which there are, made at first need, the same ones ever after."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .certificates import Authority
from .params import Params
from .secret_store import SecretStore, open_store

# Consul's tokens, one a role in each datacenter: a token that is stolen in one is of no use in the other.
#   management  lays down policies and tokens; servers know it, the runbook uses it for nothing else
#   server      a server's agent keeps its own entry of the catalogue
#   client      any other host's agent keeps its own
#   traefik     reads the catalogue
#   web         registers the demo service
# Two are the same in both datacenters, as their questions cross:
#   names       what an agent answers without a token: DNS, and consul members
#   operator    the runbook's own, with which the notebooks ask
Role = Literal["management", "server", "client", "traefik", "web", "names", "operator"]
ROLES: tuple[Role, ...] = ("management", "server", "client", "traefik", "web", "names", "operator")
_SHARED = ("names", "operator")
DASHBOARD_USER = "operator"
# Not secret, so derived: a token is found again by it. Any fixed namespace would do.
_ACCESSORS = uuid.UUID("6f2f8a3c-6a55-4b0e-9d43-5f0a3c1e7b21")


@dataclass(frozen=True, slots=True)
class Token:
    """One of Consul's tokens.

    Args:
        accessor: its public identifier.
        secret: what is sent with a request.
    """

    accessor: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """All secrets that the runbook makes for a deployment, but for the SSH key.

    Args:
        gossip_key: 32 bytes in base64, one for both datacenters, as their servers share the WAN pool.
        authority: signs the agents' certificates.
        tokens: datacenter -> role -> token.
        dashboard_password: of ``DASHBOARD_USER`` at Traefik's dashboard.
        dashboard_users: the same as a line of Traefik's ``usersFile``.
    """

    gossip_key: str = field(repr=False)
    authority: Authority
    tokens: Mapping[str, Mapping[Role, Token]]
    dashboard_password: str = field(repr=False)
    dashboard_users: str = field(repr=False)


def of(params: Params) -> Credentials | None:
    """The deployment's secrets, made where they are missing; ``None`` at the article's level, which has none.

    Raises:
        ParameterError: there is no such secret store.
        PrerequisiteError: the store cannot be used.
    """
    if params.security == "article":
        return None
    return collect(params, open_store(params))


def collect(params: Params, store: SecretStore) -> Credentials:
    """As ``of``, out of a given store."""

    def kept(name: str, make: Callable[[], str]) -> str:
        found = store.get(name)
        return store.add(name, make()) if found is None else found

    def token(name: str) -> Token:
        accessor = uuid.uuid5(_ACCESSORS, f"{params.deployment}/{name}")
        return Token(
            str(accessor),
            kept(f"consul-token.{name}", lambda: str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))),
        )

    password = kept("dashboard-password", lambda: secrets.token_urlsafe(24))
    return Credentials(
        gossip_key=kept("gossip-key", lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii")),
        authority=Authority.parse(
            kept("authority", lambda: Authority.new(f"Consul agents of {params.deployment}").text)
        ),
        tokens={
            datacenter: {role: token(role if role in _SHARED else f"{datacenter}.{role}") for role in ROLES}
            for datacenter in (params.aws_region, params.gcp_region)
        },
        dashboard_password=password,
        dashboard_users=kept("dashboard-users", lambda: _users_line(password)),
    )


def _users_line(password: str) -> str:
    import bcrypt  # only the run that makes the password needs it

    # The password is 192 bits at random: no guessing, so the hash need not be slow, and each request checks it.
    hashed = bcrypt.hashpw(password.encode("ascii"), bcrypt.gensalt(rounds=4)).decode("ascii")
    return f"{DASHBOARD_USER}:{hashed}\n"
