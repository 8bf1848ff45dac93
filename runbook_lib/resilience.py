"""Ways to break a deployment, each an experiment: what is done, what is expected meanwhile, what mends it.

Most are done over SSH or through the clouds' APIs, on real clouds as in the lab. What no cloud lets its user do, to cut
a cloud or the VPN off, is done by commands that the caller names.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import consul, display, experiment
from .checks import Check, Checks, equal, is_true
from .errors import PrerequisiteError, WaitTimeout
from .experiment import Experiment
from .plan import Action, Plan
from .resources import CLOUDS, CloudName, Host
from .site import Site
from .states import SERVICE, STEP, alone, of, other, standing, unanswered, wan, whole
from .together import each

_FULL = "No space left on device"
# Fills a disk to its last byte, at once where the file system can; `run` removes it.
FILLER = "/var/tmp/runbook-fills-the-disk"
_FILL = (
    f"fallocate -l $(df -B1 --output=avail /var/tmp | tail -n 1) {FILLER} 2>/dev/null; "
    f"cat /dev/zero >>{FILLER} 2>/dev/null; test $(df -B1 --output=avail /var/tmp | tail -n 1) -lt 65536"
)


# ---- the results -----------------------------------------------------------------------------------------------


def table(seen: Iterable[Experiment]) -> object:
    """The experiments side by side: every figure is counted or measured by them."""
    return display.show([one.row for one in seen], "What broke, and what came of it")


def said(seen: Experiment, most: int = 25) -> object:
    """What Consul and Traefik said meanwhile; what the most hosts agree on first, so many lines at most."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for line in seen.said:
        hosts.setdefault((line.program, line.text), []).append(f"{line.host} {line.times}")
    rows = sorted(hosts.items(), key=lambda item: -len(item[1]))[:most]
    lines = [{"program": program, "said": text, "by": by} for (program, text), by in rows]
    return display.show(lines, f"Said meanwhile: {len(rows)} of {len(hosts)} different lines")


def until_whole(site: Site, timeout: float = 300) -> Checks:
    """``whole``, once all of it agrees. A server tries every two to three minutes which servers of the other datacenter
    answer (Consul's ``agent/router``: connections are used for 120 to 180 s); one that tried while none did refuses
    questions until it tries again.

    Args:
        site: the deployment, with its test servers.
        timeout: seconds after which the last look counts, whatever it sees.

    Raises:
        PrerequisiteError: there are no test servers.
        AccessError: the last look found somebody who does not answer.
    """
    try:
        return experiment.until(site, "all to be whole", lambda: whole(site), timeout)[1]
    except WaitTimeout:
        return Checks(whole(site))


# ---- the experiments -------------------------------------------------------------------------------------------


def leader_killed(site: Site, cloud: CloudName) -> Experiment:
    """SIGKILL to the Consul server that leads a datacenter."""
    hosts = standing(site)
    servers = of(hosts, "consul", cloud)
    address = consul.leader(site.access, servers[0]).rpartition(":")[0]
    [leader] = [host for host in servers if host.private_ip == address]
    return _restarted(site, f"leader of {site.datacenter(cloud)} killed", leader, "consul", spared=hosts)


def traefik_killed(site: Site, name: str) -> Experiment:
    """SIGKILL to a load balancer's Traefik."""
    hosts = standing(site)
    host = _named(hosts, name)
    others = [other for other in hosts if other != host]
    return _restarted(site, f"Traefik of {name} killed", host, "traefik", spared=others)


