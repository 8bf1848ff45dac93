"""Looks that several exercises take: hosts that must be there, commands on them, connections between them. The answers
are told in one or two words, so that a row of a table can hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..consul_agent import LOG
from ..errors import PrerequisiteError
from ..resources import CloudName, Host
from ..site import Site
from ..together import each
from ..topology import STEP_OF_ROLE

T = TypeVar("T")
S = TypeVar("S")
LABEL = {"aws": "AWS", "gcp": "GCP"}
# What became of an attempt to connect.
ANSWERS, REFUSED, SILENCE = "answers", "refused", "silence"
_START = "==> Starting Consul agent"


def other(cloud: CloudName) -> CloudName:
    """The other cloud."""
    return "gcp" if cloud == "aws" else "aws"


def standing(site: Site, role: str, cloud: CloudName, least: int = 1) -> tuple[Host, ...]:
    """The hosts of a role in a cloud.

    Args:
        site: the deployment.
        role: which.
        cloud: where.
        least: how many the exercise needs.

    Raises:
        PrerequisiteError: there are fewer.
    """
    found = tuple(host for host in site.access.hosts if (host.role, host.cloud) == (role, cloud))
    if len(found) < least:
        step = STEP_OF_ROLE[role]
        raise PrerequisiteError(
            f"the exercise needs more than there is of what {step} makes",
            resource=f"{role} in {LABEL[cloud]}",
            expected=f"{least} or more",
            seen=", ".join(host.name for host in found) or "none",
            remedy=f"run {step}, which does no harm, with parameters that ask for as many",
        )
    return found


def require_hardened(site: Site) -> None:
    """For exercises about rules that the article's level of security does not have.

    Raises:
        PrerequisiteError: the deployment is at that level.
    """
    if site.params.security != "hardened":
        raise PrerequisiteError(
            "the exercise is about rules that the article does not have",
            resource="security",
            expected="hardened",
            seen=site.params.security,
            remedy="set the parameter security to hardened, and run the notebooks again",
        )


def together(*looks: Callable[[], Any]) -> tuple[Any, ...]:
    """What several looks see, all taken at the same time; the first error is raised once all have ended."""
    return each(lambda look: look(), looks)


def some(names: Iterable[str], most: int = 4) -> list[str]:
    """The first few of many names, and how many more there are."""
    every = list(names)
    return every if len(every) <= most else [*every[:most], f"and {len(every) - most} more"]


def said(site: Site, host: Host, command: str) -> str:
    """What a command prints on a host, whatever its exit status.

    Raises:
        AccessError: the host is not reached.
    """
    return site.access.run(host, command, check=False).stdout.strip()


def private_address(site: Site, host: Host) -> str:
    """A host's private address; the bastions of a given network are asked for theirs."""
    return host.private_ip or said(site, host, "hostname -I").partition(" ")[0]


def connection(site: Site, host: Host, address: str, port: int, seconds: float) -> str:
    """What becomes of a TCP connection from a host to an address: ``ANSWERS``, ``REFUSED`` or ``SILENCE``.

    A port that nobody listens on is refused by the host itself; one that a firewall closes stays silent.
    """
    attempt = f"timeout {seconds:g} bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>&1; echo $?"
    told = said(site, host, attempt)
    if "refused" in told:
        return REFUSED
    return ANSWERS if told == "0" else SILENCE


def resolved(site: Site, host: Host, name: str) -> tuple[str, ...]:
    """IPv4 addresses of a name as a host resolves it; none if that takes longer than three seconds."""
    lines = said(site, host, f"timeout 3 getent ahostsv4 {name}").splitlines()
    return tuple(sorted({line.split()[0] for line in lines if line.strip()}))


def lives(site: Site, host: Host, pattern: str) -> tuple[tuple[str, ...], ...]:
    """The lines of an agent's log that match, oldest first, by the lives of its process; the last is the present one.

    Args:
        site: the deployment.
        host: whose agent.
        pattern: an extended regular expression, without single quotes.
    """
    every: list[list[str]] = []
    for line in said(site, host, f"grep -E '^{_START}|{pattern}' {LOG}").splitlines():
        if re.match(_START, line):
            every.append([])
        elif every:
            every[-1].append(line)
    return tuple(map(tuple, every))
