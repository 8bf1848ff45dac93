"""The ways in which a value may be written, and what lays text out around and within it. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from html.entities import codepoint2name
from urllib.parse import quote, quote_plus

LINE = 16  # characters of a line of a longer value that is a value of its own

# What lays text out. A terminal's control sequences are those of ECMA-48, as they are or with the escape written out.
# A backslash that is escaped again is several; so many are enough, and a long run of them costs no time.
_SLASH = r"\\\\{0,15}"
_CONTROL = r"\[[0-?]*[ -/]*[@-~]"
_ANSI = rf"\x1b{_CONTROL}|{_SLASH}(?:u001[bB]|x1[bB]|033){_CONTROL}"
_TAG = (
    r"</?(?:a|b|i|u|p|g|br|em|tt|td|th|tr|li|ul|ol|hr|dd|dt|div|pre|code|span|font|mark|wbr|small|strong|"
    r"table|tbody|thead|text|tspan)\b[^<>]*>"
)
_BREAK = rf"{_SLASH}(?:[nrt]|u250[0-3])"  # line ends, and the borders of tables
_ENCODED = (
    rf"{_SLASH}(?:u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}}|x[0-9a-fA-F]{{2}}|[bf])"
    r"|%(?:25)*[0-9a-fA-F]{2}|&(?:amp;)*(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});"
)
# What is left out of the text besides punctuation, in three ways, as what one takes for an escape is another's first
# letter. Every alternative begins with one certain character, by which `re` looks for it fast.
FORMS = tuple(
    re.compile("|".join(parts))
    for parts in (
        (_ANSI, _TAG, _ENCODED, _BREAK),  # every escape: values written in a mixture of ways
        (_ANSI, _TAG, _BREAK),  # layout alone: an escape that a line end cuts in two
        (_ANSI,),  # letters and digits all stay: values beside a backslash, or in a tag
    )
)
# What `letters` leaves out after a form has been: as bytes, and as a pattern that goes after the form's own.
_PUNCTUATION = bytes(code for code in range(128) if not chr(code).isalnum())
OTHER = r"[^0-9A-Za-z\x1b\\&%<]+|[^0-9A-Za-z]"


def letters(form: re.Pattern[str], text: str) -> str:
    """What a form leaves of a text: letters and digits, of ASCII alone, as others are escaped in many ways."""
    return form.sub("", text).encode("ascii", "replace").translate(None, _PUNCTUATION).decode("ascii")


def lines(value: str) -> Iterator[str]:
    """Lines of a longer value that are values themselves: of PEM, those of private keys alone."""
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) < 2:
        return
    pem, private = "-----BEGIN " in value, False
    for line in lines:
        if line.startswith("-----"):
            private = line.startswith("-----BEGIN ") and "PRIVATE KEY" in line
        elif len(line) >= LINE and (private or not pem):
            yield line


def spellings(value: str) -> Iterator[str]:
    """The value in the escapes of JSON, Python, HTML and URLs, some of them twice."""
    yield value
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield from (once, json.dumps(once)[1:-1], once.replace("/", "\\/"))
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(value.encode("utf-8", "surrogatepass"))[2:-1])
    yield from (html.escape(value, quote=False), html.escape(value), html.escape(html.escape(value)))
    for entity in ("&#{};", "&#x{:x};", "&#x{:X};"):
        yield "".join(c if c.isascii() and c.isalnum() else entity.format(ord(c)) for c in value)
    raw = value.encode("utf-8", "surrogatepass")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield from (quoted, quote(quoted), quote(quoted, safe=""))
        yield re.sub(r"%..", lambda match: match[0].lower(), quoted)


def codes(value: str) -> Iterator[str]:
    """The value in hex and in base64: by itself, and as the part of a longer text that it alone decides."""
    raw = value.encode("utf-8", "surrogatepass")
    yield from (raw.hex(), raw.hex().upper())
    for before in range(3):
        # A character is 6 bits: those that hold a bit of what comes before or after are not the value's own.
        own = slice((8 * before + 5) // 6, 8 * (before + len(raw)) // 6)
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            text = alphabet(bytes(before) + raw).decode("ascii")
            yield text[own]
            if not before:
                yield text


def spelled(value: str) -> str:
    """A pattern for a text with few letters, or none: each character in any way of writing it, layout anywhere."""
    return gap(value).join(_character(c, gap(value, within=True)) for c in "".join(value.split()))


def gap(value: str, *, within: bool = False) -> str:
    """A pattern for layout; what the value itself is made of is no layout, so that there is one way to read a text.

    Within an escape it is a shorter one, as there are many and each takes its time to compile.
    """
    marks = "".join(mark for mark in "│┃║|\"'," if mark not in value)
    quotes = "".join(mark for mark in "\"'" if mark in marks)
    # A line end, quote or border, written out.
    escape = "" if "\\" in value else rf"|{_SLASH}(?:[nrt{quotes}]|u250[0-3])"
    if within:
        return rf"[\s{marks}]*+(?:(?:\x1b{_CONTROL}|</?[a-z][^<>]*>{escape})[\s{marks}]*+)*"
    return rf"(?:[\s{marks}]|{_ANSI}|{_TAG}{escape})*"


def _character(c: str, gap: str) -> str:
    if c.isascii() and c.isalnum():
        return c
    raw, number = c.encode("utf-8", "surrogatepass"), ord(c)
    ways = {c, json.dumps(c)[1:-1], ascii(c)[1:-1], repr(raw)[2:-1], html.escape(c)}
    ways |= {f"&#{number};", f"&#x{number:x};", f"&#x{number:X};", f"&{codepoint2name.get(number, f'#{number}')};"}
    ways |= {"".join(f"%{byte:{case}}" for byte in raw) for case in ("02x", "02X")}
    # Escaped again, an escape begins with more backslashes, with %25 or with &amp;
    again = {"\\": r"\\+", "%": "%(?:25)*", "&": "&(?:amp;)*"}
    patterns = [gap.join(again.get(sign, re.escape(sign)) for sign in way) for way in sorted(ways, key=_longest)]
    return f"(?:{'|'.join(patterns)})"


def _longest(text: str) -> tuple[int, str]:
    return -len(text), text
