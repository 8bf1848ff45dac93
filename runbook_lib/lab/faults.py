"""Ways to break a lab, and to mend it again.

What is broken is broken for real: processes get signals, disks fill up, packets are dropped. All of it lives in the
lab's own kernel objects and processes; nothing is written down anywhere, and nothing is left when the lab ends.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from . import abilities
from .errors import LabError
from .host import Lab

Target = Literal["cloud", "node", ""]
CLOUDS = ("aws", "gcp")
# What a node is there for: the first of these that runs on it. Every Traefik and web server has Consul's agent, too.
PROGRAMS = ("traefik", "apache2", "consul")
FILLER = "/var/tmp/lab-fault"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to break a lab.

    Args:
        target: what it is done to: a ``cloud``, a ``node``, or nothing in particular.
        does: what happens, for the command's help.
        ends: what makes it good again.
    """

    target: Target
    does: str
    ends: str


KINDS: Mapping[str, Kind] = {
    "leader": Kind("cloud", "kill the Consul server that leads the cloud's datacenter", "its service manager"),
    "quorum": Kind("cloud", "kill most of the cloud's Consul servers, and keep them down", "heal"),
    "kill": Kind("node", "kill what the node is for: Traefik, Apache or Consul", "its service manager"),
    "hang": Kind("node", "stop it in its tracks: it accepts connections and never answers", "heal"),
    "disk": Kind("node", "fill the node's disk", "heal"),
    "power": Kind(
        "node", "cut the node's power; its cloud then has it as stopped", "runbook run 00, or its cloud's API"
    ),
    "cloud": Kind("cloud", "drop all packets between the cloud's networks and the rest of the world", "heal"),
    "vpn": Kind("", "drop all packets between the two clouds' private networks", "heal"),
}


def inject(lab: Lab, kind: str, target: str = "") -> str:
    """Break something; what is broken so already stays so.

    Args:
        lab: where.
        kind: one of ``KINDS``.
        target: a cloud or a node, as the kind wants it.

    Returns:
        what was done, in a sentence.

    Raises:
        LabError: no such kind or target, or nothing there to break.
    """
    _check(lab, kind, target)
    if kind == "leader":
        leader = _leader(lab, target)
        return _signal(lab, leader, ("consul",), "KILL")
    if kind == "quorum":
        return "; ".join(_keep_down(lab, node) for node in most(_servers(lab, target), _leader(lab, target)))
    if kind == "kill":
        return _signal(lab, lab.node(target), PROGRAMS, "KILL")
    if kind == "hang":
        return _signal(lab, lab.node(target), PROGRAMS, "STOP")
    if kind == "disk":
        # The file grows until the kernel says that no space is left.
        said = _inside(lab, lab.node(target), f"cat /dev/zero >>{FILLER} 2>/dev/null; df -h --output=avail /var")
        return f"{lab.node(target)['name']}: {said.split()[-1]} left on its disk"
    if kind == "power":
        node = lab.node(target)
        lab.enter(node)  # says so if it is not running
        _run([*lab.inside(), "kill", "-KILL", str(node["pid"])])
        return f"{node['name']}: switched off"
    clouds = CLOUDS if kind == "vpn" else (target,)
    rules = between(*(_subnets(lab, cloud) for cloud in CLOUDS)) if kind == "vpn" else alone()
    return _load(lab, clouds, rules, "cut off")


def heal(lab: Lab, kind: str, target: str = "") -> str:
    """Mend what ``inject`` broke; what is whole stays so.

    Args and raises as ``inject``.
    """
    _check(lab, kind, target)
    if KINDS[kind].ends != "heal":
        raise LabError(f"{kind} is not healed by hand", remedy=f"what makes it good again: {KINDS[kind].ends}")
    if kind == "quorum":
        start = "[ ! -e /etc/systemd/system/consul.service ] || systemctl start consul"
        nodes = [node for node in lab.nodes() if node["cloud"] == target and node["state"] == "running"]
        for node in nodes:
            _inside(lab, node, start)
        return f"consul is started on all of {target}"
    if kind == "hang":
        return _signal(lab, lab.node(target), PROGRAMS, "CONT")
    if kind == "disk":
        said = _inside(lab, lab.node(target), f"rm -f {FILLER}; df -h --output=avail /var")
        return f"{lab.node(target)['name']}: {said.split()[-1]} left on its disk"
    return _load(lab, CLOUDS if kind == "vpn" else (target,), gone(kind), "joined again")


# ---- pure ------------------------------------------------------------------------------------------------


def alone() -> str:
    """Rules for a router: only its own machines (interfaces m1, m2, …) are heard and spoken to."""
    return gone("cloud") + (
        "table inet fault_cloud {\n"
        "  chain arriving {\n    type filter hook prerouting priority raw; policy accept;\n"
        '    iifname != "lo" iifname != "m*" counter drop\n  }\n'
        "  chain leaving {\n    type filter hook postrouting priority filter; policy accept;\n"
        '    oifname != "lo" oifname != "m*" counter drop\n  }\n}\n'
    )


