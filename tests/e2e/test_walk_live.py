"""What somebody in JupyterLab has besides: views that refresh, pages one click away, cells that can be interrupted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import nbformat
import pytest
import yaml

from tests.e2e.operators import Operator
from tests.e2e.records import Run
from tests.sessions import LONG, Session, until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
OPEN = "import runbook_lib as rb\nsite = rb.open_site(rb.Params.parse({values}, source='test'))"
SERVER, BALANCER, WEB = "server-gcp-consul-1", "server-gcp-traefik-1", "server-gcp-test-1"
AGENT = "http://127.0.0.1:8500/v1/agent/service"
VIEWS = "import threading; [t.name for t in threading.enumerate() if t.name.startswith('runbook live')]"
AGAIN = "again = rb.live.members(site)"
WORKERS = "import threading; [t.name for t in threading.enumerate() if t.name.startswith('ThreadPool')]"


def opened(operator: Operator, **values: object) -> Session:
    """A kernel in which the deployment is open."""
    session = Session(**{name: operator.environment[name] for name in ("RUNBOOK_OUTPUT",)})
    given = yaml.safe_load(operator.params.read_text()) | values
    assert not [
        output for output in session.run(OPEN.format(values=given), timeout=180) if output.output_type == "error"
    ]
    return session


@pytest.fixture
def session(operator: Operator, walk: Run) -> Iterator[Session]:
    with opened(operator) as session:
        yield session


def result(outputs: list[nbformat.NotebookNode]) -> str:
    """The text of a cell's only result."""
    [text] = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    return str(text)


def views(session: Session) -> list[str]:
    """The threads by which views refresh."""
    return eval(result(session.run(VIEWS)))


def by_hand(operator: Operator, call: str, body: str = "") -> None:
    """A call of an agent's API on a web server, with the token that may register services."""
    token = operator.runbook("secret", "consul-token.europe-west1.web", "-f", operator.params).stdout.strip()
    command = f"curl -sSf -X PUT -H 'X-Consul-Token: {token}' {AGENT}/{call} -d '{body}'"
    assert operator.inside(WEB, command).returncode == 0


def test_a_view_shows_what_changes_and_keeps_what_it_showed_last(operator: Operator, session: Session) -> None:
    session.run("view = rb.live.catalog(site)", watched=True)
    first = session.until_shown("as of", WEB, ":80 ")
    assert "new" not in first
    by_hand(operator, "register", '{"Name": "demo", "ID": "by-hand", "Port": 81}')
    try:
        marked = session.until_shown(":81 ", "new (just now)")
        assert [line.split()[2] for line in marked.splitlines() if "just now" in line] == [WEB]
    finally:
        by_hand(operator, "deregister/by-hand")
    session.until_shown(":81 ", "gone")
    assert len(views(session)) == 1
    session.run("view.stop()", watched=True)
    assert "(stopped)" in session.shown[-1] and "gone" in session.shown[-1] and WEB in session.shown[-1]
    until(lambda: not views(session))  # a look that is under way is not waited for


def test_a_second_view_replaces_the_first_and_the_record_holds_both(operator: Operator, session: Session) -> None:
    session.run("view = rb.live.members(site)", watched=True)
    session.until_shown("as of", SERVER, "alive")
    session.run(AGAIN, watched=True)
    session.until_shown("2 s until", SERVER, "alive")
    until(lambda: len(views(session)) == 1)
    session.close()
    until(lambda: len(recorded(operator)) == 2 and "as of" in recorded(operator)[1])
    first, second = recorded(operator)
    assert "(went on in a later cell)" in first
    assert SERVER in first and SERVER in second


def recorded(operator: Operator) -> list[str]:
    """What the record of the session with two views holds of them."""
    books = [nbformat.read(file, as_version=4) for file in (operator.folder / "outputs").glob("*/runs/*/*.ipynb")]
    return [
        output.data["text/plain"]
        for book in books
        if any(cell.source == AGAIN for cell in book.cells)
        for cell in book.cells
        for output in cell.get("outputs", ())
        if output.get("data", {}).get("text/plain", "").startswith("Members of")
    ]


def test_who_answers_is_seen_to_change(operator: Operator, session: Session) -> None:
    name = f"{operator.node(WEB)['name']}"
    session.run("view = rb.live.answers(site)", watched=True)
    session.until_shown("as of", BALANCER, name)
    assert operator.inside(WEB, "systemctl stop demo-web").returncode == 0
    try:
        session.until_shown(f"{name}  ", "not among the last 10", timeout=3 * LONG)  # ten looks, and ten answers
    finally:
        assert operator.inside(WEB, "systemctl start demo-web").returncode == 0
    session.until_shown("answers (just now)")


