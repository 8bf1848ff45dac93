"""Solutions of the exercises of runbook_lib/exercises/service.py."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from runbook_lib import consul, sdk, wait
from runbook_lib.exercises.looking import standing
from runbook_lib.exercises.service import CLOUD, NAME
from runbook_lib.exercises.serving import Instance, instances
from runbook_lib.resources import CLOUDS, CloudName, Host
from runbook_lib.site import Site
from runbook_lib.states import SERVICE
from tests.exercises.own_service import (
    PATIENCE,
    TAG,
    TAKEN,
    define,
    done,
    take_back,
    token,
    undefine,
    until_gone,
    until_passing,
)
from tests.exercises.solution import Solution

# The token that may register the demo service stands in its definition; it is read there and shown nowhere.
AS_THE_SERVICE = 'CONSUL_HTTP_TOKEN=$(sed -n \'s/.*"token": "\\(.*\\)".*/\\1/p\' /etc/consul/web.json) '


def webs(site: Site, cloud: CloudName = CLOUD) -> tuple[Host, ...]:
    return standing(site, "web", cloud)


def until_critical(site: Site, cloud: CloudName = CLOUD) -> None:
    """Return once one of the web servers is not passing, and Traefik has had its time."""

    def failing() -> list[Instance]:
        return [one for one in instances(site, cloud, SERVICE) if not one.passing]

    wait.until(failing, bool, what=f"{SERVICE} to fail on a web server", timeout=PATIENCE)
    time.sleep(TAKEN)


def put_back(site: Site, rested: CloudName = CLOUD) -> None:
    """Every web server serves, is registered, and its check passes."""
    for host in webs(site, rested):
        site.access.run(host, "systemctl start demo-web")
        site.access.run(host, AS_THE_SERVICE + f"consul maint -disable -service={SERVICE}", check=False)
    every = [host for cloud in CLOUDS for host in webs(site, cloud)]
    consul.register(site.access, every)
    for cloud in CLOUDS:
        until_passing(site, cloud, SERVICE, len(webs(site, cloud)))


# ---- 04-tag ----------------------------------------------------------------------------------------------


def second_service(site: Site, clouds: Iterable[CloudName] = CLOUDS, tag: str = TAG) -> None:
    for cloud in clouds:
        define(site, webs(site, cloud)[:1], NAME, 80, tags=[tag], secret=token(site, cloud, NAME))
        until_passing(site, cloud, NAME)


def in_both(site: Site) -> None:
    second_service(site)
    done(site, "04-tag")


def in_one_only(site: Site) -> None:
    second_service(site, ["aws"])


def in_place_of_the_first(site: Site) -> None:
    """Registered as the notebook does it, with its file and its token: demo is lost, and shop is refused."""
    every = [host for cloud in CLOUDS for host in webs(site, cloud)]
    consul.register(site.access, every, consul.web_service(NAME))
    until_gone(site, CLOUD, SERVICE)


def without_the_second(site: Site) -> None:
    for cloud in CLOUDS:
        undefine(site, webs(site, cloud), NAME)
        until_gone(site, cloud, NAME)  # the agent gives it up with the token that is taken back then
        take_back(site, cloud, NAME)
    put_back(site)


# ---- 04-maintenance --------------------------------------------------------------------------------------


def at_rest(site: Site, cloud: CloudName = CLOUD) -> None:
    command = f"consul maint -enable -service={SERVICE} -reason=exercise"
    site.access.run(webs(site, cloud)[0], AS_THE_SERVICE + command)
    until_critical(site, cloud)


def in_maintenance(site: Site) -> None:
    at_rest(site)
    done(site, "04-maintenance")


def stopped(site: Site) -> None:
    site.access.run(webs(site)[0], "systemctl stop demo-web")
    until_critical(site)


def unregistered(site: Site) -> None:
    site.access.run(webs(site)[0], f"rm {consul.WEB_FILE} && systemctl reload consul")
    until_passing(site, CLOUD, SERVICE, len(webs(site)) - 1)


# ---- 04-check --------------------------------------------------------------------------------------------


def wrong_page(site: Site) -> None:
    """The check asks for a page that there is not."""
    host = webs(site)[0]
    held = json.loads(site.access.run(host, f"cat {consul.WEB_FILE}").stdout)
    held["service"]["check"]["http"] += "nothing"
    site.access.put(host, json.dumps(held, indent=2) + "\n", consul.WEB_FILE, mode="0640", owner="root:consul")
    site.access.run(host, "systemctl reload consul")
    done(site, "04-check")


# ---- 04-port ---------------------------------------------------------------------------------------------


def closed(site: Site, rule: str = "web") -> None:
    """Take away the rule by which load balancers reach web servers."""
    client = sdk.gcp(site.params, "Firewalls")
    client.delete(project=site.params.gcp_project, firewall=f"{site.params.deployment}-{rule}")


def port_closed(site: Site) -> None:
    closed(site)
    done(site, "04-port")


def to_the_public(site: Site) -> None:
    """The rule of the same port that is one too far outside: visitors reach no load balancer."""
    closed(site, "traefik")


def every_one_stopped(site: Site) -> None:
    for host in webs(site):
        site.access.run(host, "systemctl stop demo-web")
    until_critical(site)


def rules_again(site: Site) -> None:
    site.apply(site.plan("00_provision"))
    put_back(site)


SOLUTIONS: tuple[Solution, ...] = (
    Solution("04-tag", in_both, (in_one_only, in_place_of_the_first), without_the_second),
    Solution("04-maintenance", in_maintenance, (stopped, unregistered), put_back),
    Solution("04-check", wrong_page, (stopped, at_rest), put_back),
    Solution("04-port", port_closed, (to_the_public, every_one_stopped), rules_again),
)
