"""The list filter language of the Compute API; pure.

Two dialects, as clients use them: comparisons with ``= != < <= > >= :`` (AIP-160, where ``*`` in a text stands
for anything), and the older ``eq`` and ``ne``, whose value is a regular expression that must match the whole
field. ``AND``, ``OR``, ``NOT``, ``-`` and parentheses combine them; expressions side by side are ANDed. A field
that repeats matches if any of its items does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Predicate = Callable[[Mapping[str, Any]], bool]
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<paren>[()])
    | (?P<op><=|>=|!=|=|<|>|:)
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<word>[^\s()"'=<>!:]+(?:://[^\s()"'=<>!]*)?)
    )""",
    re.X,
)
_OPERATORS = {"=", "!=", "<", "<=", ">", ">=", ":", "eq", "ne"}


class FilterError(ValueError):
    """The expression is not one of the language."""


def compile_filter(text: str, known: frozenset[str] = frozenset()) -> Predicate:
    """The predicate that a filter expression stands for.

    Args:
        text: the expression; empty accepts everything.
        known: names that may stand first in a field path; empty allows all.

    Raises:
        FilterError: the expression cannot be read, or names an unknown field.
    """
    if not text.strip():
        return lambda document: True
    parser = _Parser(list(_tokens(text)), known)
    predicate = parser.either()
    if parser.peek()[0]:
        raise FilterError(f"unexpected {parser.peek()[1]!r}")
    return predicate


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if not match or not match.lastgroup:
            raise FilterError(f"cannot read {text[position:]!r}")
        position = match.end()
        value = match[match.lastgroup]
        if match.lastgroup in ("double", "single"):
            yield "text", re.sub(r"\\(.)", lambda m: m[1] if m[1] in "\"'" else m[0], value)
        else:
            yield match.lastgroup, value


class _Parser:
    """Recursive descent: either -> both -> one."""

    def __init__(self, tokens: list[tuple[str, str]], known: frozenset[str]) -> None:
        self._tokens = tokens
        self._known = known
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        token = self.peek()
        if not token[0]:
            raise FilterError("the expression ends too early")
        self._at += 1
        return token

    def either(self) -> Predicate:
        parts = [self._both()]
        while self.peek() == ("word", "OR"):
            self._next()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self.peek()[0] and self.peek() not in (("word", "OR"), ("paren", ")")):
            if self.peek() == ("word", "AND"):
                self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _one(self) -> Predicate:
        kind, value = self._next()
        if (kind, value) == ("word", "NOT") or (kind, value) == ("word", "-"):
            inner = self._one()
            return lambda document: not inner(document)
        if (kind, value) == ("paren", "("):
            inner = self.either()
            if self._next() != ("paren", ")"):
                raise FilterError("a parenthesis is not closed")
            return inner
        if kind not in ("word", "text") or (kind, value) == ("word", "AND"):
            raise FilterError(f"unexpected {value!r}")
        negated = kind == "word" and value.startswith("-")
        compare = self._comparison(value[1:] if negated else value)
        return (lambda document: not compare(document)) if negated else compare

    def _comparison(self, field: str) -> Predicate:
        _, operator = self._next()
        if operator not in _OPERATORS:
            raise FilterError(f"{operator!r} is not a comparison")
        kind, wanted = self._next()
        if kind not in ("word", "text"):
            raise FilterError(f"{wanted!r} is not a value")
        path = field.split(".")
        if self._known and path[0] not in self._known:
            raise FilterError(f"unknown field {field!r}")
        matches = _matcher(operator, wanted, kind == "word")
        if operator in ("!=", "ne"):
            return lambda document: not any(matches(value) for value in _values(document, path))
        return lambda document: any(matches(value) for value in _values(document, path))


def _values(node: Any, path: list[str]) -> Iterator[Any]:
    """Every value at a path, lists flattened."""
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])


def _matcher(operator: str, wanted: str, bare: bool) -> Callable[[Any], bool]:
    if operator in ("eq", "ne"):
        try:
            pattern = re.compile(wanted)
        except re.error as error:
            raise FilterError(f"{wanted!r} is not a regular expression") from error
        return lambda value: pattern.fullmatch(_text(value)) is not None
    if operator == ":" and bare and wanted == "*":
        return lambda value: True
    if operator in ("=", "!=", ":"):
        anything = re.compile(".*".join(re.escape(part) for part in wanted.split("*")), re.S | re.I)
        if operator == ":":
            # "has" on a map asks for a key; on a text, for a part of it.
            return lambda value: (
                wanted in value
                if isinstance(value, Mapping)
                else (anything.fullmatch(_text(value)) or anything.search(_text(value))) is not None
            )
        return lambda value: anything.fullmatch(_text(value)) is not None
    return lambda value: _ordered(operator, value, wanted)


def _ordered(operator: str, value: Any, wanted: str) -> bool:
    left: Any
    right: Any
    try:
        left, right = float(value), float(wanted)
    except (TypeError, ValueError):
        left, right = _text(value), wanted
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