def test_a_view_ends_with_its_sites_connections(session: Session) -> None:
    session.run("view = rb.live.members(site)", watched=True)
    session.until_shown("as of", SERVER)
    session.run("site.close()")
    assert "(stopped)" in session.shown[-1]
    until(lambda: not views(session))  # a look that is under way is not waited for
    assert result(session.run("site._access is None")) == "True", "no look has opened it again"


def test_where_nobody_looks_on_a_view_looks_once(session: Session) -> None:
    outputs = session.run("view = rb.live.members(site)")
    [shown] = [output.data["text/plain"] for output in outputs]
    assert "looked at once" in shown and SERVER in shown and "alive" in shown
    assert views(session) == []


def test_a_view_shows_what_is_wrong_and_goes_on(session: Session) -> None:
    session.run("view = rb.live.members(site)", watched=True)
    session.until_shown("as of", SERVER)
    session.run("site.access.hosts = ()")  # no bastion, no way
    shown = session.until_shown("there is no way to server-aws-consul", "there is no way to server-gcp-consul")
    assert re.search(rf"{SERVER} +alive", shown), "what was seen before stays"
    session.run("site.access.hosts = site.hosts()")
    session.shows_at_last(lambda text: SERVER in text and "there is no way" not in text)


def test_the_pages_open_where_they_are_said_to_be_until_they_are_closed(operator: Operator, session: Session) -> None:
    page = session.run(f"page = rb.browse.consul_ui(site, '{SERVER}'); page", watched=True)
    [url] = re.findall(r"http://127\.0\.0\.1:\d+/ui/", result(page))
    assert f"<a href='{url}' target='_blank'" in page[0].data["text/html"]
    assert httpx.get(url, trust_env=False).text.startswith("<!DOCTYPE html>")
    assert url in result(session.run(f"rb.browse.consul_ui(site, '{SERVER}')", watched=True)), "the same again"
    other = result(session.run(f"rb.browse.dashboard(site, '{BALANCER}')", watched=True))
    [board] = re.findall(r"http://127\.0\.0\.1:\d+/dashboard/", other)
    password = operator.runbook("secret", "dashboard-password", "-f", operator.params).stdout.strip()
    assert password and password not in other + result(page)
    assert httpx.get(board, trust_env=False).status_code == 401
    assert "Traefik" in httpx.get(board, auth=("operator", password), trust_env=False).text
    assert len(eval(result(session.run("rb.browse.close(site)")))) == 2
    for closed in (url, board):
        with pytest.raises(httpx.TransportError):
            httpx.get(closed, trust_env=False)
    assert url in result(session.run(f"rb.browse.consul_ui(site, '{SERVER}')", watched=True)), "on the same port"
    session.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False)


def test_where_nobody_looks_on_no_port_stays_open(session: Session) -> None:
    shown = result(session.run(f"rb.browse.consul_ui(site, '{SERVER}')"))
    assert "closed again" in shown
    assert result(session.run("site.access.doors")) == "{}"


def test_an_interrupted_wait_ends_and_the_next_cell_runs(session: Session) -> None:
    session.run(f"import dataclasses; host = site.host('{SERVER}'); never = dataclasses.replace(host, name='nobody')")
    outputs = session.interrupted(
        "rb.consul.until_ready(site.access, [never, host])",
        when=lambda: any("waiting for" in text and "nobody" in text for text in session.shown),
    )
    assert [output.ename for output in outputs if output.output_type == "error"] == ["KeyboardInterrupt"]
    session.shows_at_last(lambda text: "which is not there" in text)
    session.run("rb.consul.until_ready(site.access, [host])", watched=True)
    until(lambda: result(session.run(WORKERS)) == "[]")


def test_an_interrupted_apply_lets_go_and_goes_on_when_run_again(operator: Operator, walk: Run) -> None:
    with opened(operator, deployment="held") as session:
        try:
            outputs = session.interrupted(
                "site.apply(site.plan('00_provision'))",
                when=lambda: any(" jobs after" in text and "00_provision: 0 of" not in text for text in session.shown),
            )
            assert [output.ename for output in outputs if output.output_type == "error"] == ["KeyboardInterrupt"]
            assert "00_provision: stopped" in session.shown[-1]
            assert result(session.run("site.clouds.lock.look()  or 'free'")) == "'free'"
            assert result(session.run(WORKERS)) == "[]"
            session.run("done = site.apply(site.plan('00_provision'))", watched=True, timeout=180)
            assert "00_provision: done" in session.shown[-1]
            assert eval(result(session.run("len(site.plan('00_provision').work)"))) == 0
        finally:
            session.run("gone = site.apply(site.plan('05_teardown'))", timeout=180)
        assert operator.resources("held") == set()