def between(some: Iterable[str], others: Iterable[str]) -> str:
    """Rules for a router: nothing passes between two groups of subnets, whatever joins them."""
    here, there = (f"{{ {', '.join(sorted(subnets))} }}" for subnets in (some, others))
    return gone("vpn") + (
        "table inet fault_vpn {\n"
        "  chain arriving {\n    type filter hook prerouting priority raw; policy accept;\n"
        f"    ip saddr {here} ip daddr {there} counter drop\n"
        f"    ip saddr {there} ip daddr {here} counter drop\n  }}\n}}\n"
    )


def gone(kind: str) -> str:
    """Rules that take a fault's table away, whether it is there or not."""
    return f"table inet fault_{kind}\ndelete table inet fault_{kind}\n"


def most(servers: Iterable[Mapping[str, Any]], leader: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The smallest number of servers without which the others have no majority, the leader among them."""
    ordered = sorted(servers, key=lambda node: (node["id"] != leader["id"], node["name"]))
    return ordered[: (len(ordered) + 1) // 2]


# ---- underneath ------------------------------------------------------------------------------------------


def _check(lab: Lab, kind: str, target: str) -> None:
    if kind not in KINDS:
        raise LabError(f"there is no fault called {kind!r}", remedy=f"one of: {', '.join(KINDS)}")
    wanted = KINDS[kind].target
    if wanted == "cloud" and target not in CLOUDS:
        raise LabError(f"{kind} is for a cloud, not for {target or 'nothing'}", remedy=f"one of: {', '.join(CLOUDS)}")
    if wanted == "node" and not target:
        names = ", ".join(node["name"] for node in lab.nodes()) or "none is up"
        raise LabError(f"{kind} is for a node, and none is named", remedy=f"name one of: {names}")
    if wanted == "" and target:
        raise LabError(f"{kind} takes no node or cloud, but {target} is named", remedy="leave it out")


def _servers(lab: Lab, cloud: str) -> list[dict[str, Any]]:
    """The cloud's Consul servers, as an agent there knows them."""
    addresses = {peer.rpartition(":")[0] for peer in _status(lab, cloud, "peers")}
    return [node for node in lab.nodes() if node["cloud"] == cloud and node["private_ip"] in addresses]


def _leader(lab: Lab, cloud: str) -> dict[str, Any]:
    address = str(_status(lab, cloud, "leader")).rpartition(":")[0]
    return next(node for node in lab.nodes() if node["cloud"] == cloud and node["private_ip"] == address)


def _status(lab: Lab, cloud: str, question: str) -> Any:
    """What the first of the cloud's agents that knows an answer says: Consul's status needs no token."""
    for node in lab.nodes():
        if node["cloud"] == cloud and node["state"] == "running":
            ask = f"curl -sf --max-time 2 http://127.0.0.1:8500/v1/status/{question} || true"
            if answer := json.loads(_inside(lab, node, ask) or "null"):
                return answer
    raise LabError(
        f"no agent in {cloud} knows of a leader",
        remedy=f"is Consul up there (runbook run 00 01), or its quorum lost (runbook lab heal quorum {cloud})?",
    )


def _keep_down(lab: Lab, node: Mapping[str, Any]) -> str:
    """Kill, and stop the service before its manager starts it again."""
    _signal(lab, node, ("consul",), "KILL")
    _inside(lab, node, "systemctl stop consul")
    return f"{node['name']}: consul killed and kept down"


def _signal(lab: Lab, node: Mapping[str, Any], programs: Iterable[str], signal: str) -> str:
    """Send a signal to all processes of the first program that runs there."""
    names = tuple(programs)
    script = "\n".join(
        f'pids=$(ps -C {name} -o pid=); [ -z "$pids" ] || {{ kill -{signal} $pids; echo {name}; exit 0; }}'
        for name in names
    )
    program = _inside(lab, node, script).strip()
    if not program:
        raise LabError(
            f"none of {', '.join(names)} runs on {node['name']}",
            remedy="run the step that starts it, or look what runs there: "
            f"runbook lab exec --name {lab.name} {node['name']} -- ps aux",
        )
    return f"{node['name']}: SIG{signal} to {program}"


def _subnets(lab: Lab, cloud: str) -> list[str]:
    found = [subnet for network in lab.networks() if network["cloud"] == cloud for subnet in network["subnets"]]
    if not found:
        raise LabError(f"{cloud} has no network", remedy="make one first: runbook run 00")
    return found


def _load(lab: Lab, clouds: Iterable[str], rules: str, word: str) -> str:
    """Give rules to the routers of these clouds' networks."""
    wanted = tuple(clouds)
    for cloud in wanted:
        _subnets(lab, cloud)  # says so if there is none
    for network in lab.networks():
        if network["cloud"] in wanted:
            _run([*lab.inside(), "nsenter", f"--net=/run/netns/{network['router']}", "--", "nft", "-f", "-"], rules)
    return f"{' and '.join(wanted)}: {word}"


def _inside(lab: Lab, node: Mapping[str, Any], script: str) -> str:
    return _run([*lab.enter(node), "sh", "-c", script])


def _run(words: list[str], text: str = "") -> str:
    path = os.pathsep.join([abilities.SYSTEM_PATH, os.environ.get("PATH", "")])
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": path}, check=False
    )
    if done.returncode != 0:
        raise LabError(f"{words[-1]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
