"""Canaries of many kinds, written and laid out in many ways: nothing of them is left, and nothing else goes."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import string
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import nbformat
import pytest

from runbook_lib.archive.redaction import Redactor, fingerprint_key
from runbook_lib.errors import ParameterError, PrerequisiteError
from tests.conftest import ROOT

KEY = bytes(range(32))
FINGERPRINT = re.compile(r"\[secret [A-Za-z0-9._-]+ [0-9a-f]{12}\]")


def redactor(**values: str) -> Redactor:
    made = Redactor(KEY)
    for name, value in values.items():
        made.add(name, value)
    return made


# ---- an independent look: undo what text may have been wrapped in, and look for the value ------------------

ANSI = re.compile(r"(?:\x1b|\\+u001b|\\+x1b)\[[0-9;]*m")
UNDO: tuple[Callable[[str], str], ...] = (
    lambda text: ANSI.sub("", text),
    lambda text: re.sub(r"</?[a-z][^>]*>", "", text),
    lambda text: re.sub(r"\\+n", "", text),
    lambda text: re.sub(r"[\s│|\"',]", "", text),
    html.unescape,
    unquote,
    unquote_plus,
    lambda text: re.sub(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1] or m[2], 16)), text),
    lambda text: text.encode("utf-8", "replace").decode("utf-8", "replace").replace("\\\\", "\\"),
    lambda text: re.sub(r"\\([\"'/])", r"\1", text),
)


def views(text: str, depth: int = 3) -> set[str]:
    """The text with every sequence of unwrappings, up to so many."""
    seen, fresh = {text}, {text}
    for _ in range(depth):
        fresh = {undo(one) for one in fresh for undo in UNDO} - seen
        seen |= fresh
    return seen


def decoded(text: str) -> Iterator[bytes]:
    """Everything that is base64 or hex in a text, decoded."""
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        plain = run.replace("-", "+").replace("_", "/")
        for skipped in range(4):
            part = plain[skipped:]
            yield base64.b64decode(part[: len(part) // 4 * 4])
            yield base64.b64decode(part + "A" * (-len(part) % 4))
    for run in re.findall(r"[0-9a-fA-F]{16,}", text):
        for skipped in range(2):
            part = run[skipped:]
            yield bytes.fromhex(part[: len(part) // 2 * 2])


def leaks(text: str, value: str) -> bool:
    """Whether a value can be read out of a text by undoing what it was wrapped in."""
    squeezed = re.sub(r"[\s│|\"',]", "", value)
    for view in views(text):
        if value in view or squeezed in re.sub(r"[\s│|\"',]", "", view):
            return True
        if any(value.encode() in plain for plain in decoded(view)):
            return True
    return False


# ---- the canaries ------------------------------------------------------------------------------------------

SECRETS: dict[str, Callable[[random.Random], str]] = {
    "token": lambda r: "".join(r.choices(string.ascii_letters + string.digits + "-_", k=32)),
    "uuid": lambda r: "-".join("".join(r.choices("0123456789abcdef", k=k)) for k in (8, 4, 4, 4, 12)),
    "base64": lambda r: base64.b64encode(r.randbytes(32)).decode(),
    "password": lambda r: "".join(r.choices(string.ascii_letters + string.digits + "!#$%&()*+./:;<=>?@[]^{}~", k=20)),
    "words": lambda r: " ".join("".join(r.choices(string.ascii_lowercase, k=6)) for _ in range(4)),
    "foreign": lambda r: "".join(r.choices("äöüßéèñøпарольсекрет" + string.ascii_letters, k=24)),
    "signs": lambda r: "".join(r.choices("!#$%&()*+-./:;<=>?@[]^{}~", k=12)) + r.choice("abc"),
    "short": lambda r: "".join(r.choices(string.ascii_letters + string.digits, k=8)),
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda s: json.dumps(s)[1:-1],
    "json, not ascii": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "json twice": lambda s: json.dumps(json.dumps(s))[1:-1],
    "python": lambda s: repr(s)[1:-1],
    "ascii": lambda s: ascii(s)[1:-1],
    "html": html.escape,
    "html numbers": lambda s: "".join(c if c.isalnum() and c.isascii() else f"&#{ord(c)};" for c in s),
    "html hex": lambda s: "".join(c if c.isalnum() and c.isascii() else f"&#x{ord(c):X};" for c in s),
    "url": lambda s: quote(s, safe=""),
    "url, lower": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s)),
    "url plus": quote_plus,
    "url twice": lambda s: quote(quote(s)),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, bare": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    "base64 of more, 1": lambda s: base64.b64encode(b"a" + s.encode() + b"end").decode(),
    "base64 of more, 2": lambda s: base64.urlsafe_b64encode(b"user:" + s.encode() + b"\n").decode(),
    "base64 of more, 0": lambda s: base64.urlsafe_b64encode(b"admin:" + s.encode() + b"!?").decode(),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
}


def pieces(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)]


LAYOUTS: dict[str, Callable[[str, int], str]] = {
    "whole": lambda s, _: s,
    "lines": lambda s, n: "\n".join(pieces(s, n)),
    "indented": lambda s, n: textwrap.indent("\n".join(pieces(s, n)), "    "),
    "colours": lambda s, n: "".join(f"\x1b[3{i % 8}m{p}\x1b[0m" for i, p in enumerate(pieces(s, n))),
    "table": lambda s, n: "\n".join(f"│ {p:<{n}} │" for p in pieces(s, n)),
    "columns": lambda s, n: "\n".join(f"| {p} |" for p in pieces(s, n)),
    "tags": lambda s, n: "".join(f'<span class="k">{p}</span>' for p in pieces(s, n)),
    "list": lambda s, n: ",\n ".join(f'"{p}"' for p in pieces(s, n)),
    "line ends written out": lambda s, n: "\\n".join(pieces(s, n)),
}
CONTAINERS: dict[str, Callable[[str], str]] = {
    "alone": str,
    "a sentence": lambda s: f"The token is: {s}\nand more follows.\n",
    "a path": lambda s: f"C:\\new {s} \\n",
    "an option": lambda s: f"--token='{s}' --next",
    "an address": lambda s: f"https://example.com/?a=1&token={s}&b=2",
    "markup": lambda s: f"<pre><b>x</b>{s}</pre>",
    "a document": lambda s: json.dumps({"outputs": [{"text": s + " end"}]}),
}


def canaries(count: int) -> Iterator[tuple[str, str, str]]:
    r = random.Random(20)
    for number in range(count):
        kind, encoding, layout, container = (r.choice(list(x)) for x in (SECRETS, ENCODINGS, LAYOUTS, CONTAINERS))
        # An escape that a written-out line end cuts in two is neither the one nor the other to any reader.
        if layout == "line ends written out" and not encoding.startswith(("plain", "base64", "hex", "HEX")):
            layout = "lines"
        value = SECRETS[kind](r)
        text = CONTAINERS[container](LAYOUTS[layout](ENCODINGS[encoding](value), r.randint(3, 17)))
        yield f"{number}: {kind}, {encoding}, {layout}, {container}", value, text


@pytest.mark.parametrize(("value", "text"), [pytest.param(v, t, id=i) for i, v, t in canaries(240)])
def test_nothing_of_a_canary_is_left(value: str, text: str) -> None:
    keeper = redactor(canary=value)
    cleaned = keeper.text(text)
    assert FINGERPRINT.search(cleaned), (text, cleaned)
    assert keeper.found == ("canary",)
    assert not leaks(cleaned, value), cleaned
    assert keeper.text(cleaned) == cleaned


def test_the_independent_look_does_find_what_is_there() -> None:
    found = [leaks(text, value) for _, value, text in canaries(60)]
    assert sum(found) > 50


# ---- what stays, and what exactly goes ---------------------------------------------------------------------


def twenty() -> Redactor:
    r = random.Random(7)
    makers = list(SECRETS.values())
    return redactor(**{f"secret-{n}": makers[n % len(makers)](r) for n in range(20)})


@pytest.mark.parametrize(
    "file", sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("runbook_lib/*.py")]), ids=lambda file: file.name
)
def test_ordinary_text_stays_as_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert twenty().text(text) == text


def test_a_picture_stays_as_it_is() -> None:
    keeper = twenty()
    picture = {"image/png": base64.b64encode(random.Random(1).randbytes(200_000)).decode(), "size": [1, 2.5, None]}
    assert keeper.tree(picture) == picture
    assert keeper.found == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a Zq3$kk!9vbnm b", "a {} b"),
        ("a=Zq3$kk!9vbnm;", "a={};"),
        ("Zq3$kk!9vbnmZq3$kk!9vbnm", "{}{}"),
        ("Zq3$\x1b[31mkk!9\x1b[0mvbnm\x1b[0m", "{}\x1b[0m"),
        ("%5a", "%5a"),
        ("Zq3$kk!9vbn", "Zq3$kk!9vbn"),
        ("\\nZq3$kk!9vbnm\\n", "\\n{}\\n"),
        ("C:\\Zq3$kk!9vbnm", "C:\\{}"),
    ],
)
def test_nothing_but_the_value_goes(text: str, expected: str) -> None:
    keeper = redactor(key="Zq3$kk!9vbnm")
    label = FINGERPRINT.search(keeper.text("Zq3$kk!9vbnm"))
    assert label is not None
    assert keeper.text(text) == expected.replace("{}", label[0])


@pytest.mark.parametrize("value", ["$$abcdefgh12##", "((letmein99))", "--==abcdefgh==--", "ÄÖabcdefgh&<"])
@pytest.mark.parametrize("write", [str, html.escape, quote, lambda s: json.dumps(s)[1:-1]])
def test_punctuation_at_its_ends_goes_with_it(value: str, write: Callable[[str], str]) -> None:
    cleaned = redactor(key=value).text(f"x {write(value)} y")
    assert re.fullmatch(rf"x {FINGERPRINT.pattern} y", cleaned), cleaned


def test_a_letter_that_looks_like_part_of_an_escape_is_no_hiding_place() -> None:
    for value in ("newpassword42", "u00e9abcdefgh", "3fcafecafe99", "token%41bcdefgh", "ab\\ndefghijk"):
        for before in ("\\", "%", "&", "<", "&#x", "\\\\"):
            cleaned = redactor(key=value).text(f"{before}{value}; >")
            assert value not in cleaned, (before, value, cleaned)


def test_a_fingerprint_is_the_value_s_under_one_key() -> None:
    first, again = redactor(a="correct horse").text("correct horse"), redactor(a="correct horse").text("correct horse")
    assert first == again
    other = Redactor(bytes(32))
    other.add("a", "correct horse")
    assert other.text("correct horse") != first
    assert redactor(**{"odd name/ä": "correct horse"}).text("correct horse").startswith("[secret odd-name-- ")


def test_a_value_like_its_own_name_is_replaced_once() -> None:
    keeper = redactor(**{"dashboard-password": "dashboard-password", "other": "hunter2hunter2"})
    once = keeper.text("the dashboard-password, dashboard-password and hunter2hunter2")
    assert len(FINGERPRINT.findall(once)) == 3
    assert keeper.text(once) == once
    assert keeper.tree([once, {once: once}]) == [once, {once: once}]


def test_a_value_within_another_is_called_after_the_longer() -> None:
    keeper = redactor(inner="hunter2hunter2", outer="https://me:hunter2hunter2@example.com")
    assert keeper.text("go to https://me:hunter2hunter2@example.com").startswith("go to [secret outer ")
    assert keeper.text("it is hunter2hunter2").startswith("it is [secret inner ")
    assert keeper.found == ("outer", "inner")


def test_each_line_of_a_private_key_is_a_value_and_a_certificate_is_none() -> None:
    r = random.Random(3)
    body = [base64.b64encode(r.randbytes(48)).decode() for _ in range(4)]
    public, private = body[:2], body[2:]
    certificate = ["-----BEGIN CERTIFICATE-----", *public, "-----END CERTIFICATE-----"]
    pem = "\n".join([*certificate, "-----BEGIN PRIVATE KEY-----", *private, "-----END PRIVATE KEY-----", ""])
    keeper = redactor(authority=pem)
    assert keeper.text(f"only {private[1]} here").startswith("only [secret authority ")
    for stays in (public[0], "-----BEGIN PRIVATE KEY-----", "-----END CERTIFICATE-----"):
        assert keeper.text(stays) == stays
    assert FINGERPRINT.fullmatch(keeper.text(json.dumps(pem)).strip('"n\\'))


def test_a_short_value_is_refused_without_being_told() -> None:
    with pytest.raises(ParameterError, match="too short") as refused:
        redactor(pin=" 1234567\n")
    assert "1234567" not in str(refused.value)


# ---- trees -------------------------------------------------------------------------------------------------


def test_a_tree_is_copied_with_its_keys() -> None:
    tree = {"hunter2hunter2": [1, True, None, {"x": "say hunter2hunter2", "y": ("a", 2.5)}]}
    cleaned = redactor(key="hunter2hunter2").tree(tree)
    label = next(iter(cleaned))
    assert FINGERPRINT.fullmatch(label)
    assert cleaned == {label: [1, True, None, {"x": f"say {label}", "y": ["a", 2.5]}]}
    assert "hunter2hunter2" in tree


def test_a_value_split_over_the_lines_of_a_list_is_found() -> None:
    keeper = redactor(key="hunter2hunter2")
    cleaned = keeper.tree({"text": ["a hunt\n", "er2hun\n", "ter2 b", "c"], "next": ["hunter2", {"no": 1}, "hunter2"]})
    assert re.fullmatch(rf"a {FINGERPRINT.pattern}", cleaned["text"][0])
    assert cleaned["text"][1:] == ["", " b", "c"]
    assert cleaned["next"] == ["hunter2", {"no": 1}, "hunter2"]


def test_two_values_in_one_string_and_across_strings() -> None:
    keeper = redactor(one="hunter2hunter2", two="correcthorse")
    first, second = keeper.tree(["x hunter2hunter2 correct\n", "horse, hunter2hunter2"])
    assert re.fullmatch(r"x \[secret one \w+\] \[secret two \w+\]", first)
    assert re.fullmatch(r", \[secret one \w+\]", second)


def test_a_notebook_stays_a_notebook() -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('hunter2hunter2')")])
    book.cells[0].outputs.append(nbformat.v4.new_output("stream", text="hunter2\x1b[31mhunter2\n"))
    cleaned: Any = redactor(key="hunter2hunter2").tree(book)
    nbformat.validate(cleaned)
    assert "hunter2" not in nbformat.writes(cleaned)
    assert FINGERPRINT.search(cleaned.cells[0].outputs[0].text)


# ---- the key -----------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_is_its_owner_s(tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "demo" / "archive"
    key = fingerprint_key(folder)
    assert len(key) == 32
    assert fingerprint_key(folder) == key
    file = folder / "fingerprint-key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(PrerequisiteError, match="open to other accounts"):
        fingerprint_key(folder)


@pytest.mark.parametrize("content", ["", "abcd", "no hex at all"])
def test_a_damaged_key_is_refused_without_being_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "fingerprint-key").write_text(content)
    (tmp_path / "fingerprint-key").chmod(0o600)
    with pytest.raises(PrerequisiteError, match="cannot be made or read") as refused:
        fingerprint_key(tmp_path)
    assert not content or content not in str(refused.value)
