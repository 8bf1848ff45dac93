"""Secrets on their way to hosts: which file each role gets, and laying them down over SSH.

Boot scripts hold no secret, as whoever may describe an instance can read them. They leave Consul and Traefik set up
but not started; with these files in place they start, now and at every later boot.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import wait
from .access import Access
from .bootstrap import BOOT_RECORD, FINISHED, SECRETS, TLS, TRAEFIK_TOKEN, TRAEFIK_USERS
from .credentials import Credentials
from .errors import AccessError
from .resources import Host
from .together import each

AGENT = f"{TLS}/agent.pem"
CONSOLE_LINES = 10  # of a boot that failed, in its error: the command that did is mostly among the last few


@dataclass(frozen=True, slots=True)
class File:
    """A file for a host; its content is secret."""

    path: str
    owner: str
    mode: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one host was given: files that are new or different now, and the services (re)started for them."""

    host: str
    files: tuple[str, ...]
    restarted: tuple[str, ...]


def names(host: Host) -> tuple[str, ...]:
    """The names in a host's certificate. An agent that asks a server insists on ``server.DATACENTER.consul``."""
    kind = "server" if host.role == "consul" else "client"
    return (f"{kind}.{host.datacenter}.consul", "localhost")


def files(held: Credentials, host: Host) -> tuple[File, ...]:
    """What a host of a role gets, but for its certificate. Pure; none for a bastion."""
    if host.role == "bastion":
        return ()
    tokens = held.tokens[host.datacenter]
    own = {"agent": tokens["server" if host.role == "consul" else "client"].secret, "default": tokens["names"].secret}
    if host.role == "consul":
        # With it the first leader starts access control; Consul 1.11 calls it initial_management, and takes both.
        own["master"] = tokens["management"].secret
    config = {"encrypt": held.gossip_key, "acl": {"tokens": own}}
    found = [
        File(f"{TLS}/authority.pem", "root:root", "0644", held.authority.certificate),
        File(SECRETS, "root:consul", "0640", json.dumps(config, indent=2) + "\n"),
    ]
    if host.role == "traefik":
        found += [
            File(TRAEFIK_TOKEN, "root:traefik", "0640", tokens["traefik"].secret),
            File(TRAEFIK_USERS, "root:traefik", "0640", held.dashboard_users),
        ]
    return tuple(found)


def services(host: Host) -> tuple[str, ...]:
    """The services that wait for a host's secrets, in the order in which they start."""
    return {"consul": ("consul",), "web": ("consul",), "traefik": ("consul", "traefik")}.get(host.role, ())


def deliver(access: Access, hosts: Iterable[Host]) -> tuple[Delivered, ...]:
    """Give hosts their secrets and start what waits for them; what is right already is left alone.

    At the article's level there are none, and services start by themselves; boot scripts are waited for all the same.

    Args:
        access: the way to the hosts, with the deployment's secrets.
        hosts: which; bastions get nothing.

    Raises:
        WaitTimeout: a boot script does not end.
        AccessError: a boot script failed, or a host is not reached.
    """
    held = access.credentials
    wanted = [host for host in hosts if services(host)]
    if not wanted:
        return ()
    each(lambda host: until_booted(access, host), wanted)
    return each(lambda host: _one(access, held, host), wanted) if held else ()


def until_booted(access: Access, host: Host) -> None:
    """Return once a host's boot script has run to its end.

    Raises:
        WaitTimeout: it does not end.
        AccessError: it failed.
    """
    said = wait.until(
        lambda: access.run(host, f"cat {BOOT_RECORD} 2>/dev/null || true"),
        lambda result: bool(result.stdout.strip()),
        what=f"the boot script of {host.name} to end",
        timeout=access.params.timeout,
        remedy=f"read the console output of {host.name}",
        describe=lambda result: "it is running",
        tolerate=(AccessError,),
    ).stdout.strip()
    if said != FINISHED:
        raise AccessError(
            f"the boot script of {host.name} failed",
            resource=host.name,
            expected=FINISHED,
            seen="\n".join([said, *console_end(access.console(host))]),
            remedy="mend what the console output tells. If that changes its boot script, the next run replaces the"
            f" instance; if not, end {host.id} in {host.cloud} by hand, and the next run makes it anew",
        )


def console_end(text: str) -> list[str]:
    """The last lines of a console's output, empty ones left out. Pure."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [f"console: {line}" for line in lines[-CONSOLE_LINES:]]


def _one(access: Access, held: Credentials, host: Host) -> Delivered:
    given = [*files(held, host)]
    present = access.run(host, f"sed -n '/BEGIN CERT/,/END CERT/p' {AGENT} 2>/dev/null || true").stdout
    if not held.authority.accepts(present, names(host)):
        given.append(File(AGENT, "root:consul", "0640", held.authority.issue(names(host))))
    changed = _put(access, host, given)
    return Delivered(host.name, changed, services(host) if changed else ())


# Unpacked beside their places, compared, and moved there only where they differ: no reader sees half a file. The
# restart belongs to the same command, so that a connection that breaks leaves no service on the files of before; what
# never had its secrets has not run yet, and is not restarted while the host's own start of it is under way.
_UNPACK = """set -eu
new=$(mktemp -d /etc/.runbook.XXXXXX); trap 'rm -rf "$new"' EXIT; cd "$new"
tar --extract --same-owner --same-permissions --touch
find . -type d | while read -r folder; do [ -d "/$folder" ] || install -d -m 0755 "/$folder"; done
verb=start; [ ! -e SECRETS ] || verb=restart
changed=$(find . -type f | while read -r file; do
  cmp -s "$file" "/$file" || { mv -f "$file" "/$file"; echo "${file#.}"; }
done)
[ -n "$changed" ] || verb=start
systemctl $verb UNITS
echo "$changed"
"""


def _put(access: Access, host: Host, given: Iterable[File]) -> tuple[str, ...]:
    """Lay files down and (re)start what waits for them, all in one go; the paths of those that were not as given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in given:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(file.content), int(file.mode, 8)
            entry.uname, entry.gname = file.owner.split(":")
            archive.addfile(entry, io.BytesIO(file.content.encode("ascii")))
    script = _UNPACK.replace("UNITS", " ".join(services(host))).replace("SECRETS", SECRETS)
    return tuple(sorted(access.run(host, script, text=buffer.getvalue().decode("ascii")).stdout.split()))
