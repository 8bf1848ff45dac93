"""The record as something to read: ``index.html`` of a run, and each executed notebook as a page of its own.

Every page stands alone: it loads nothing, runs nothing, and a policy in its head tells the browser to see to that,
whatever an output holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from . import words
from .durable import replace
from .record import REPORT, CellRecord, RunRecord, StepRecord

if TYPE_CHECKING:
    from nbconvert import HTMLExporter

SVG = "image/svg+xml"
BITMAPS = ("image/png", "image/jpeg", "image/gif")
# A CSS colour class for each way to end.
GOOD, BAD = ("succeeded",), ("failed", "timed out", "out of memory", "kernel died", "killed", "machine gone", "cut off")
# What a picture has no need of, and what could do more than be looked at where somebody opens it by itself.
_ACTIVE = {"script", "foreignObject", "iframe", "object", "embed", "audio", "video", "metadata"}
# How a picture of ours begins: see ``pictures.picture``.
_PICTURE = re.compile(rf'<figure[^<>]*><img alt="[^"]*" src="data:{re.escape(SVG)},([^"]*)"')
_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of the run's time; per cent of the whole.

    Args:
        left: where it begins.
        width: how long it is.
        outcome: how it ended.
        title: what it is.
    """

    left: float
    width: float
    outcome: str
    title: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture among a notebook's outputs.

    Args:
        step: whose.
        heading: the notebook's last heading above it.
        alt: what it shows, in words, as far as the output says so.
        uri: the picture itself, as a ``data:`` address; empty if it cannot be shown.
    """

    step: str
    heading: str
    alt: str
    uri: str


def write(record: RunRecord, state: str = "") -> Path:
    """Write a run's ``index.html``, from its record and what is in its folder; pages to be linked must be there.

    Args:
        record: the run.
        state: what ``history.state`` tells of it; the record's outcome by default.

    Raises:
        OSError: the folder cannot be read or written; an older report is untouched.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("runbook_lib"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {
        "duration": words.duration,
        "moment": words.moment,
        "text": text,
        "tally": words.tally,
        "file": lambda name: quote(name, safe=""),
        "kind": kind,
    }
    books = {step.step: _read(record.folder / step.notebook) for step in record.steps}
    files = {
        step.step: Files.of(record.folder, step) for step in record.steps if (record.folder / step.notebook).is_file()
    }
    content = environment.get_template("report.html.j2").render(
        record=record,
        state=state or record.outcome,
        sentence=words.sentence(record, state),
        end=words.ended_in(record),
        bars=timeline(record),
        parameters=parameters(record),
        images=[image for step in record.steps for image in images(step, books[step.step])],
        files=files,
        checks=[check for step in record.steps for check in step.checks],
        cells={step.step: Counter(cell.outcome for cell in step.cells) for step in record.steps},
        resumed=bool(record.resumes) and (record.folder.parent / record.resumes / REPORT).is_file(),
    )
    target = record.folder / REPORT
    replace(target, content.encode())
    return target


def export(notebook: Path, exporter: HTMLExporter | None = None) -> Path:
    """Write an executed notebook beside it as a page that stands alone. Formulas stay as they were typed.

    Args:
        notebook: the file.
        exporter: whoever writes several pages saves time by making one for them all.

    Raises:
        OSError: it cannot be read, or its folder not written; an older page is untouched.
        ValueError: it is no notebook.
    """
    import nbformat

    try:
        book = nbformat.reads(notebook.read_text(encoding="utf-8"), as_version=4)
    except (AttributeError, nbformat.ValidationError) as error:  # JSON, but of another kind
        raise ValueError(f"{notebook} is no notebook: {error}") from None
    content, _ = (exporter or new_exporter()).from_notebook_node(book, {"metadata": {"name": notebook.stem}})
    target = notebook.with_suffix(".html")
    replace(target, content.encode())
    return target


def new_exporter() -> HTMLExporter:
    """What makes pages of notebooks. Loading it takes about half a second once, and itself a tenth."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_file=str(_TEMPLATES / "notebook.html.j2"), exclude_anchor_links=True)
    exporter.log = logging.getLogger(f"{__name__}.quiet")  # it complains of pictures that have no words
    exporter.log.setLevel(logging.ERROR)
    return exporter


# ---- pure ----------------------------------------------------------------------------------------------------


def timeline(record: RunRecord) -> dict[str, tuple[Bar, list[Bar]]]:
    """Each step that began, and its cells, against the run's time."""
    begun = words.when(record.started)
    if begun is None:
        return {}

    def since(part: StepRecord | CellRecord) -> float | None:
        at = words.when(part.started)
        return (at - begun).total_seconds() if at else None

    parts: list[StepRecord | CellRecord] = [*record.steps, *(cell for step in record.steps for cell in step.cells)]
    whole = max([words.elapsed(record), *((since(part) or 0) + part.seconds for part in parts), 0.001])

    def bar(part: StepRecord | CellRecord, name: str, at: float) -> Bar:
        left = min(100.0, max(0.0, 100 * at / whole))
        width = min(100 - left, 100 * part.seconds / whole)
        return Bar(
            round(left, 3), round(width, 3), part.outcome, f"{name}: {part.outcome}, {words.duration(part.seconds)}"
        )

    found = {}
    for step in record.steps:
        if (at := since(step)) is not None:
            cells = [(c, f"cell {c.index}" + (f", {c.heading}" if c.heading else ""), since(c)) for c in step.cells]
            found[step.step] = (
                bar(step, step.step, at),
                [bar(cell, name, cell_at) for cell, name, cell_at in cells if cell_at is not None],
            )
    return found


def parameters(record: RunRecord) -> list[tuple[str, str, str, bool]]:
    """Name, value, source and whether it was given, of each parameter; those given first."""
    rows = [
        (name, text(value), source, source not in ("", "default"))
        for name, value in record.parameters.items()
        for source in [str(record.sources.get(name, ""))]
    ]
    return sorted(rows, key=lambda row: not row[3])


def images(step: StepRecord, notebook: Mapping[str, Any]) -> Iterator[Image]:
    """Every picture among a notebook's outputs, with the heading above it; a session's has only those on record."""
    from .notebooks import headings_of

    cells = [{**cell, "source": _joined(cell.get("source"))} for cell in notebook.get("cells", ())]
    known = {cell.index: cell.heading for cell in step.cells}
    for place, (above, cell) in enumerate(zip(headings_of(cells), cells, strict=True)):
        heading = above or known.get(place, "")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            alt = _joined(data.get("text/plain"))
            alt = "" if alt.startswith("<") else alt
            if svg := _joined(data.get(SVG)) or _drawn(_joined(data.get("text/html"))):
                yield Image(step.step, heading, alt, still(svg))
            elif found := next((kind for kind in BITMAPS if kind in data), None):
                yield Image(step.step, heading, alt, _bitmap(found, _joined(data[found])))


def still(svg: str) -> str:
    """An SVG as a ``data:`` address, without what could act or load; empty if it is no XML."""
    try:
        picture = minidom.parseString(svg.encode()).documentElement
    except ExpatError:
        return ""
    assert picture is not None, "what parses has an element"
    _calm(picture)
    return f"data:{SVG};base64,{base64.b64encode(picture.toxml().encode()).decode()}"


def text(value: Any) -> str:
    """A value for a reader."""
    if value is None or value == "":
        return "–"  # noqa: RUF001 - a dash stands for nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text(item)}" for name, item in value.items()) or "–"  # noqa: RUF001
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value)) or "–"  # noqa: RUF001
    return str(value)


