"""Who may do what in Consul: one policy a role, and the token that carries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import wait
from .access import Access
from .consul_agent import agent
from .credentials import Credentials, Role, Token
from .errors import AccessError
from .resources import CloudName, Host


@dataclass(frozen=True, slots=True)
class Policy:
    """What one role may do, in Consul's rule language (HCL)."""

    role: Role
    why: str
    rules: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What ``grant`` came to for one role: ``created``, ``changed`` or ``kept``."""

    role: str
    policy: str
    token: str
    why: str


def policies(cloud: CloudName) -> tuple[Policy, ...]:
    """The policies of one cloud's datacenter. Everything that no policy allows is denied.

    An agent may write the entries of hosts of its own kind, and nobody else's.
    """
    reads = _rule("node_prefix", "", "read") + _rule("service_prefix", "", "read")
    servers = _rule("node_prefix", f"server-{cloud}-consul-", "write")
    others = "".join(_rule("node_prefix", f"server-{cloud}-{word}-", "write") for word in ("traefik", "test"))
    services = _rule("service_prefix", "", "read")
    return (
        Policy("server", "a server's agent keeps the catalogue's entry of its own host", servers + services),
        Policy("client", "any other agent keeps the entry of its own host", others + services),
        Policy("names", "DNS, and what an agent answers without a token", reads),
        Policy("traefik", "Traefik reads who offers what", reads),
        Policy("web", "web servers register the demo service", _rule("service", "demo", "write")),
        Policy(
            "operator",
            "the runbook looks at everything, joins pools and reloads agents",
            'operator = "read"\nkeyring = "read"\n' + _rule("agent_prefix", "", "write") + reads,
        ),
    )


def grant(access: Access, host: Host) -> tuple[Granted, ...]:
    """Bring the policies and tokens of a server's datacenter in line with ``policies``, changing only the difference.

    Nothing at the article's level, where nobody is refused anything.

    Args:
        access: the way to the hosts, with the deployment's secrets.
        host: one of the datacenter's servers.

    Raises:
        WaitTimeout: the servers do not take the management token: they have no leader, or know another one.
        AccessError: Consul refuses a policy or token.
    """
    held = access.credentials
    if held is None:
        return ()
    management = held.tokens[host.datacenter]["management"]
    found_policies, found_tokens = wait.until(
        lambda: _look(access, host, management),
        lambda _: True,
        what=f"{host.name} to take the management token",
        timeout=access.params.timeout,
        remedy="is there a leader? If these servers were set up with other secrets, replace them: 05_teardown, then"
        " the steps again",
        # Access control is set up by the first leader, a moment after its election.
        tolerate=(AccessError,),
    )
    with agent(access, host, management) as there:
        return tuple(
            Granted(
                policy.role,
                _set_policy(there, policy, found_policies.get(policy.role)),
                _set_token(there, policy, token, found_tokens.get(token.accessor)),
                policy.why,
            )
            for policy, token in _wanted(held, host)
        )


def _wanted(held: Credentials, host: Host) -> Iterator[tuple[Policy, Token]]:
    return ((policy, held.tokens[host.datacenter][policy.role]) for policy in policies(host.cloud))


def _look(access: Access, host: Host, management: Token) -> tuple[dict[str, Any], dict[str, Any]]:
    """The datacenter's policies by name and tokens by accessor."""
    with agent(access, host, management) as there:
        return (
            {item["Name"]: item for item in there.acl.policy.list()},
            {item["AccessorID"]: item for item in there.acl.tokens.list()},
        )


def _set_policy(there: Any, policy: Policy, found: Mapping[str, Any] | None) -> str:
    wanted = {"name": policy.role, "description": policy.why, "rules": policy.rules}
    if found is None:
        there.acl.policy.create(**wanted)
        return "created"
    seen = there.acl.policy.get(policy_id=found["ID"])  # the list is without the rules
    if (seen["Rules"], seen["Description"]) == (policy.rules, policy.why):
        return "kept"
    there.acl.policy.update(found["ID"], **wanted)
    return "changed"


def _set_token(there: Any, policy: Policy, token: Token, found: Mapping[str, Any] | None) -> str:
    payload = {
        "AccessorID": token.accessor,
        "SecretID": token.secret,
        "Description": policy.why,
        "Policies": [{"Name": policy.role}],
    }
    if found is None:
        there.acl.tokens.create(payload)
        return "created"
    if [held["Name"] for held in found["Policies"] or ()] == [policy.role] and found["Description"] == policy.why:
        return "kept"
    there.acl.tokens.update(payload, token.accessor)
    return "changed"


def _rule(resource: str, name: str, policy: str) -> str:
    return f'{resource} "{name}" {{\n  policy = "{policy}"\n}}\n'
