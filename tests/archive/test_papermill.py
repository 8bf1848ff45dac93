"""What people rely on in papermill does the same with this package's engine as with papermill's own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import nbformat
import pytest
from moto.server import ThreadedMotoServer
from nbformat import NotebookNode

PATIENCE = 60  # seconds before a test gives up on a command
ENGINES = {"papermill": "", "runbook": "--engine=runbook"}
# papermill's command, without the words that one of the engines has no need of.
COMMAND = "import sys; from papermill.cli import papermill; papermill([word for word in sys.argv[1:] if word])"
PARAMETERS = 'deployment: str = "demo"  # its name\ntimeout: int = 600  # seconds\ndomain = "x.org"\ntest = True\n'


@dataclass
class Both:
    """The same command with either engine, each in a folder of its own.

    Args:
        folder: of the two.
        short: for temporary files, as sockets need a short path.
    """

    folder: Path
    short: Path

    def __post_init__(self) -> None:
        for engine in ENGINES:
            (self.folder / engine).mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """Both commands'."""
        mine = {"TMPDIR": self.short, "IPYTHONDIR": self.folder / "ipython", "JUPYTER_PATH": self.folder / "jupyter"}
        mine["RUNBOOK_OUTPUT"] = self.folder / "outputs"
        return os.environ | {name: str(value) for name, value in mine.items()}

    def write(self, name: str, *cells: NotebookNode | str) -> None:
        """The same notebook into both folders."""
        for engine in ENGINES:
            nbformat.write(notebook(*cells), self.folder / engine / name)

    def python(self, *arguments: str | Callable[[str], str], given: str = "") -> dict[str, Done]:
        """Run Python with the same arguments, some of which depend on the engine, side by side."""
        running = {}
        for engine in ENGINES:
            words = [word if isinstance(word, str) else word(engine) for word in arguments]
            running[engine] = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.folder / engine,
                env=self.environment,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        done = {}
        for engine, command in running.items():
            out, err = command.communicate(given or None, timeout=PATIENCE)
            done[engine] = Done(command.returncode, out, err, self.folder / engine)
        return done

    def papermill(self, *words: str | Callable[[str], str], given: str = "", keys: bool = True) -> tuple[Done, Done]:
        """Run papermill's command: its own engine, and ours."""
        own = ("-p", "keys", str(self.folder / "keys")) if keys else ()
        found = self.python("-c", COMMAND, *words, *own, lambda engine: ENGINES[engine], given=given)
        return found["papermill"], found["runbook"]

    def records(self) -> list[dict[str, Any]]:
        """Every run that is on record."""
        files = sorted(self.folder.glob("outputs/*/runs/*/run.json"))
        return [json.loads(file.read_text()) for file in files]


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    status: int
    out: str
    err: str
    folder: Path

    def book(self, name: str = "out.ipynb") -> NotebookNode:
        """A notebook in its folder."""
        return nbformat.read(self.folder / name, as_version=4)

    def text(self, name: str) -> str:
        """A file in its folder."""
        return (self.folder / name).read_text()


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    short = Path(tempfile.mkdtemp(prefix="k"))
    try:
        yield Both(tmp_path, short)
        assert list(short.iterdir()) == []
    finally:
        shutil.rmtree(short)


