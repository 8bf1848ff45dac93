"""Solutions of the exercises of runbook_lib/exercises/resilience.py."""

from __future__ import annotations

from runbook_lib import consul, wait
from runbook_lib.checks import require
from runbook_lib.errors import AccessError
from runbook_lib.exercises.looking import standing
from runbook_lib.exercises.resilience import CLOUD
from runbook_lib.exercises.serving import servers
from runbook_lib.resilience import until_whole
from runbook_lib.resources import Host
from runbook_lib.site import Site
from runbook_lib.states import SERVICE
from tests.exercises.own_service import PATIENCE, done
from tests.exercises.service import at_rest, put_back
from tests.exercises.solution import Solution


def consuls(site: Site) -> tuple[Host, ...]:
    return standing(site, "consul", CLOUD)


def leading(site: Site) -> Host:
    def look() -> list[Host]:
        return [one for one in consuls(site) if consul.leader(site.access, one).startswith(f"{one.private_ip}:")]

    [leader] = wait.until(
        look, lambda leaders: len(leaders) == 1, what="one leader", timeout=PATIENCE, tolerate=(AccessError,)
    )
    return leader


def stop(site: Site, *wanted: Host, unit: str = "consul") -> None:
    for host in wanted:
        site.access.run(host, f"systemctl stop {unit}")


def mend(site: Site) -> None:
    """Start all that may have been stopped, and return once the deployment is whole."""
    for host in site.access.hosts:
        if host.role == "consul":
            site.access.run(host, "systemctl start consul")
        if host.role == "traefik":
            site.access.run(host, "systemctl start consul traefik")
    whole(site)


def whole(site: Site) -> None:
    require(until_whole(site))


# ---- 06-election -----------------------------------------------------------------------------------------


def elected(site: Site) -> None:
    """The leader is kept down. Killed first, as the hint has it, it might begin another life before it is stopped."""
    stop(site, leading(site))
    done(site, "06-election")


def killed_only(site: Site) -> None:
    """The service manager starts it again: another one leads, and nobody is down."""
    site.access.run(leading(site), "kill -KILL $(ps -C consul -o pid=)")
    whole(site)


def a_follower(site: Site) -> None:
    leader = leading(site)
    stop(site, next(host for host in consuls(site) if host != leader))


# ---- 06-quorum -------------------------------------------------------------------------------------------


def majority(site: Site) -> None:
    stop(site, *consuls(site)[1:])
    done(site, "06-quorum")


def one_in_each(site: Site) -> None:
    """Two servers, but of two datacenters: each keeps its majority."""
    stop(site, consuls(site)[0], standing(site, "consul", "gcp")[0])


def every_one(site: Site) -> None:
    stop(site, *consuls(site))


# ---- 06-blind --------------------------------------------------------------------------------------------


def balancers(site: Site) -> tuple[Host, ...]:
    return standing(site, "traefik", CLOUD)


def blind(site: Site) -> None:
    stop(site, balancers(site)[0])
    at_rest(site, CLOUD)
    done(site, "06-blind")


def blind_too_late(site: Site) -> None:
    """Both have heard of it already."""
    at_rest(site, CLOUD)
    wait.until(
        lambda: [len(servers(site, one, SERVICE)) for one in balancers(site)],
        lambda led: max(led) < len(standing(site, "web", CLOUD)),
        what="both load balancers to give it up",
        timeout=PATIENCE,
    )
    stop(site, balancers(site)[0])


def without_traefik(site: Site) -> None:
    """The load balancer itself is stopped: it leads nobody anywhere."""
    stop(site, balancers(site)[0], unit="traefik")
    at_rest(site, CLOUD)


def seeing(site: Site) -> None:
    put_back(site, CLOUD)
    mend(site)


SOLUTIONS: tuple[Solution, ...] = (
    Solution("06-election", elected, (killed_only, a_follower), mend),
    Solution("06-quorum", majority, (one_in_each, every_one), mend),
    Solution("06-blind", blind, (blind_too_late, without_traefik), seeing),
)
