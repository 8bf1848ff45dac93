"""Pages of runs: one executed for real, others made by hand, among them hostile ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from runbook_lib.archive import report
from runbook_lib.archive.record import CellRecord, RunRecord, StepRecord
from runbook_lib.archive.runner import Job, run
from runbook_lib.errors import RunFailed
from runbook_lib.params import Params

HOSTILE = "</td><script>alert('x')</script><img src=http://evil.example/a.png onerror=alert(1)>\" ' & {{ 7 * 7 }}"
DOT = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>'
LOADING = {"src", "srcset", "href", "data", "action", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        (self.styles if self.tags and self.tags[-1][0] == "style" else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def loaded(self) -> list[str]:
        """Addresses that a browser would fetch when it shows the page."""
        from_tags = [
            value
            for tag, attributes in self.tags
            for name, value in attributes.items()
            if name in LOADING and not (tag == "a" and name == "href") and not value.startswith(("data:", "#"))
        ]
        return from_tags + [style for style in self.styles if "@import" in style or "url(" in style.lower()]

    def values(self, tag: str, name: str) -> list[str]:
        return [attributes[name] for found, attributes in self.tags if found == tag and name in attributes]

    def policy(self) -> str:
        first = next(i for i, (tag, _) in enumerate(self.tags) if tag == "meta" and "http-equiv" in self.tags[i][1])
        assert not {"style", "script", "link", "img"} & {tag for tag, _ in self.tags[:first]}, "it comes first"
        return self.tags[first][1]["content"]


def record(folder: Path, *steps: StepRecord, **facts: Any) -> RunRecord:
    facts = {"started": "2026-01-02T03:04:05.000+00:00", "ended": "2026-01-02T03:04:15.000+00:00"} | facts
    return RunRecord("20260102T030405Z-9f3a1c", facts.pop("deployment", "demo"), folder, {}, list(steps), **facts)


def book(folder: Path, name: str, *cells: Any) -> Path:
    file = folder / name
    nbformat.write(new_notebook(cells=list(cells)), file)
    return file


def shown(**data: Any) -> Any:
    return new_output("display_data", {name.replace("__", "/").replace("_xml", "+xml"): v for name, v in data.items()})


def test_a_failed_run_reads_from_its_outcome_to_its_notebooks(
    write_notebook: Callable[..., Path], tmp_path: Path
) -> None:
    write_notebook("00_provision", f"class P:\n    def _repr_svg_(self): return '''{SVG}'''\nP()")
    notebooks = write_notebook("01_bootstrap", "print('on my way')", "raise ValueError('no quorum')")
    with pytest.raises(RunFailed):
        run(Job(("00_provision", "01_bootstrap"), Params(), {}, tmp_path / "outputs", notebooks))
    (folder,) = (tmp_path / "outputs" / "demo" / "runs").iterdir()
    made = RunRecord.read(folder)
    for step in made.steps:
        report.export(folder / step.notebook)

    page = Page(report.write(made))

    assert page.loaded == []
    assert "default-src 'none'" in page.policy()
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.index("no quorum") < page.text.index("Time From")
    assert len(page.values("img", "src")) == 1
    links = [link for link in page.values("a", "href") if not link.startswith("#")]
    assert links == ["00_provision.ipynb", "00_provision.html", "01_bootstrap.ipynb", "01_bootstrap.html"]
    assert all((folder / link).is_file() for link in links)
    for page in map(Page, sorted(folder.glob("0*.html"))):
        assert page.loaded == []
        assert "default-src 'none'" in page.policy()
    assert "ValueError : no quorum" in page.text


def test_everything_on_record_is_shown(tmp_path: Path) -> None:
    cells = [CellRecord(3, "failed", "2026-01-02T03:04:06.000+00:00", 4.0, "Start the servers")]
    checks: list[Mapping[str, Any]] = [
        {"name": "a leader", "expected": "yes", "seen": "no", "ok": False},
        {"name": "servers", "expected": "3", "seen": "3", "ok": True},
    ]
    step = StepRecord(
        "01_bootstrap",
        "01_bootstrap.ipynb",
        source_sha256="ab" * 32,
        outcome="timed out",
        started="2026-01-02T03:04:05.000+00:00",
        seconds=9.0,
        message="gave up\n  what to do: look",
        cell=3,
        printed="first\nlast words",
        waiting={"what": "a leader", "seconds": 4.5, "seen": "none"},
        cells=cells,
        checks=checks,
    )
    found = record(
        tmp_path,
        step,
        StepRecord("02_federate", "02_federate.ipynb"),
        outcome="timed out",
        identity={"user": "root", "login": "ada", "host": "vm", "command": "runbook run 01 02"},
        code={"commit": "c0ffee" * 7, "clean": False, "changed": ["a.py"]},
        versions={"python": "3.13.1"},
        services={"consul": ["1.8.7"]},
        approvals=[{"plan": "77" * 32, "by": "bob", "at": "2026-01-02T03:00:00+00:00", "way": "terminal"}],
        resumes="20260101T000000Z-000000",
        notes=["a note"],
        sources={"timeout": "command line", "test": "default"},
    )
    found.parameters = {"test": True, "timeout": 30, "zones": ["a", "b"]}
    page = Page(report.write(found))
    for words in (
        "2 steps (01_bootstrap and 02_federate) on deployment demo, run by root, who is ada, at vm on 2026-01-02 03:04",
        "03:04:05",
        "given up after 10.0 s: a cell took longer than it was given in 01_bootstrap, at cell 3 under “Start the",
        "waiting 4.5 s for a leader and last saw none",
        "the last it printed was “last words”",
        "first last words",
        "2 checks, 1 failed",
        "✗ a leader yes no",
        "✓ servers 3 3",
        "and files that differ from it : a.py",
        "1.8.7",
        "3.13.1",
        "bob",
        "ab" * 32,
        "20260101T000000Z-000000",
        "a note",
        "02_federate not run",
    ):
        assert words in page.text, words
    table = page.text[page.text.index("name value from") :]
    assert table.startswith("name value from timeout 30 command line test yes default zones a, b")


def test_bars_lie_where_the_time_was_spent(tmp_path: Path) -> None:
    at = "2026-01-02T03:04:{:02}.000+00:00"
    step = StepRecord("a", "a.ipynb", outcome="succeeded", started=at.format(5), seconds=5.0)
    step.cells = [CellRecord(0, "succeeded", at.format(6), 2.5), CellRecord(1, "pending")]
    later = StepRecord("b", "b.ipynb", outcome="succeeded", started=at.format(10), seconds=5.0)
    bars = report.timeline(record(tmp_path, step, later, StepRecord("c", "c.ipynb")))
    assert {name: (bar.left, bar.width) for name, (bar, _) in bars.items()} == {"a": (0, 50), "b": (50, 50)}
    assert [(cell.left, cell.width) for cell in bars["a"][1]] == [(10, 25)]


@pytest.mark.parametrize("state", ["running", "cut off", "succeeded", "what nobody thought of"])
def test_whatever_a_record_holds_is_text(tmp_path: Path, state: str) -> None:
    name = HOSTILE.replace("/", "_")
    book(
        tmp_path,
        f"{name}.ipynb",
        new_markdown_cell(f"# {HOSTILE}"),
        new_code_cell("", outputs=[shown(image__png=DOT, text__plain=HOSTILE)]),
        new_code_cell("", outputs=[shown(image__png=HOSTILE), shown(image__svg_xml=HOSTILE)]),
    )
    hostile = dict.fromkeys(("what", "seen", HOSTILE), HOSTILE)
    step = StepRecord(name, f"{name}.ipynb", HOSTILE, "failed", HOSTILE, 1.0, HOSTILE * 2 + "\n", 1, HOSTILE)
    step.waiting = hostile | {"seconds": 2}
    step.cells = [CellRecord(1, "failed", HOSTILE, 1.0, HOSTILE, HOSTILE)]
    step.checks = [{"name": HOSTILE, "expected": HOSTILE, "seen": HOSTILE, "ok": True}]
    found = record(
        tmp_path,
        step,
        deployment=HOSTILE,
        identity={"user": HOSTILE, "login": HOSTILE, HOSTILE: HOSTILE},
        code={"unknown": HOSTILE},
        versions={HOSTILE: HOSTILE},
        services={HOSTILE: [HOSTILE]},
        approvals=[dict.fromkeys(("plan", "by", "at", "expires", "way"), HOSTILE)],
        resumes=HOSTILE,
        notes=[HOSTILE],
        sources={HOSTILE: HOSTILE},
    )
    found.parameters = {HOSTILE: {HOSTILE: [HOSTILE, None, True]}}
    page = Page(report.write(found, state))
    assert page.loaded == []
    assert not {"script", "iframe"} & {tag for tag, _ in page.tags}
    assert len(page.values("img", "src")) == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count("{{ 7 * 7 }}") > 20
    assert not [link for link in page.values("a", "href") if "://" in link]


def test_pictures_have_the_heading_above_them() -> None:
    cells = [
        new_markdown_cell("# One"),
        new_code_cell("", outputs=[shown(image__png=DOT, text__plain="<Figure>"), new_output("stream", text="x")]),
        new_markdown_cell("## Two"),
        new_code_cell("", outputs=[shown(image__svg_xml=SVG, image__png=DOT, text__plain="a square")]),
        new_code_cell("", outputs=[shown(image__svg_xml="<svg", text__plain="broken")]),
    ]
    found = list(report.images(StepRecord("s", "s.ipynb"), new_notebook(cells=cells)))
    assert [(image.heading, image.alt, image.uri[:19]) for image in found] == [
        ("One", "", "data:image/png;base"),
        ("Two", "a square", "data:image/svg+xml;"),
        ("Two", "broken", ""),
    ]


def test_pictures_of_a_session_have_the_heading_on_record() -> None:
    step = StepRecord("s", "s.ipynb", cells=[CellRecord(0, heading="On record")])
    book = new_notebook(cells=[new_code_cell("", outputs=[shown(image__png=DOT)])])
    assert [image.heading for image in report.images(step, book)] == ["On record"]


def test_an_svg_can_only_be_looked_at() -> None:
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" onload="a()"><defs><path id="p" d="M0 0"/></defs>'
        '<script>a()</script><g><foreignObject/><use xlink:href="#p"/><image xlink:href="http://evil.example/x"/>'
        '<image href="data:image/png;base64,AA"/>'
        '<a href="javascript:a()"><text onclick="a()">words</text></a></g></svg>'
    )
    kept = base64.b64decode(report.still(svg).partition(",")[2]).decode()
    assert [word for word in ("evil", "script", "foreign", "onload", "onclick", "DOCTYPE") if word in kept] == []
    assert 'xlink:href="#p"' in kept and "data:image/png;base64,AA" in kept and "words" in kept


def test_a_page_of_hostile_outputs_may_load_and_run_nothing(tmp_path: Path) -> None:
    outputs = [
        shown(text__html=f"<b>{HOSTILE}</b>"),
        shown(application__javascript="fetch('http://evil.example')"),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "w"}),
        new_output("stream", text=HOSTILE),
        shown(text__plain=HOSTILE),
        new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
        shown(image__svg_xml=SVG),
    ]
    source = f"x = 1 # {HOSTILE}"
    file = book(tmp_path, "01_x.ipynb", new_markdown_cell("$x^2$"), new_code_cell(source, outputs=outputs))
    page = Page(report.export(file))
    assert page.policy().startswith("default-src 'none'; img-src data:;")
    # What an output's own HTML asks for is what the policy refuses; there is nothing else.
    assert page.loaded == ["http://evil.example/a.png"]
    assert [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")] == ["script"]
    assert "$x^2$" in page.text


def test_one_exporter_makes_many_pages(tmp_path: Path) -> None:
    exporter = report.new_exporter()
    for name in ("a", "b"):
        file = book(tmp_path, f"{name}.ipynb", new_code_cell(f"print({name!r})", outputs=[]))
        page = report.export(file, exporter)
        assert page == tmp_path / f"{name}.html"
        assert f"<title>{name}</title>" in page.read_text()


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"a": 1}'])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.ipynb").write_text(content)
    with pytest.raises(ValueError):
        report.export(tmp_path / "x.ipynb")
    assert not (tmp_path / "x.html").exists()


def test_a_notebook_that_is_broken_or_missing_does_not_hide_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    steps = [StepRecord("a", "a.ipynb", outcome="failed", message="why"), StepRecord("b", "b.ipynb", outcome="failed")]
    page = Page(report.write(record(tmp_path, *steps, outcome="failed")))
    assert "a.ipynb" in page.values("a", "href")
    assert "b.ipynb" not in page.values("a", "href")
    assert "there is none" in page.text