def code(source: str, *tags: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def notebook(*cells: NotebookNode | str) -> NotebookNode:
    every = [code(PARAMETERS, "parameters"), *(code(cell) if isinstance(cell, str) else cell for cell in cells)]
    for number, cell in enumerate(every):
        cell.id = f"cell-{number}"
    book = nbformat.v4.new_notebook(cells=every)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return book


def cells(book: NotebookNode) -> list[Any]:
    """What a reader sees of each cell, and what papermill says of it; papermill's ids and times are left out."""
    return [
        (
            cell.source,
            cell.metadata.get("tags", []),
            cell.metadata.get("jupyter"),
            cell.metadata.get("papermill", {}).get("status"),
            cell.metadata.get("papermill", {}).get("exception"),
            cell.get("execution_count"),
            [shown(output) for output in cell.get("outputs", ())],
        )
        for cell in book.cells
    ]


def shown(output: NotebookNode) -> Any:
    return {name: value for name, value in output.items() if name != "traceback"}


def about(book: NotebookNode) -> dict[str, Any]:
    """What papermill says of the notebook, but for the times."""
    return {name: value for name, value in book.metadata.papermill.items() if "time" not in name and name != "duration"}


def assert_same(stock: Done, ours: Done, name: str = "out.ipynb") -> NotebookNode:
    assert stock.status == ours.status, (stock.err, ours.err)
    first, second = stock.book(name), ours.book(name)
    assert cells(second) == cells(first)
    assert about(second) == about(first)
    return second


def printed(book: NotebookNode) -> str:
    """What its cells wrote to stdout."""
    outputs = (output for cell in book.cells for output in cell.get("outputs", ()))
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


# ---- a notebook that runs to its end -----------------------------------------------------------------------

SAY = """import os, sys
print(deployment, timeout, domain, test, aws_zones, aws_image)
print(os.path.basename(os.getcwd()))"""


def test_parameters_paths_logs_and_folders(both: Both) -> None:
    both.write(
        "in.ipynb",
        nbformat.v4.new_markdown_cell("# Words"),
        SAY,
        code("print('never')", "skip-execution"),
        "import time\nprint('no line end', end=''); sys.stdout.flush()\nprint('to err', file=sys.stderr)",
        "display('shown'); print('more'); 1 + 1",
        "import runbook_lib\nrunbook_lib.Params.of({'PAPERMILL_INPUT_PATH': PAPERMILL_INPUT_PATH}).deployment",
    )
    for engine in ENGINES:
        (both.folder / engine / "work").mkdir()
        (both.folder / engine / "1.yaml").write_text("timeout: 1\ndomain: one.org\naws_zones: [us-west-2a]\n")
        (both.folder / engine / "2.yaml").write_text("timeout: 2\ntest: false\n")
    stock, ours = both.papermill(
        *("in.ipynb", "out-{deployment}.ipynb", "-f", "1.yaml", "-f", "2.yaml", "-y", "timeout: 3"),
        *("-b", base64.b64encode(b"{timeout: 4, aws_image: base}").decode(), "-p", "timeout", "5"),
        *("-r", "domain", "raw.org", "-p", "deployment", "blue", "--inject-paths", "--report-mode", "--cwd", "work"),
        *("--log-output", "--stdout-file", "stdout", "--stderr-file", "stderr", "--no-request-save-on-cell-execute"),
    )
    book = assert_same(stock, ours, "out-blue.ipynb")
    assert printed(book).startswith("blue 5 raw.org False ['us-west-2a'] base\nwork\n")
    assert all(cell.metadata.jupyter == {"source_hidden": True} for cell in book.cells if cell.cell_type == "code")
    assert about(book)["parameters"]["PAPERMILL_OUTPUT_PATH"] == "out-{deployment}.ipynb"
    # papermill opens them when they are first written to, so in the notebook's folder.
    assert ours.text("work/stdout") == stock.text("work/stdout")
    assert ours.text("work/stderr") == stock.text("work/stderr") == "to err\n"
    for line in ("Executing Cell 1-", "no line end", "to err", "more", "Input Notebook:  in.ipynb"):
        assert line in stock.err and line in ours.err
    assert sorted(os.listdir(ours.folder / "work")) == ["stderr", "stdout"]
    (record,) = both.records()
    assert (record["deployment"], record["parameters"]["timeout"], record["outcome"]) == ("blue", 5, "succeeded")
    assert record["sources"]["timeout"] == "papermill" and record["steps"][0]["source_sha256"]


def test_a_notebook_that_was_executed_is_executed_again(both: Both) -> None:
    both.write("in.ipynb", "print(deployment, timeout)", "import sys; sys.exit(0)", "print('never')")
    both.papermill("in.ipynb", "first.ipynb", "-p", "deployment", "blue", "-p", "timeout", "7", "--prepare-only")
    for engine in ENGINES:
        (both.folder / engine / "out.ipynb").symlink_to("target.ipynb")
        (both.folder / engine / "target.ipynb").touch()
    stock, ours = both.papermill("first.ipynb", "out.ipynb", "-p", "timeout", "9", "--progress-bar")
    assert all((done.folder / "out.ipynb").is_symlink() for done in (stock, ours))
    assert (stock.status, ours.status) == (0, 0)
    assert "Executing" in stock.err and "first" in ours.err, "a bar, or a line"
    first, second = (cells(done.book()) for done in (stock, ours))
    # Of a cell that ends its notebook well, papermill says both that it failed and that all is well.
    assert [cell[3] for cell in first] == ["completed", "completed", "completed", "failed", "pending"]
    assert [cell[3] for cell in second] == ["completed", "completed", "completed", "completed", "pending"]
    assert [cell[:3] + cell[5:] for cell in second] == [cell[:3] + cell[5:] for cell in first]
    assert [cell.metadata.tags for cell in ours.book().cells[:3]] == [["parameters"], ["injected-parameters"], []]
    assert "blue" not in ours.book().cells[1].source
    assert printed(ours.book()) == "demo 9\n"
    (record,) = both.records()
    assert (record["outcome"], record["steps"][0]["outcome"]) == ("succeeded", "succeeded")
    assert any("ended itself in cell 3" in note for note in record["notes"])


def test_help_and_preparing_execute_nothing(both: Both) -> None:
    both.write("in.ipynb", "1 / 0")
    stock, ours = both.papermill("in.ipynb", "--help-notebook", keys=False)
    assert (ours.status, ours.out) == (stock.status, stock.out)
    assert "timeout: int (default 600)" in ours.out
    stock, ours = both.papermill("in.ipynb", "out.ipynb", "--prepare-only", "-p", "timeout", "8")
    assert_same(stock, ours)
    assert "timeout = 8" in ours.book().cells[1].source
    assert both.records() == []


def test_from_stdin_to_stdout(both: Both) -> None:
    given = nbformat.writes(notebook("print('hello', timeout)"))
    stock, ours = both.papermill("-", "-", "-p", "timeout", "8", given=given)
    books = [nbformat.reads(done.out, as_version=4) for done in (stock, ours)]
    assert cells(books[1]) == cells(books[0])
    assert printed(books[1]) == "hello 8\n"
    (record,) = both.records()
    assert [step["notebook"] for step in record["steps"]] == ["notebook.ipynb"]


def test_a_device_stays_one(both: Both) -> None:
    both.write("in.ipynb", "print(1)")
    for engine in ENGINES:
        os.mkfifo(both.folder / engine / "pipe.ipynb")
    readers = [subprocess.Popen(["cat", both.folder / engine / "pipe.ipynb"], stdout=-1) for engine in ENGINES]
    stock, ours = both.papermill("in.ipynb", "pipe.ipynb", "--no-request-save-on-cell-execute")
    read = [reader.communicate(timeout=PATIENCE)[0].decode() for reader in readers]
    assert (stock.status, ours.status) == (0, 0)
    assert cells(nbformat.reads(read[1], as_version=4)) == cells(nbformat.reads(read[0], as_version=4))


# ---- one that does not -------------------------------------------------------------------------------------


def test_an_error_leaves_banners_and_a_status(both: Both) -> None:
    both.write("in.ipynb", "print('on the way')\nraise LookupError('in vain')", "print('never')")
    stock, ours = both.papermill("in.ipynb", "out.ipynb")
    assert stock.status == ours.status == 1
    first, second = cells(stock.book()), cells(ours.book())
    assert first == second
    assert "An Exception was encountered" in second[0][0] and second[0][1] == ["papermill-error-cell-tag"]
    assert [cell[3] for cell in second][-2:] == ["failed", "pending"]
    assert about(stock.book()) == about(ours.book())
    for done in (stock, ours):
        assert "LookupError: in vain" in done.err and "PapermillExecutionError" in done.err


def test_an_error_that_is_expected_does_not_stop_the_notebook(both: Both) -> None:
    both.write("in.ipynb", code("raise LookupError('as expected')", "raises-exception"), "print('goes on')")
    stock, ours = both.papermill("in.ipynb", "out.ipynb")
    # Both engines go on; afterwards papermill itself finds the error among the outputs and raises its own.
    assert stock.status == ours.status == 1
    assert cells(stock.book()) == cells(ours.book())
    assert printed(ours.book()) == "goes on\n"
    (record,) = both.records()
    assert record["outcome"] == "succeeded"


def test_cells_and_kernels_that_take_too_long(both: Both) -> None:
    kernel(both, "stuck", sys.executable, "-c", "import time; time.sleep(600)")
    both.write("in.ipynb", "import time\nprint('begun', flush=True)\ntime.sleep(600)", "print('never')")
    stock, ours = both.papermill("in.ipynb", "out.ipynb", "--execution-timeout", "10")
    assert stock.status == ours.status == 1
    assert "CellTimeoutError" in stock.err and "CellTimeoutError" in ours.err
    assert printed(stock.book()) == printed(ours.book()) == "begun\n"
    stock, ours = both.papermill("in.ipynb", "out.ipynb", "--start-timeout", "1", "-k", "stuck", "-l", "python")
    assert stock.status != 0 and ours.status != 0
    slow, stuck = both.records()
    assert slow["outcome"] == "timed out"
    assert stuck["outcome"] == "kernel died" and stuck["steps"][0]["cells"] == []


def test_an_unknown_parameter_is_refused_before_anything_runs(both: Both) -> None:
    both.write("in.ipynb", "open('ran', 'w').close()")
    stock, ours = both.papermill("in.ipynb", "out.ipynb", "-p", "timeuot", "9")
    assert stock.status == 0 and (stock.folder / "ran").exists(), "papermill warns, and goes on"
    assert ours.status == 1 and not (ours.folder / "ran").exists()
    assert "there is no parameter called timeuot" in ours.err and "timeout?" in ours.err
    assert both.records() == [] and not (ours.folder / "out.ipynb").exists()


# ---- elsewhere ---------------------------------------------------------------------------------------------


def kernel(both: Both, name: str, *command: str, **environment: str) -> None:
    folder = both.folder / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    about = {"argv": command, "display_name": name, "language": "python", "env": environment}
    (folder / "kernel.json").write_text(json.dumps(about))


class Shelf(BaseHTTPRequestHandler):
    """Gives and takes notebooks."""

    kept: ClassVar[dict[str, bytes]]

    def do_GET(self) -> None:
        self._answer(self.kept[self.path.partition("?")[0]])

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Nothing."""


def test_over_http_with_another_kernel(both: Both) -> None:
    kernel(both, "other", sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", OTHER="yes")
    book = nbformat.writes(notebook("import os; print(os.environ.get('OTHER'))"))

    class Kept(Shelf):
        kept: ClassVar = {"/a%20b/in.ipynb": book.encode()}

    with ThreadingHTTPServer(("127.0.0.1", 0), Kept) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            at = f"http://127.0.0.1:{server.server_port}"
            stock, ours = both.papermill(
                f"{at}/a%20b/in.ipynb?of=a/b.c", lambda engine: f"{at}/{engine}.ipynb", "-k", "other"
            )
        finally:
            server.shutdown()
            thread.join()
    assert (stock.status, ours.status) == (0, 0), ours.err
    first, second = (nbformat.reads(Kept.kept[f"/{engine}.ipynb"].decode(), as_version=4) for engine in ENGINES)
    assert cells(first) == cells(second)
    assert printed(second) == "yes\n"
    (record,) = both.records()
    assert [step["notebook"] for step in record["steps"]] == ["in.ipynb"]


def test_over_s3(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        for name, value in (("ENDPOINT_URL", f"http://127.0.0.1:{port}"), ("DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            monkeypatch.setenv(f"AWS_{name}", "testing")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="books")
        s3.put_object(Bucket="books", Key="a/in.ipynb", Body=nbformat.writes(notebook("print('ä', timeout)")).encode())
        stock, ours = both.papermill(
            "s3://books/a/in.ipynb", lambda engine: f"s3://books/{engine}.ipynb", "-p", "timeout", "8"
        )
        assert (stock.status, ours.status) == (0, 0), ours.err
        written = [s3.get_object(Bucket="books", Key=f"{engine}.ipynb")["Body"].read().decode() for engine in ENGINES]
    finally:
        server.stop()
    first, second = (nbformat.reads(text, as_version=4) for text in written)
    assert cells(first) == cells(second)
    assert printed(second) == "ä 8\n"


# ---- from Python -------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys
import papermill
from papermill.iorw import papermill_io
kept = {}
class Memory:
    read = staticmethod(kept.__getitem__)
    write = staticmethod(lambda text, path: kept.update({path: text}))
    pretty_path = staticmethod(str)
papermill_io.register("mem://", Memory)
keys, engine = sys.argv[1], sys.argv[2] if sys.argv[2] == "runbook" else None
options = {"engine_name": engine, "progress_bar": False}
kept["mem://books/in.ipynb"] = open("in.ipynb").read()
papermill.execute_notebook("mem://books/in.ipynb", "mem://books/out.ipynb", {"keys": keys, "timeout": 3}, **options)
book = papermill.iorw.load_notebook_node("in.ipynb")
made = papermill.execute_notebook(book, None, **options, parameters={"keys": keys, "timeout": 4})
outer = papermill.execute_notebook("outer.ipynb", "outer-out.ipynb", {"keys": keys}, **options)
print(json.dumps([json.loads(kept["mem://books/out.ipynb"]), made, outer]))
"""
OUTER = """
import papermill
made = papermill.execute_notebook(
    "in.ipynb", "inner.ipynb", {{"keys": keys, "timeout": 5}}, engine_name={engine!r}, progress_bar=False
)
print(made.cells[-1].outputs[0].text)
"""


def test_from_a_script_without_a_guard_and_from_a_notebook(both: Both) -> None:
    both.write("in.ipynb", "print('timeout', timeout)")
    for engine in ENGINES:
        folder = both.folder / engine
        (folder / "program.py").write_text(SCRIPT)
        outer = notebook(OUTER.format(engine="runbook" if engine == "runbook" else None))
        nbformat.write(outer, folder / "outer.ipynb")
    done = both.python("program.py", str(both.folder / "keys"), lambda engine: engine)
    assert [one.status for one in done.values()] == [0, 0], done["runbook"].err
    said = {
        e: [nbformat.reads(json.dumps(book), as_version=4) for book in json.loads(one.out)] for e, one in done.items()
    }
    assert [list(map(printed, books)) for books in said.values()] == 2 * [
        ["timeout 3\n", "timeout 4\n", "timeout 5\n\n"]
    ]
    assert list(map(cells, said["runbook"][:2])) == list(map(cells, said["papermill"][:2]))
    assert cells(done["runbook"].book("inner.ipynb")) == cells(done["papermill"].book("inner.ipynb"))
    kept = [(record["outcome"], [step["step"] for step in record["steps"]]) for record in both.records()]
    assert sorted(kept) == [("succeeded", [name]) for name in ("in", "in", "notebook", "outer")]


def test_names_of_steps() -> None:
    told: Sequence[tuple[object, str]] = [
        ("a/01_boot strap.ipynb", "01_boot_strap"),
        ("s3://bucket/x.ipynb", "x"),
        ("https://example.org/", "notebook"),
        ("-", "notebook"),
        ('{"cells": []}', "notebook"),
        (notebook(), "notebook"),
        ("..", "notebook"),
    ]
    import papermill.engines  # first, as it looks for engines when it is imported

    from runbook_lib.archive.engine import name_of

    assert papermill.engines.papermill_engines.get_engine("runbook").__module__ == name_of.__module__
    assert [name_of(given) for given, _ in told] == [name for _, name in told]
