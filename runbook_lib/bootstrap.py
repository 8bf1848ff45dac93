"""Role -> the script an instance boots with, and the configuration files inside it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from . import releases
from .params import Params
from .resources import CloudName

# What each role's script is made of, in order.
PARTS: dict[str, tuple[str, ...]] = {
    "bastion": (),
    "consul": ("consul",),
    "traefik": ("consul", "traefik"),
    "web": ("web", "consul"),
}
# How an agent finds its datacenter's servers: it asks the cloud's API for instances so tagged.
RETRY_JOIN: dict[CloudName, str] = {
    "gcp": "provider=gce tag_value=consul-servers",
    "aws": "provider=aws tag_key=Consul tag_value=server",
}
# Each cloud's own DNS resolver, as its instances see it. GCP's is the metadata server; AWS has a
# separate address for it (Amazon VPC User Guide, "Amazon DNS server").
RESOLVER: dict[CloudName, str] = {"gcp": "169.254.169.254", "aws": "169.254.169.253"}
# The last line of a script that ran to its end, as it stands in the console output and in the boot record.
FINISHED = "runbook: boot finished"
BOOT_RECORD = "/run/runbook-boot"
# Where hosts keep what the runbook brings them over SSH (``delivery``). Only the accounts that need them read these.
SECRETS = "/etc/consul/secrets.json"
TLS = "/etc/consul/tls"
TRAEFIK_TOKEN = "/etc/traefik/consul.token"
TRAEFIK_USERS = "/etc/traefik/users"


def digest(script: str) -> str:
    """What a script is known by where it cannot be read: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def written_for(script: str) -> tuple[str, str] | None:
    """(deployment, node) that a boot script says it is for; ``None`` if it is none of ours."""
    found = re.search(r"^# Boot script of (\S+) \(\w+\) in \w+, deployment (\S+)\.$", script, re.MULTILINE)
    return (found[2], found[1]) if found else None


