"""Which ports are open to whom, as both clouds' firewalls have it now, in one form for both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..resources import CloudName, Found
from ..site import Site

ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """What is let in.

    Args:
        to: groups or tags that are reached.
        ports: what is open, for example ``8301 tcp+udp``.
        sources: groups, tags and address ranges that may connect.
        note: what is special about it.
    """

    to: tuple[str, ...]
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    note: str = ""


def by_hand(site: Site) -> dict[str, Found]:
    """GCP's firewall rules in the deployment's network that are not the deployment's own: they count all the same.

    AWS's are rules of a group, and come with it; groups that are not the deployment's are not looked at.

    Raises:
        CloudError: the cloud does not answer.
    """
    from ..clouds.gcp.api import Api
    from ..clouds.gcp.kinds import to_found

    known = site.found()
    networks = {thing.attributes.get("self_link") for key, thing in known.items() if key.startswith("gcp:network:")}
    if not networks:
        return {}
    api = Api(site.params)
    client = api.client("FirewallsClient")
    listed = api.call("gcp firewall rules", lambda **asked: list(client.list(**asked)), {})
    every = [to_found("firewall", rule) for rule in listed if rule.network in networks]
    return {found.key: found for found in every if found.key not in known}


def openings(found: Mapping[str, Found], cloud: CloudName, deployment: str) -> list[Opening]:
    """A cloud's openings: rules of the same ports and sources are one.

    Args:
        found: what exists, rules made by hand among it.
        cloud: which cloud.
        deployment: its name, which is taken off names.
    """
    rules = _aws(found, deployment) if cloud == "aws" else _gcp(found, deployment)
    return sorted(_merged(rules))


def _merged(rules: Iterable[Opening]) -> Iterator[Opening]:
    """Those that differ in whom they let to only, as one."""
    together: dict[tuple[tuple[str, ...], tuple[str, ...], str], set[str]] = defaultdict(set)
    for rule in rules:
        together[rule.ports, rule.sources, rule.note] |= {*rule.to}
    for (ports, sources, note), to in together.items():
        yield Opening(tuple(sorted(to)), ports, sources, note)


def _aws(found: Mapping[str, Found], deployment: str) -> Iterator[Opening]:
    names = {
        thing.id: key.rpartition(":")[2].removeprefix(f"{deployment}-")
        for key, thing in found.items()
        if key.startswith("aws:security_group:")
    }
    for key, thing in found.items():
        if not key.startswith("aws:security_group_rules:"):
            continue
        to = (key.rpartition(":")[2].removeprefix(f"{deployment}-"),)
        by_port: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in thing.spec["ingress"]:
            by_port[_aws_port(one)].add(_source(str(one["source"]), names))
        by_source: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        for port, sources in by_port.items():
            by_source[tuple(sorted(sources))].append(port)
        for who, ports in by_source.items():
            yield Opening(to, _ports(ports), who)


def _aws_port(rule: Mapping[str, Any]) -> tuple[str, str]:
    """(protocol, port or range) of one ingress rule, as EC2 writes it: -1 stands for all."""
    protocol, low, high = str(rule["protocol"]), int(rule.get("low") or 0), int(rule.get("high") or 0)
    if protocol in ("-1", "all"):
        return "all", ""
    if protocol == "icmp":
        return "icmp", "echo" if low == 8 else ""  # 8 is the type of an echo request
    return protocol, "" if (low, high) in ((0, 65535), (-1, -1)) else str(low) if low == high else f"{low}-{high}"


def _gcp(found: Mapping[str, Found], deployment: str) -> Iterator[Opening]:
    for key, thing in found.items():
        rule = thing.spec
        if not key.startswith("gcp:firewall:") or rule.get("direction", "INGRESS") != "INGRESS":
            continue
        sources = [_source(one, {}) for one in (*rule.get("source_tags", ()), *rule.get("source_ranges", ()))]
        denied = bool(rule.get("denied"))
        ports = [
            (str(one.get("I_p_protocol", "all")), str(number))
            for one in rule.get("denied" if denied else "allowed", ())
            for number in (one.get("ports") or ("",))
        ]
        notes = ("denied" if denied else "", "switched off" if rule.get("disabled") else "", _own(key, deployment))
        to = tuple(sorted(rule.get("target_tags", ()))) or ("every host",)
        yield Opening(to, _ports(ports), tuple(sorted(sources)) or ("anywhere",), ", ".join(filter(None, notes)))


def _own(key: str, deployment: str) -> str:
    """What to say of a rule that has a name which the runbook does not give."""
    from ..topology.names import is_ours

    name = key.rpartition(":")[2]
    return "" if is_ours(deployment, "gcp:firewall", name) else f"rule {name}"


def _source(source: str, names: Mapping[str, str]) -> str:
    return "anywhere" if source in ANYWHERE else names.get(source, source)


def _ports(ports: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Ports with their protocols, one text a port; TCP alone needs no word."""
    protocols: dict[str, set[str]] = defaultdict(set)
    others = []
    for protocol, number in ports:
        if protocol in ("tcp", "udp") and number:
            protocols[number].add(protocol)
        else:
            others.append(" ".join(filter(None, ("all ports" if protocol == "all" else protocol, number))))
    numbers = sorted(protocols, key=lambda number: int(number.partition("-")[0]))
    return (*(f"{number} {'+'.join(sorted(protocols[number]))}" for number in numbers), *sorted(others))
