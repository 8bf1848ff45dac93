"""Secrets planted everywhere in real runs, each way of recording one: afterwards none of them is anywhere."""

from __future__ import annotations

import base64
import html
import json
import os
import random
import re
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import nbformat
import pytest
from nbformat import NotebookNode

from runbook_lib.archive.record import RunRecord
from runbook_lib.archive.redaction import Redactor
from tests.archive.test_interactive import IMPORTS, Session

PATIENCE = 90  # seconds before a test gives up on a command

# ---- the canaries: each is planted in one place, after which it is called -----------------------------------

BY_REFERENCE = ("aws_credentials", "gcp_credentials")
PRINTED = (
    *("printed", "pieces", "lines", "stream", "as_json", "as_repr", "as_url", "as_html", "as_hex"),
    *("base64_0", "base64_1", "base64_2", "boundary"),
)
SHOWN = (
    *("text_plain", "text_html", "json", "svg", "png_metadata", "markdown", "latex", "updated", "result"),
    *("exception", "source_line", "source"),
)
IN_NOTEBOOK = (*PRINTED, *SHOWN, *BY_REFERENCE, "late")
GIVEN_WITH_IT = ("heading", "cell_metadata", "notebook_metadata")  # in the notebook before it is run
IN_RECORD = ("wait_what", "wait_seen", "check_name", "check_expected", "check_seen", "approval", "service")
EVERY = (*IN_NOTEBOOK, *GIVEN_WITH_IT, *IN_RECORD, "cut")


def _values() -> dict[str, str]:
    r = random.Random(11)
    plain, signs = string.ascii_letters + string.digits, "!$%&*+-./:;<=>?@_~"
    made = {name: "".join(r.choices(plain, k=32)) for name in EVERY}
    for name in ("as_json", "as_repr", "as_url", "as_html", "printed", "text_html"):
        made[name] = "".join(r.choices(plain + signs + "äö", k=32))
    return made


VALUES = _values()

FIRST = "print(V()['late'], flush=True)"
HELPERS = """
import json, os
def V(): return json.load(open(os.environ['CANARIES']))
"""
REGISTER = """
from runbook_lib import events, wait
from runbook_lib.checks import equal, require
from runbook_lib.params import Params
for name, value in V().items():
    if name not in {by_reference!r}:
        events.emit(events.SECRET, must_arrive=True, name=name, value=value)
params = Params.parse({{'aws_credentials': aws_credentials, 'gcp_credentials': gcp_credentials}}, source='notebook')
print(params.aws_credentials, params.gcp_credentials, params)
"""
# A secret is told and printed in one breath, by two different ways.
PRINTS = """
import base64, html, sys, time, urllib.parse
print('to be', V()['printed'])
print(V()['pieces'][:15], end=''); sys.stdout.flush(); time.sleep(0.1); print(V()['pieces'][15:])
for at in (0, 11, 22): print('│ ' + V()['lines'][at:at + 11] + ' │', flush=True); time.sleep(0.1)
print(V()['stream'], file=sys.stderr)
print(json.dumps({'a': [V()['as_json']]})); print(repr({'b': V()['as_repr']}))
print(urllib.parse.quote(V()['as_url'])); print(html.escape(V()['as_html'])); print(V()['as_hex'].encode().hex())
for n in range(3): print(base64.b64encode(b'abc'[:n] + V()[f'base64_{n}'].encode() + b'end').decode())
print(V()['boundary'])
"""
SHOWS = """
from IPython.display import HTML, JSON, Latex, Markdown, SVG, display
display(V()['text_plain']); display(HTML('<b>' + html.escape(V()['text_html']) + '</b>'))
display(JSON({'deep': [V()['json'], {V()['json']: 1}]}))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg"><text>' + V()['svg'] + '</text></svg>'))
display({'image/png': base64.b64encode(b'png').decode()}, metadata={'image/png': {'of': V()['png_metadata']}}, raw=1)
display(Markdown('*' + V()['markdown'] + '*')); display(Latex('$' + V()['latex'] + '$'))
handle = display('soon', display_id='later')
"""
RESULT = "handle.update(V()['updated']); V()['result']"
SOURCE = "x = {source!r}  # {source}"
RAISES = "found = {source_line!r}; raise LookupError(V()['exception'])"
TELLS = """
events.emit(events.APPROVAL, must_arrive=True, plan='p', by=V()['approval'], at='', expires='', way='typed')
events.emit(events.SERVICE, must_arrive=True, name='consul', version=V()['service'])
require(equal(V()['check_name'], V()['check_expected'], V()['check_expected']))
require(equal('other', V()['check_seen'], V()['check_seen']))
"""
# What the record keeps of what was printed begins in the midst of one, and what it keeps of what was seen ends in one.
WAITS = """
print(V()['boundary'] + 'y' * 1983)
try: wait.until(lambda: 'z' * 480 + V()['cut'], lambda seen: False, what='a cut', timeout=0)
except Exception as error: pass
wait.until(lambda: V()['wait_seen'], lambda seen: False, what=V()['wait_what'], timeout=1.5)
"""
MORE = tuple(
    source.strip().format(by_reference=BY_REFERENCE, **VALUES)
    if source in (REGISTER, SOURCE, RAISES)
    else source.strip()
    for source in (REGISTER, PRINTS, SHOWS, RESULT, SOURCE, RAISES, TELLS, WAITS)
)