def quorum_lost(site: Site, cloud: CloudName, *, seconds: float = 15) -> Experiment:
    """SIGKILL to as many servers of a datacenter as the others need for a majority; they are kept down for a while."""
    hosts = standing(site)
    servers = of(hosts, "consul", cloud)
    killed, left = servers[: (len(servers) + 1) // 2], servers[(len(servers) + 1) // 2 :]
    webs = [host.name for host in of(hosts, "web", cloud)]

    def kill() -> None:
        for host in killed:
            _signal(site, host, "consul", "KILL")
            site.access.run(host, "systemctl stop consul")

    def start() -> None:
        for host in killed:
            site.access.run(host, "systemctl start consul")

    def during() -> Iterator[Check]:
        for host in left:
            yield equal(f"{host.name}: its leader", "", consul.leader(site.access, host))
            yield unanswered(site, host, f"{host.name}: {SERVICE}, asked as usual")
            known = consul.catalog(site.access, host, SERVICE, stale=True)
            yield equal(f"{host.name}: {SERVICE}, asked with stale", webs, [i.node for i in known])

    return experiment.run(
        site,
        f"{len(killed)} of {len(servers)} servers of {site.datacenter(cloud)} killed",
        kill,
        during=during,
        expected=experiment.rotation(site, hosts),
        spared=_names(hosts, "traefik"),
        whole=lambda: whole(site),
        mend=start,
        hand="systemctl start consul",
        seconds=seconds,
    )


def bastion_replaced(site: Site, cloud: CloudName) -> Experiment:
    """A bastion is destroyed through its cloud's API; 00_provision makes another."""
    hosts = standing(site)
    [bastion] = of(hosts, "bastion", cloud)
    key = f"{cloud}:instance:{site.params.deployment}-{bastion.name}"
    found = site.found()
    exchange = Action("replace", key, "destroyed on purpose", site.topology.by_key[key], found[key])
    plan = Plan(STEP, (exchange,), found, site.topology)
    # One yes to both halves: without the second, the deployment would be left with a hole.
    site.approve(plan)

    def destroy() -> None:
        site.close()  # nobody comes by this bastion any more
        with site.alone(STEP):
            site.clouds[cloud].destroy(found[key])

    def during() -> Iterator[Check]:
        yield equal(f"bastions of {cloud}", [], [host.name for host in site.hosts("bastion", cloud)])
        yield wan(site, hosts, other(cloud))

    def replace() -> None:
        site.apply(site.plan("00_provision"), mends=plan)
        site.close()  # what was kept leads to the old one
        site.access.wait_for()

    def mended() -> Iterator[Check]:
        [now] = site.hosts("bastion", cloud)
        yield is_true(f"{bastion.name} is another instance", now.id != bastion.id)
        yield from whole(site)

    return experiment.run(
        site,
        f"{bastion.name} destroyed",
        destroy,
        during=during,
        expected=experiment.rotation(site, hosts),
        spared=_names(hosts, "traefik"),
        whole=mended,
        mend=replace,
        hand="00_provision",
    )


def web_server_hangs(site: Site, name: str, *, seconds: float = 10) -> Experiment:
    """A web server accepts connections and never answers: all its processes are stopped in their tracks."""
    hosts = standing(site)
    host = _named(hosts, name)
    server = of(hosts, "consul", host.cloud)[0]

    def during() -> Iterator[Check]:
        status = {i.node: i.status for i in consul.health(site.access, server, SERVICE)}
        yield equal(f"{name}: its check", "critical", status.get(name, ""))

    return experiment.run(
        site,
        f"{name} hangs",
        lambda: _signal(site, host, "apache2", "STOP"),
        during=during,
        expected=experiment.rotation(site, hosts, without=[host]),
        spared=_names([h for h in hosts if h.cloud != host.cloud], "traefik"),
        whole=lambda: whole(site),
        mend=lambda: _signal(site, host, "apache2", "CONT"),
        hand="SIGCONT to Apache",
        seconds=seconds,
    )


def disk_full(site: Site, name: str, *, seconds: float = 10) -> Experiment:
    """A host's disk is filled to its last byte."""
    hosts = standing(site)
    host = _named(hosts, name)

    def during() -> Iterator[Check]:
        write = site.access.run(host, "dd if=/dev/zero of=/var/tmp/one bs=64k count=1; rm -f /var/tmp/one", check=False)
        yield is_true(f"{name}: a write", _FULL in write.stderr, _FULL)
        yield from whole(site)

    return experiment.run(
        site,
        f"disk of {name} full",
        lambda: site.access.run(host, _FILL, timeout=600),
        during=during,
        expected=experiment.rotation(site, hosts),
        spared=_names(hosts, "traefik"),
        whole=lambda: whole(site),
        mend=lambda: site.access.run(host, f"rm -f {FILLER}"),
        hand="space was made",
        seconds=seconds,
    )


def cloud_unreachable(site: Site, cloud: CloudName, cut: str, join: str, *, seconds: float = 30) -> Experiment:
    """Nothing passes between a cloud's network and the rest of the world.

    Args:
        site: the deployment.
        cloud: which.
        cut: a command line that does it; ``{NAME}`` in it stands for the parameter of that name.
        join: one that undoes it.
        seconds: how long it lasts at least.

    Raises:
        PrerequisiteError: a command is not there, or fails.
    """
    hosts = standing(site)
    normal = experiment.rotation(site, hosts)
    lost = _names([host for host in hosts if host.cloud == cloud], "traefik")

    def isolate() -> None:
        site.close()  # a connection that is kept would wait for its own time-outs, not for the network
        command(site, cut)

    return experiment.run(
        site,
        f"{cloud} unreachable",
        isolate,
        during=lambda: alone(site, hosts, other(cloud)),
        expected={name: frozenset() if name in lost else servers for name, servers in normal.items()},
        spared=normal.keys() - lost,
        whole=lambda: whole(site),
        mend=lambda: command(site, join),
        hand=join.partition(" -")[0],
        seconds=seconds,
    )


def vpn_cut(site: Site, cut: str, join: str, *, seconds: float = 30) -> Experiment:
    """Nothing passes between the two clouds' private networks. Arguments and errors as ``cloud_unreachable``."""
    hosts = standing(site)

    def during() -> Iterator[Check]:
        for checks in each(lambda cloud: tuple(alone(site, hosts, cloud)), CLOUDS):
            yield from checks

    return experiment.run(
        site,
        f"VPN cut for {seconds:g} s",
        lambda: command(site, cut),
        during=during,
        expected=experiment.rotation(site, hosts),
        spared=_names(hosts, "traefik"),
        whole=lambda: whole(site),
        mend=lambda: command(site, join),
        hand=join.partition(" -")[0],
        seconds=seconds,
    )


def command(site: Site, line: str) -> str:
    """Run a command line on the operator's machine and return what it printed.

    Args:
        site: whose parameters ``{NAME}`` in the line stands for.
        line: words as a shell splits them. The first may also be a program of this Python's environment.

    Raises:
        PrerequisiteError: there is no such program, or it fails.
    """
    words = [word.format(**site.params.model_dump()) for word in shlex.split(line)]
    program = shutil.which(words[0]) or shutil.which(words[0], path=str(Path(sys.executable).parent))
    if program:
        done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return done.stdout
    raise PrerequisiteError(
        "the command that cuts off or joins does not work here",
        step=STEP,
        resource=shlex.join(words),
        expected="exit status 0",
        seen=f"exit status {done.returncode}: {done.stderr.strip()}" if program else f"no program {words[0]}",
        remedy="runbook lab works in the lab only; elsewhere name a command of your own, or leave this experiment out",
    )


# ---- underneath ------------------------------------------------------------------------------------------------


def _restarted(site: Site, fault: str, host: Host, program: str, *, spared: Iterable[Host]) -> Experiment:
    """A program is killed; its service manager starts it again."""
    before = site.access.run(host, f"ps -C {program} -o pid=").stdout.split()

    def during() -> Iterator[Check]:
        now = site.access.run(host, f"ps -C {program} -o pid=", check=False).stdout.split()
        yield is_true(f"{host.name}: {program} runs again", now and not set(now) & set(before))
        yield from whole(site)

    return experiment.run(
        site,
        fault,
        lambda: _signal(site, host, program, "KILL"),
        during=during,
        expected=experiment.rotation(site, site.access.hosts),
        spared=_names(spared, "traefik"),
        whole=lambda: whole(site),
    )


def _signal(site: Site, host: Host, program: str, signal: str) -> None:
    site.access.run(host, f"kill -{signal} $(ps -C {program} -o pid=)")


def _named(hosts: Iterable[Host], name: str) -> Host:
    return next(host for host in hosts if host.name == name)


def _names(hosts: Iterable[Host], role: str) -> frozenset[str]:
    return frozenset(host.name for host in hosts if host.role == role)
