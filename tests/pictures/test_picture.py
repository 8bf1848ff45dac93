from __future__ import annotations

import html
import json
import re
from pathlib import Path
from urllib.parse import unquote
from xml.dom import minidom

import nbformat

from runbook_lib.archive import report
from runbook_lib.archive.record import StepRecord
from runbook_lib.pictures.picture import Picture
from tests.pictures.seen import inside, words

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>50 % "of" &amp; #1 ✗</text></svg>'


def test_the_text_alternative_is_the_images_own() -> None:
    page = Picture(SVG, 'a "quoted" <b>', "one\ntwo <i>")._repr_html_()
    assert '<img alt="a &quot;quoted&quot; &lt;b&gt;" src="data:image/svg+xml,' in page
    assert "<summary>In words</summary><p>one</p><p>two &lt;i&gt;</p>" in page
    assert "<details>" not in Picture(SVG, "a line")._repr_html_()


def test_the_image_is_whole_and_kept_once() -> None:
    picture = Picture(SVG, "a square")
    assert inside(picture) == picture.svg
    assert words(picture) == ['50 % "of" & #1 ✗']
    assert not hasattr(picture, "_repr_svg_"), "the notebook would keep it twice, and show the one without words"


def test_in_a_terminal_it_is_its_words() -> None:
    picture = Picture(SVG, "A square.", "Red.\nSmall.")
    assert repr(picture) == "A square.\nRed.\nSmall."
    assert picture.alt == "A square. Red.\nSmall."


def test_the_report_finds_it_in_a_saved_notebook() -> None:
    picture = Picture(SVG, "a square")
    data = {"text/html": picture._repr_html_(), "text/plain": repr(picture)}
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("execute_result", data)])
    plain = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", {"text/html": "<p>x</p>"})])
    book = json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=[cell, plain])))
    [image] = report.images(StepRecord("s", "s.ipynb"), book)
    assert image.alt == "a square"
    assert image.uri == report.still(picture.svg)
    assert minidom.parseString(picture.svg)


def test_our_page_shows_it_with_its_words(tmp_path: Path) -> None:
    picture = Picture(SVG, "a square", "all of it")
    output = nbformat.v4.new_output("execute_result", {"text/html": picture._repr_html_()})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    nbformat.write(book, tmp_path / "00_x.ipynb")
    page = report.export(tmp_path / "00_x.ipynb").read_text()
    [source] = re.findall(r'<img alt="a square" src="data:image/svg\+xml,([^"]*)"', page)
    assert unquote(html.unescape(source)) == picture.svg
    assert "<summary>In words</summary><p>all of it</p>" in page
    assert "img-src data:" in page
