"""Access control on real agents: who is refused what, and that strangers stay out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import httpx
import pytest

from runbook_lib import acl, bootstrap, consul, consul_agent, credentials, delivery, wait
from runbook_lib.access import Access
from runbook_lib.acl import Granted
from runbook_lib.certificates import Authority
from runbook_lib.credentials import Credentials, Role, Token
from runbook_lib.errors import AccessError, WaitTimeout
from runbook_lib.lab import tools
from runbook_lib.params import Params
from runbook_lib.resources import Host

TOOLS = {tool.name: tool.path for tool in tools.find()}  # found as the lab finds them
CONSUL = str(TOOLS["consul"] or "")
# Agents of two test processes must not meet: each process has a loopback network of its own.
NET = f"127.{4 + os.getpid() // 250 % 60}.{os.getpid() % 250}"


def test_every_token_but_the_one_that_makes_them_has_a_policy() -> None:
    for cloud in ("aws", "gcp"):
        assert {policy.role for policy in acl.policies(cloud)} == {*get_args(Role)} - {"management"}


def test_agents_may_write_their_own_kind_of_host_and_nobody_else_may() -> None:
    rules = {policy.role: policy.rules for policy in acl.policies("aws")}
    assert 'node_prefix "server-aws-consul-" {\n  policy = "write"' in rules["server"]
    assert {role for role, text in rules.items() if "node" in text and 'policy = "write"' in text} == {
        "server",
        "client",
        "operator",  # agents, not nodes
    }
    assert "gcp" not in "".join(rules.values())
    assert rules["web"] == 'service "demo" {\n  policy = "write"\n}\n'
    assert "write" not in rules["traefik"] + rules["names"]


# ---- real agents, set up with the very files that hosts get ----------------------------------------------------


def _of(changes: dict[str, Any], name: str) -> dict[str, Any]:
    """Take one change out."""
    return {name: changes.pop(name)} if name in changes else {}


@dataclass
class Agents:
    """A server and a client of a datacenter on loopback addresses, started with a host's own configuration."""

    folder: Path
    params: Params
    held: Credentials
    running: list[subprocess.Popen[bytes]]

    def host(self, number: int, role: str) -> Host:
        name = {"consul": "server-aws-consul-1", "web": "server-aws-test-1"}.get(role, role)
        return Host(name, "aws", role, "z", self.params.aws_region, f"i-{number}", f"{NET}.{number}", None, "running")

    def start(self, host: Host, **changes: Any) -> Path:
        """Start an agent as the host's files say; ``changes`` replace keys of its secrets.

        Returns:
            its log.
        """
        home = self.folder / host.private_ip
        home.mkdir()
        config = bootstrap.consul_config(self.params, "aws", host.role, host.name)
        config |= {
            "datacenter": host.datacenter,
            "data_dir": str(home / "data"),
            "bind_addr": host.private_ip,
            "client_addr": host.private_ip,
            "retry_join": [f"{NET}.1"],
            "enable_syslog": False,
        }
        config |= {"bootstrap_expect": 1} if host.role == "consul" else {}
        secrets = next(f.content for f in delivery.files(self.held, host) if f.path == bootstrap.SECRETS)
        own = {k: v for k, v in {**json.loads(secrets), **_of(changes, "encrypt")}.items() if v is not None}
        (home / "secrets.json").write_text(json.dumps(own))
        authority = changes.pop("authority", self.held.authority)
        (home / "authority.pem").write_text(self.held.authority.certificate)
        (home / "agent.pem").write_text(authority.issue(delivery.names(host)))
        config |= {"ca_file": str(home / "authority.pem")}
        config |= {"cert_file": str(home / "agent.pem"), "key_file": str(home / "agent.pem")}
        config |= changes
        (home / "config.json").write_text(json.dumps(config))
        log = home / "log"
        with log.open("wb") as output:
            command = [CONSUL, "agent", f"-config-file={home}/config.json", f"-config-file={home}/secrets.json"]
            self.running.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
        return log

    def ask(self, host: Host, path: str, token: Token | None = None) -> httpx.Response:
        headers = {"X-Consul-Token": token.secret} if token else {}
        return httpx.get(f"http://{host.private_ip}:8500{path}", headers=headers, trust_env=False)

    def put(self, host: Host, path: str, token: Token, content: Any) -> int:
        headers = {"X-Consul-Token": token.secret}
        url = f"http://{host.private_ip}:8500{path}"
        return httpx.put(url, headers=headers, json=content, trust_env=False).status_code

    @property
    def tokens(self) -> Any:
        return self.held.tokens[self.params.aws_region]

    @property
    def access(self) -> Access:
        """The way to the agents without SSH, which has tests of its own."""

        def forward(host: Host, port: int) -> Any:
            return nullcontext(SimpleNamespace(host=host.private_ip, port=port))

        return cast(Access, SimpleNamespace(params=self.params, credentials=self.held, forward=forward))


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    folder = tmp_path_factory.mktemp("agents")
    params = Params(keys=str(folder / "keys"), timeout=30)
    held = credentials.of(params)
    assert held is not None
    found = Agents(folder, params, held, [])
    try:
        found.start(found.host(1, "consul"))
        yield found
    finally:
        for process in found.running:
            process.kill()
        for process in found.running:
            process.wait(10)


@pytest.fixture(scope="module")
def granted(agents: Agents) -> tuple[Granted, ...]:
    return acl.grant(agents.access, agents.host(1, "consul"))


@pytest.fixture(scope="module")
def server(agents: Agents, granted: tuple[Granted, ...]) -> Host:
    host = agents.host(1, "consul")
    consul.until_ready(agents.access, [host])
    return host


