"""The matrix of the article's plain set-up, and of what `hardened` makes of it while it stands.

Nothing but the network and the hosts is needed, so that the hosts boot with next to nothing in a lab of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib import bootstrap, clouds, keys, matrix, provision, wait
from runbook_lib.lab import host
from runbook_lib.params import Params
from runbook_lib.plan import plan
from runbook_lib.resources import CloudName
from runbook_lib.site import Site
from runbook_lib.topology import topology

STEPS = ("00_provision", "01_bootstrap", "03_traefik", "04_test")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """Parameters for a lab of its own, which is ended for certain."""
    name = f"article-{os.getpid()}"
    try:
        lab, _ = host.up(name)
        home = Path(lab.home)
        yield Params(
            deployment="plain",
            security="article",
            aws_endpoint=lab.aws_endpoint,
            aws_credentials=str(home / "aws-credentials"),
            gcp_endpoint=lab.gcp_endpoint,
            gcp_credentials=str(home / "gcp-credentials.json"),
            internet_proxy=lab.internet_proxy,
            keys=str(tmp_path_factory.mktemp("article") / "keys"),
        )
    finally:
        host.down(name)


def script(params: Params, cloud: CloudName, role: str, name: str) -> str:
    """Bastions forward as they should; the others need not do anything."""
    return bootstrap.script(params, cloud, role, name) if role == "bastion" else "#!/bin/sh\n"


def stand(params: Params) -> Site:
    """Bring the deployment in line with the parameters, and open it."""
    wanted = topology(params, public_key=keys.operator_key(params).public_text, script=script)
    both = clouds.connect(params)
    for step in STEPS:
        provision.apply(plan(wanted, both.inventory(), step), both)
    site = Site(params, wanted, both)
    site.access.wait_for()
    return site


@pytest.fixture(scope="module")
def article(params: Params) -> Iterator[Site]:
    """The article's set-up, standing, its bastions forwarding."""
    site = stand(params)
    for bastion in site.hosts("bastion"):
        wait.until(
            lambda bastion=bastion: site.console(bastion),  # type: ignore[misc]
            lambda text: bootstrap.FINISHED in text,
            what=f"the boot of {bastion.name}",
            timeout=60,
        )
    yield site
    site.close()


def test_the_articles_firewall_lets_pass_what_its_table_says(article: Site) -> None:
    seen = wait.until(  # the tunnels may come last
        lambda: matrix.probe(article, article.hosts()),
        lambda seen: not (seen.intruders or seen.missing),
        what="the matrix of the article's table",
        timeout=60,
    )
    print(seen)  # noqa: T201 - what -rA and a failure show
    assert len(seen.expected) >= 2000
    assert 1000 < len(seen.arrived) < len(seen.expected) / 2


def test_hardening_a_standing_deployment_closes_the_rest(article: Site, params: Params) -> None:
    """By its rules alone: the same hosts, with the same addresses."""
    before = article.hosts()
    hardened = stand(params.model_copy(update={"security": "hardened"}))
    try:
        assert hardened.hosts() == before
        wait.until(
            lambda: matrix.probe(hardened),
            lambda seen: not (seen.intruders or seen.missing),
            what="the matrix of the hardened table",
            timeout=60,
        )
    finally:
        hardened.close()