def kind(outcome: str) -> str:
    """The class of an outcome's colour: ``good``, ``bad`` or ``other``."""
    return "good" if outcome in GOOD else "bad" if outcome in BAD else "other"


# ---- underneath ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Files:
    """What there is of an executed notebook.

    Args:
        sha256: of the notebook as it is now.
        page: file name of its page; empty if there is none.
    """

    sha256: str
    page: str

    @classmethod
    def of(cls, folder: Path, step: StepRecord) -> Files:
        """Look at the folder."""
        file = folder / step.notebook
        page = file.with_suffix(".html")
        return cls(hashlib.sha256(file.read_bytes()).hexdigest(), page.name if page.is_file() else "")


def _read(notebook: Path) -> Mapping[str, Any]:
    # A notebook that was not begun is not there; one that is no notebook has no pictures, and the link shows it.
    try:
        found = json.loads(notebook.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _calm(element: Any) -> None:
    for name in list(element.attributes.keys()):
        plain = name.rsplit(":", 1)[-1].lower()
        value = element.getAttribute(name).strip()
        if plain.startswith("on") or (plain in ("href", "src") and not value.startswith(("#", "data:image/"))):
            element.removeAttribute(name)
    for child in list(element.childNodes):
        if child.nodeType == child.ELEMENT_NODE:
            if child.localName in _ACTIVE:
                element.removeChild(child)
            else:
                _calm(child)


def _drawn(page: str) -> str:
    """The SVG of one of this package's pictures, which are HTML with an image in it; empty if it is none."""
    found = _PICTURE.match(page)
    return unquote(html.unescape(found[1])) if found else ""


def _bitmap(mime: str, content: str) -> str:
    packed = "".join(content.split())
    try:
        base64.b64decode(packed, validate=True)
    except binascii.Error:
        return ""
    return f"data:{mime};base64,{packed}"


def _joined(source: str | Sequence[str] | None) -> str:
    return source if isinstance(source, str) else "".join(source or ())