@pytest.mark.lab
@pytest.mark.skipif(not CONSUL, reason="needs consul: make setup fetches it")
class TestAgents:
    def test_policies_and_tokens_are_made_once_and_mended(
        self, agents: Agents, granted: tuple[Granted, ...], server: Host
    ) -> None:
        assert {(one.policy, one.token) for one in granted} == {("created", "created")}
        again = acl.grant(agents.access, server)
        assert {(one.policy, one.token) for one in again} == {("kept", "kept")}
        with consul_agent.agent(agents.access, server, agents.tokens["management"]) as there:
            found = there.acl.policy.get(name="traefik")
            there.acl.policy.update(found["ID"], name="traefik", rules='key_prefix "" { policy = "write" }')
        mended = {one.role: one.policy for one in acl.grant(agents.access, server)}
        assert {role for role, what in mended.items() if what != "kept"} == {"traefik"}
        assert mended["traefik"] == "changed"

    def test_without_a_token_only_names_are_told(self, agents: Agents, server: Host) -> None:
        assert agents.ask(server, "/v1/catalog/service/consul").json(), "the agent's own token, for DNS"
        for path in ("/v1/agent/self", "/v1/operator/raft/configuration", "/v1/acl/tokens", "/v1/kv/x"):
            assert agents.ask(server, path).status_code in (403, 404), path
        assert agents.ask(server, "/v1/agent/self").status_code == 403

    def test_each_token_does_its_work_and_no_other(self, agents: Agents, server: Host) -> None:
        demo, other = {"Name": "demo", "Port": 80}, {"Name": "other", "Port": 80}
        tokens = agents.tokens
        assert agents.put(server, "/v1/agent/service/register", tokens["web"], demo) == 200
        assert agents.put(server, "/v1/agent/service/register", tokens["web"], other) == 403
        assert agents.put(server, "/v1/agent/service/register", tokens["traefik"], demo) == 403
        assert agents.ask(server, "/v1/catalog/services", tokens["traefik"]).json().keys() == {"consul", "demo"}
        assert agents.ask(server, "/v1/operator/raft/configuration", tokens["operator"]).status_code == 200
        assert agents.ask(server, "/v1/acl/tokens", tokens["operator"]).status_code == 403
        for role in ("server", "client", "web", "names", "traefik"):
            assert agents.ask(server, "/v1/operator/raft/configuration", tokens[role]).status_code == 403, role
            assert agents.put(server, "/v1/kv/x", tokens[role], 1) == 403, role
        stranger = Token("", "00000000-0000-4000-8000-000000000000")
        assert agents.ask(server, "/v1/agent/self", stranger).status_code == 403

    def test_a_client_with_its_files_joins_and_registers_itself(self, agents: Agents, server: Host) -> None:
        client = agents.host(2, "web")
        agents.start(client)
        consul.until_alive(agents.access, server, [client.name])
        nodes = wait.until(
            lambda: agents.ask(server, "/v1/catalog/node/server-aws-test-1", agents.tokens["operator"]).json(),
            lambda seen: bool(seen and seen["Node"].get("TaggedAddresses")),
            what="the client's own entry in the catalogue",
            timeout=30,
        )
        assert nodes["Node"]["Address"] == client.private_ip

    def test_without_the_gossip_key_nobody_joins(self, agents: Agents, server: Host) -> None:
        wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        self._stays_out(agents, server, 3, "No installed keys could decrypt", encrypt=wrong)
        self._stays_out(agents, server, 4, "Failed to join", encrypt=None)

    def test_with_a_strangers_certificate_nobody_is_served(self, agents: Agents, server: Host) -> None:
        client = agents.host(5, "web")
        stranger = Authority.new("a stranger")
        log = agents.start(client, authority=stranger, node_name="stranger")
        wait.until(
            log.read_text,
            lambda text: "bad certificate" in text or "unknown authority" in text or "unknown certificate" in text,
            what="the server to refuse the certificate",
            timeout=30,
            describe=lambda text: text[-1000:],
        )
        assert agents.ask(client, "/v1/catalog/nodes", agents.tokens["operator"]).status_code == 500

    def test_other_secrets_than_the_servers_are_told(self, agents: Agents, server: Host, tmp_path: Path) -> None:
        lost = credentials.of(Params(keys=str(tmp_path)))
        access = cast(Any, agents.access)
        access.credentials, access.params = lost, Params(timeout=1)
        with pytest.raises(WaitTimeout, match="server-aws-consul-1 to take the management token") as refused:
            acl.grant(access, server)
        assert "05_teardown" in refused.value.remedy
        with pytest.raises(AccessError, match="server-aws-consul-1"):
            consul.peers(access, server)

    def test_at_the_articles_level_nothing_is_granted(self, agents: Agents, server: Host) -> None:
        access = cast(Any, agents.access)
        access.credentials = None
        assert acl.grant(access, server) == ()

    @staticmethod
    def _stays_out(agents: Agents, server: Host, number: int, said: str, **changes: Any) -> None:
        name = f"stranger-{number}"
        log = agents.start(agents.host(number, "web"), node_name=name, **changes)
        logs: tuple[Callable[[], str], ...] = (log.read_text, (agents.folder / server.private_ip / "log").read_text)
        wait.until(
            lambda: "".join(read() for read in logs),
            lambda text: said in text,
            what=f"a refusal that says: {said}",
            timeout=30,
            describe=lambda text: text[-1000:],
        )
        assert name not in [member.name for member in consul.members(agents.access, server)]