def script(params: Params, cloud: CloudName, role: str, node_name: str) -> str:
    """The boot script of one instance.

    Args:
        params: the deployment's parameters.
        cloud: where the instance runs.
        role: ``bastion``, ``consul``, ``traefik`` or ``web``.
        node_name: its name in Consul, for example ``server-gcp-consul-1``.

    Raises:
        KeyError: for a role that does not exist.
    """
    parts = PARTS[role]
    if role == "bastion" and cloud == "gcp":
        parts = ("nat",)  # AWS has a NAT gateway for this; on GCP it is the bastion
    environment = Environment(
        loader=PackageLoader("runbook_lib"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - shell, not HTML
    )
    return environment.get_template("boot.sh.j2").render(
        cloud=cloud,
        role=role,
        node_name=node_name,
        deployment=params.deployment,
        parts=parts,
        resolver=RESOLVER[cloud],
        releases={program: _release(params, program) for program in releases.PROGRAMS},
        private_network=params.gcp_private_subnet,
        hardened=params.security == "hardened",
        boot_record=BOOT_RECORD,
        secrets=SECRETS,
        traefik_token=TRAEFIK_TOKEN,
        consul_config=json.dumps(consul_config(params, cloud, role, node_name), indent=2),
        traefik_config=traefik_text(params).rstrip(),
        dashboard_config=yaml.safe_dump(dashboard_config(), sort_keys=False).rstrip(),
    )


def _release(params: Params, program: releases.Program) -> str:
    """The words after ``release`` in a script: program, version, URL of the archive, its checksums."""
    version, given = getattr(params, f"{program}_version"), getattr(params, f"{program}_sha256")
    where = releases.url(program, version, "$(dpkg --print-architecture)", params.release_mirror)
    return f'{program} {version} "{where}" "{" ".join(releases.checksums(program, version, given))}"'


def consul_config(params: Params, cloud: CloudName, role: str, node_name: str) -> dict[str, Any]:
    """Consul's configuration; ``$ADDRESS`` and ``$DATACENTER`` are filled in by the script on the instance."""
    config: dict[str, Any] = {
        "node_name": node_name,
        "datacenter": "$DATACENTER",
        "data_dir": "/var/consul",
        "log_level": "INFO",
        "enable_syslog": True,
        "bind_addr": "$ADDRESS",
        "client_addr": "127.0.0.1",
        "retry_join": [RETRY_JOIN[cloud]],
        "retry_interval": f"{params.consul_retry_interval}s",
    }
    if role == "consul":
        config |= {
            "server": True,
            "ui": True,
            "bootstrap_expect": bootstrap_expect(params),
            "retry_interval_wan": f"{params.consul_retry_interval}s",
            "performance": {"raft_multiplier": params.consul_raft_multiplier},
        }
    if params.security == "article":
        config["client_addr"] = "0.0.0.0"  # noqa: S104 - the article's; the firewall decides who gets here
        return config
    return config | {
        # Gossip is encrypted with the key in SECRETS. Agents speak TLS with each other and show certificates of the
        # deployment's authority; whoever answers as a server must show one that says so. HTTP stays plain: it listens
        # on the loopback address alone.
        "ca_file": f"{TLS}/authority.pem",
        "cert_file": f"{TLS}/agent.pem",
        "key_file": f"{TLS}/agent.pem",
        "verify_incoming_rpc": True,
        "verify_outgoing": True,
        "verify_server_hostname": True,
        # No token, no right. An agent that cannot reach its servers goes on with what it knew of a token.
        "acl": {"enabled": True, "default_policy": "deny", "down_policy": "extend-cache"},
    }


def bootstrap_expect(params: Params) -> int:
    """How many servers elect the first leader: the article's three, or one. Further ones join those.

    The number is of use to a cluster that has never had a leader. If it grew with the servers, adding two would replace
    the three that are there.
    """
    return min(3, params.consul_servers)


def traefik_config(params: Params) -> dict[str, Any]:
    """Traefik's static configuration: the article's four settings in version 3's words."""
    hardened = params.security == "hardened"
    return {
        "entryPoints": {"http": {"address": ":80"}, "traefik": {"address": ":8080"}},
        # The dashboard answers on the entry point called "traefik"; the firewall leaves it to the bastion. "insecure"
        # means that nobody is asked for a password there.
        "api": {"dashboard": True, "insecure": not hardened},
        "log": {"level": "INFO"},
        "accessLog": {"filePath": "/var/log/traefik/access.log"},
        "providers": {
            **({"file": {"filename": "/etc/traefik/dashboard.yml"}} if hardened else {}),
            "consulCatalog": {
                "endpoint": {"address": "127.0.0.1:8500"},
                "watch": True,
                "prefix": "traefik",
                "defaultRule": "Host(`{{ normalize .Name }}." + params.domain + "`)",
                # Only what is tagged for it is published: the article's constraint, on the raw tag.
                "exposedByDefault": True,
                "constraints": "Tag(`traefik.tags=exposed`)",
                # A server whose check fails leaves the rotation.
                "strictChecks": ["passing"],
            },
        },
    }


def dashboard_config() -> dict[str, Any]:
    """Traefik's routes to its own dashboard and API: on their entry point alone, with a password."""
    return {
        "http": {
            "routers": {
                "dashboard": {
                    "entryPoints": ["traefik"],
                    "rule": "PathPrefix(`/`)",
                    "service": "api@internal",
                    "middlewares": ["password", "start-page"],
                }
            },
            "middlewares": {
                "password": {"basicAuth": {"usersFile": TRAEFIK_USERS, "removeHeader": True}},
                "start-page": {"redirectRegex": {"regex": "^(https?://[^/]+)/$", "replacement": "${1}/dashboard/"}},
            },
        }
    }


def traefik_text(params: Params) -> str:
    """Traefik's static configuration as the file says it."""
    return yaml.safe_dump(traefik_config(params), sort_keys=False)