def notebook(*sources: str) -> NotebookNode:
    parameters = 'aws_credentials = ""\ngcp_credentials = ""\n'
    first = nbformat.v4.new_code_cell(
        parameters + HELPERS, metadata={"tags": ["parameters"], "x": VALUES["cell_metadata"]}
    )
    cells = [first]
    for source in sources:
        if source == MORE[1]:  # what is shown of a notebook is clean from where the secrets are told
            cells.append(nbformat.v4.new_markdown_cell(f"## About {VALUES['heading']}"))
        cells.append(nbformat.v4.new_code_cell(source))
        if "raise " in source:
            cells[-1].metadata["tags"] = ["raises-exception"]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.update(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        about={VALUES["notebook_metadata"]: [VALUES["notebook_metadata"]]},
    )
    return book


# ---- an independent look ------------------------------------------------------------------------------------

LAYOUT = re.compile(r"(?:\x1b|\\+u001b|\\+x1b)\[[0-9;]*m|<[^<>]*>|\\+n|[\s│|\"',]|\\+u2502")
ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})|\\+x([0-9a-fA-F]{2})")


def squeezed(text: str) -> str:
    return LAYOUT.sub("", text)


def views(text: str) -> Iterator[str]:
    """The text with what it may be wrapped in undone, more and more of it."""
    yield text
    plain = ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), text)
    for one in (text, plain):
        yield squeezed(one)
        for undo in (html.unescape, unquote):
            yield undo(one)
            yield squeezed(undo(one))
        yield squeezed(unquote(html.unescape(html.unescape(one))))
        yield re.sub(r"\\+", "", squeezed(html.unescape(one)))


