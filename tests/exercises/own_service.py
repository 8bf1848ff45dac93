"""What several solutions do: a service of one's own, with a token that may register it, and waiting until it tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from runbook_lib import wait
from runbook_lib.consul_agent import agent
from runbook_lib.exercises import check
from runbook_lib.exercises.looking import standing
from runbook_lib.exercises.serving import instances
from runbook_lib.resources import CloudName, Host
from runbook_lib.site import Site

TAG = "traefik.tags=exposed"
# Seconds in which Traefik has taken over what is new in the catalogue: its providersThrottleDuration is two.
TAKEN = 4.0
PATIENCE = 60.0  # seconds


def done(site: Site, name: str) -> None:
    """Return once an exercise is done; what somebody did takes its time to show."""
    wait.until(lambda: check(site, name), lambda seen: seen.done, what=name, timeout=PATIENCE)


def token(site: Site, cloud: CloudName, service: str) -> str:
    """A token of one's own that may register a service, made with the management token; empty where none is asked."""
    held = site.access.credentials
    if held is None:
        return ""
    server = standing(site, "consul", cloud)[0]
    with agent(site.access, server, held.tokens[server.datacenter]["management"]) as there:
        wanted = {"Description": service, "ServiceIdentities": [{"ServiceName": service}]}
        return str(there.acl.tokens.create(wanted)["SecretID"])


def take_back(site: Site, cloud: CloudName, service: str) -> None:
    """Delete the tokens that ``token`` made."""
    held = site.access.credentials
    if held is None:
        return
    server = standing(site, "consul", cloud)[0]
    with agent(site.access, server, held.tokens[server.datacenter]["management"]) as there:
        for one in there.acl.tokens.list():
            if one["Description"] == service:
                there.acl.tokens.delete(one["AccessorID"])


def define(
    site: Site, wanted: Iterable[Host], name: str, port: int, *, tags: Iterable[str] = (TAG,), secret: str, **more: Any
) -> None:
    """Lay a service's definition beside the others on these hosts, and let their agents read it."""
    probe = {"http": f"http://127.0.0.1:{port}/", "interval": "1s", "timeout": "3s"}
    service = {"name": name, "port": port, "tags": list(tags), "token": secret, "check": probe, **more}
    text = json.dumps({"service": service})
    for host in wanted:
        site.access.put(host, text, f"/etc/consul/{name}.json", mode="0640", owner="root:consul")
        site.access.run(host, "systemctl reload consul")


def until_passing(site: Site, cloud: CloudName, service: str, count: int = 1) -> None:
    """Return once so many instances pass, and Traefik has had its time."""
    wait.until(
        lambda: [one for one in instances(site, cloud, service) if one.passing],
        lambda seen: len(seen) == count,
        what=f"{count} of {service} passing",
        timeout=PATIENCE,
    )
    time.sleep(TAKEN)


def undefine(site: Site, wanted: Iterable[Host], name: str) -> None:
    """Take the definition away, where there is one."""
    for host in wanted:
        site.access.run(host, f"[ ! -e /etc/consul/{name}.json ] || {{ rm /etc/consul/{name}.json; {RELOAD}; }}")


RELOAD = "systemctl reload consul"


def until_gone(site: Site, cloud: CloudName, service: str) -> None:
    """Return once the catalogue has the service no more."""
    wait.until(
        lambda: instances(site, cloud, service),
        lambda seen: not seen,
        what=f"{service} to be gone",
        timeout=PATIENCE,
    )