def packed(text: str) -> bytes:
    """What is base64 or hex in it, decoded."""
    found = []
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", text):
        flat = run.replace("-", "+").replace("_", "/")
        for skipped in range(4):
            found.append(base64.b64decode(flat[skipped:][: (len(flat) - skipped) // 4 * 4]))
    for run in re.findall(r"[0-9a-fA-F]{16,}", text):
        for skipped in range(2):
            found.append(bytes.fromhex(run[skipped:][: (len(run) - skipped) // 2 * 2]))
    return b"\0".join(found)


def names_in(text: str) -> set[str]:
    """The canaries that can be read out of a text, or a good part of one."""
    found = set()
    seen, inner = "\0".join(views(text)), packed(text)
    for name, value in VALUES.items():
        parts = [value, squeezed(value), value[:13], value[-13:]]
        inside = any(inner.find(part.encode()) >= 0 for part in (value, value[2:-2]))
        if inside or any(part in seen for part in parts):
            found.add(name)
    return found


def leaks(files: Iterable[Path], **texts: str) -> dict[str, set[str]]:
    """Where canaries are, and which."""
    every = {str(file): file.read_bytes().decode("utf-8", "replace") for file in files if file.is_file()}
    return {where: found for where, text in {**every, **texts}.items() if (found := names_in(text))}


def fingerprints(text: str) -> set[str]:
    return set(re.findall(r"\[secret ([A-Za-z0-9._-]+) [0-9a-f]{12}\]", text))


# ---- the runs -----------------------------------------------------------------------------------------------

PROGRAM = """
import json, sys
from pathlib import Path
from runbook_lib.archive import history, lock
from runbook_lib.archive.redaction import Redactor
from runbook_lib.archive.runner import Job, run
from runbook_lib.errors import RunFailed
from runbook_lib.params import Params

class Told:
    def __getattr__(self, name):
        return lambda *facts: print(name, *facts, flush=True)

if __name__ == "__main__":
    how, keys, output, notebooks = sys.argv[1:]
    if how == "unregistered":
        Redactor.add = lambda *about: None
    steps, before = ["00_provision", "01_bootstrap"], None
    given = {"keys": keys, "aws_credentials": "env:CANARY", "gcp_credentials": f"file:{notebooks}/canary"}
    if how == "resumed":
        before = history.resumable(Path(output), "latest", "demo", lock.is_held)
        steps, given = history.left(before)
    params = Params.parse(given, source="test")
    resumes = before.run if before else ""
    sources = {name: "command line" if name in given else "default" for name in Params.model_fields}
    try:
        run(Job(steps, params, given, Path(output), Path(notebooks), sources, resumes), Told())
    except RunFailed as error:
        sys.exit(str(error))
"""


class Place:
    """Where a run has all that is its own."""

    def __init__(self, folder: Path, short: Path) -> None:
        self.folder, self.short = folder, short
        self.given, self.output = folder / "given", folder / "outputs"
        self.given.mkdir()
        (self.given / "canaries.json").write_text(json.dumps(VALUES))
        (self.given / "canary").write_text(VALUES["gcp_credentials"] + "\n")
        nbformat.write(notebook(FIRST), self.given / "00_provision.ipynb")
        nbformat.write(notebook(*MORE), self.given / "01_bootstrap.ipynb")
        nbformat.write(notebook(FIRST, *MORE), self.given / "all.ipynb")

    @property
    def environment(self) -> dict[str, str]:
        """The commands'."""
        mine = {"CANARIES": self.given / "canaries.json", "CANARY": VALUES["aws_credentials"], "TMPDIR": self.short}
        mine |= {"RUNBOOK_OUTPUT": self.output, "IPYTHONDIR": self.folder / "ipython"}
        return os.environ | {name: str(value) for name, value in mine.items()}

    def python(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run Python."""
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def run(self, how: str) -> subprocess.CompletedProcess[str]:
        """Run both steps by the runner."""
        program = self.given / "program.py"
        program.write_text(PROGRAM)
        return self.python(program, how, self.folder / "keys", self.output, self.given)

    def files(self) -> list[Path]:
        """All that is left of the runs: all but what they were given, and IPython's own history."""
        every = [*self.folder.rglob("*"), *self.short.rglob("*")]
        return [file for file in every if not file.is_relative_to(self.given) and "ipython" not in file.parts]

    def records(self) -> list[RunRecord]:
        """Oldest first."""
        return [RunRecord.read(file.parent) for file in sorted(self.output.glob("demo/runs/*/run.json"))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    short = Path(tempfile.mkdtemp(prefix="k"))
    try:
        yield Place(tmp_path, short)
    finally:
        shutil.rmtree(short)


def assert_replaced(record: RunRecord, *, besides: Iterable[str] = ()) -> None:
    """Each canary was there: its fingerprint is in its place."""
    (step,) = (step for step in record.steps if step.outcome != "succeeded")
    book = "".join(file.read_text() for file in record.folder.glob("*.ipynb"))
    page = "".join(file.read_text() for file in record.folder.glob("*.html"))
    # Only what is shown is on the pages, and not all of it as text.
    hidden = {"json", "svg", "png_metadata", "cell_metadata", "notebook_metadata", "late"}
    assert set(IN_NOTEBOOK) - set(besides) <= fingerprints(book)
    assert {*IN_NOTEBOOK, *IN_RECORD} - hidden - set(besides) <= fingerprints(page)
    assert set(IN_RECORD) - set(besides) <= fingerprints((record.folder / "run.json").read_text())
    assert fingerprints(json.dumps(dict(step.waiting))) == {"wait_what", "wait_seen"}
    assert step.printed.endswith("y" * 1900)
    assert fingerprints(step.message) == {"wait_what", "wait_seen"}


def test_the_beginning_of_a_secret_is_told_from_other_text() -> None:
    keeper = Redactor(bytes(32))
    keeper.add("one", "hunter2hunter2")
    for text, at in (
        ("say hunt", 4),
        ("say h\x1b[1munte\n", 4),
        ("say hunter2hunter", 4),
        (f"say {base64.b64encode(b'hunter2hunter2').decode()[:9]}", 4),
        ("say hunter2hunter2 it is", None),
        ("say hunt no more", None),
        ("", None),
    ):
        assert keeper.unfinished(text) == (len(text) if at is None else at), text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\n"),
        ("a\nb\n", "a\nb\n"),
        ("no line end", ""),
        ("a\nhunter\n", "a\n"),
        ("a\nhunter2\nhunter2\nb\n", "a\nhunter2\nhunter2\nb\n"),
        ("a\nhunter2\nhunter2", "a\n"),
        ("a\nhunter2\nhunter2. hunt\n", "a\n"),
    ],
)
def test_lines_are_shown_once_no_secret_goes_on_after_them(text: str, shown: str) -> None:
    keeper = Redactor(bytes(32))
    keeper.add("one", "hunter2hunter2")
    assert text[: keeper.whole_lines(text)] == shown


def test_by_the_runner_and_once_more_from_its_record(place: Place) -> None:
    done = [place.run("first"), place.run("resumed")]
    assert [one.returncode for one in done] == [1, 1], done
    said = done[0].stdout + done[0].stderr + done[1].stdout + done[1].stderr
    # What was shown before anybody knew it for a secret cannot be taken back; what is kept can.
    assert {name: found - {"late"} for name, found in leaks((), said=said).items()} == {"said": set()}
    assert leaks(place.files()) == {}
    assert {*PRINTED, *BY_REFERENCE, "heading", "wait_what", "wait_seen"} <= fingerprints(said)
    first, second = place.records()
    assert_replaced(first)
    assert set(GIVEN_WITH_IT) <= fingerprints((first.folder / "01_bootstrap.ipynb").read_text())
    for record in (first, second):
        assert record.parameters["aws_credentials"] == "env:CANARY"
        assert record.parameters["gcp_credentials"] == f"file:{place.given}/canary"
    assert (second.resumes, [step.step for step in second.steps]) == (first.run, ["01_bootstrap"])
    assert set(BY_REFERENCE) <= fingerprints((second.folder / "01_bootstrap.ipynb").read_text())
    assert "late" in fingerprints((first.folder / "00_provision.ipynb").read_text())
    assert (first.folder / "00_provision.html").exists()


def test_by_papermill(place: Place) -> None:
    references = ("-p", "aws_credentials", "env:CANARY", "-p", "gcp_credentials", f"file:{place.given}/canary")
    done = place.python(
        *("-m", "papermill", place.given / "all.ipynb", "out.ipynb", "--engine", "runbook", "--log-output"),
        *("-p", "keys", place.folder / "keys", *references, "--stdout-file", "stdout", "--stderr-file", "stderr"),
    )
    assert done.returncode == 1
    shown = leaks((), out=done.stdout, err=done.stderr) | leaks([place.folder / "stdout"])
    assert {found for names in shown.values() for found in names} == {"late"}, shown
    assert leaks(file for file in place.files() if file.name != "stdout") == {}
    (record,) = place.records()
    assert_replaced(record)
    assert set(PRINTED) - {"stream"} <= fingerprints((place.folder / "stdout").read_text())
    assert fingerprints((place.folder / "stderr").read_text()) == {"stream"}
    assert {*IN_NOTEBOOK, *GIVEN_WITH_IT} <= fingerprints((place.folder / "out.ipynb").read_text())
    assert {*PRINTED, "wait_what", "wait_seen"} <= fingerprints(done.stderr)


BEGIN = """
from runbook_lib.archive.operation import Operation
aws_credentials, gcp_credentials = 'env:CANARY', 'file:{given}/canary'
given = dict(keys={keys!r}, aws_credentials=aws_credentials, gcp_credentials=gcp_credentials)
recorder = interactive.begin(Params.parse(given, source='notebook'), Operation.by_hand, Path({output!r}))
"""


def test_by_hand(place: Place) -> None:
    kept = {name: value for name, value in place.environment.items() if name not in os.environ or name == "TMPDIR"}
    with Session(place.folder, **{**kept, "TMPDIR": str(place.short)}) as session:
        session.run(IMPORTS.format(root=str(Path(__file__).parents[2])))
        session.run(HELPERS)
        session.run(BEGIN.format(given=place.given, keys=str(place.folder / "keys"), output=str(place.output)))
        for source in (FIRST, *MORE):
            session.run(source)
        session.close()
    assert leaks(place.files()) == {}
    (record,) = place.records()
    assert record.kind == "interactive" and record.parameters["aws_credentials"] == "env:CANARY"
    book = (record.folder / record.steps[0].notebook).read_text()
    assert set(IN_NOTEBOOK) <= fingerprints(book)
    told = {name for name in IN_RECORD if not name.startswith("wait")}
    assert told <= fingerprints((record.folder / "run.json").read_text())
    assert record.steps[0].printed.endswith("y" * 1900)


def test_the_look_finds_every_canary_where_none_is_replaced(place: Place) -> None:
    done = place.run("unregistered")
    assert done.returncode == 1
    found: Mapping[str, Any] = leaks(place.files())
    said = names_in(done.stdout)
    assert said.union(*found.values()) == set(EVERY)
    (record,) = place.records()
    for file, names in (("run.json", IN_RECORD), ("01_bootstrap.ipynb", {*IN_NOTEBOOK, *GIVEN_WITH_IT} - {"late"})):
        assert set(names) <= found[str(record.folder / file)]
    # Each piece of the one is told by itself.
    assert {*PRINTED, "heading", "cut"} - {"lines"} <= said


@pytest.mark.parametrize("write", [quote, html.escape, json.dumps, repr, lambda v: "\n".join((v[:9], v[9:]))])
def test_the_look_sees_through_what_a_value_is_wrapped_in(write: Any) -> None:
    for name, value in VALUES.items():
        assert name in names_in(f"before {write(value)} after")
