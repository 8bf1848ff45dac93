"""Taking secrets out of what is saved: each value is found however it is written, and a fingerprint put in its place.

Text is compared without what only lays it out. Letters and digits alone are left of it, and likewise of each way of
writing a value; what is then found is cut out of the text itself. That finds a value across line ends, colour codes,
table borders, tags and quotes without a list of all their mixtures.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import private_files
from ..errors import ParameterError, PrerequisiteError
from . import spellings

SHORTEST = 8  # characters of a value; anything shorter is in ordinary text by chance
DIGITS = 12  # hex digits of a fingerprint: 48 bits

# Between strings that do not follow one another in a list.
_APART = "\n\0X\0\n"
BEGUN = 4  # letters by which the beginning of a value is told from other text
_WINDOW = 400  # characters looked through for the punctuation that a value begins with


@dataclass(frozen=True, slots=True)
class _Value:
    """What is known of a value: whose it is, what takes its place, and the punctuation at its ends, if to be cut."""

    name: str
    label: str
    head: re.Pattern[str] | None = None
    tail: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class _Find:
    start: int
    end: int
    value: _Value


class Redactor:
    """Replaces registered values by fingerprints such as ``[secret dashboard-password 1a2b3c4d5e6f]``.

    The fingerprint is HMAC-SHA256 of the value: equal values have equal ones under one key, and without the key
    nobody can try candidates.

    Args:
        key: of the fingerprints; see ``fingerprint_key``.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._labels: dict[str, str] = {}  # value -> what takes its place
        self._needles: tuple[dict[str, _Value], ...] = tuple({} for _ in spellings.FORMS)
        self._patterns: list[tuple[re.Pattern[str], _Value]] = []
        self._seen: dict[str, None] = {}

    def __len__(self) -> int:
        """How many values are registered."""
        return len(self._labels)

    @property
    def found(self) -> tuple[str, ...]:
        """Names of the values that were found and replaced so far, in the order first found."""
        return tuple(self._seen)

    def add(self, name: str, value: str) -> None:
        """Register a value; a second time, or under a second name, changes nothing.

        Args:
            name: what the fingerprint calls it.
            value: any text; blanks and line ends around it do not count.

        Raises:
            ParameterError: it is too short to be told from ordinary text.
        """
        value = value.strip()
        if len(value) < SHORTEST:
            raise ParameterError(
                f"the secret {name} is too short to be kept out of records",
                resource=name,
                expected=f"at least {SHORTEST} characters",
                seen=f"{len(value)} characters",
                remedy="choose a longer one; a short one cannot be told from ordinary text",
            )
        if value in self._labels:
            return
        digest = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        label = f"[secret {re.sub(r'[^A-Za-z0-9._-]', '-', name)} {digest[:DIGITS]}]"
        self._labels[value] = label
        for part in (value, *spellings.lines(value)):
            self._register(part, name, label)

    def text(self, text: str) -> str:
        """A text with every registered value replaced; itself if there is none in it."""
        return self._clean([("", text)])[0]

    def tree(self, value: Any) -> Any:
        """A copy of what JSON can hold, keys included, with every registered value replaced.

        A value that is split over consecutive strings of a list, as notebooks keep lines, is found as well: its
        fingerprint stands in the first of them.
        """
        return _rebuilt(value, iter(self._clean(list(_strings(value)))))

    def unfinished(self, text: str) -> int:
        """Where a value begins that more text may complete; the text's length if none does.

        Less than ``BEGUN`` letters of a value are not noticed, nor is one that has hardly any letters.
        """
        found = len(text)
        for form, needles in zip(spellings.FORMS, self._needles, strict=True):
            letters = spellings.letters(form, text)
            begun = [at for needle in needles if (at := _begun(needle, letters)) is not None]
            if begun:
                found = min(found, _Places(form, text).span(min(begun), min(begun) + 1)[0])
        return found

    def whole_lines(self, text: str) -> int:
        """How much of a text can be shown before more of it comes: lines in which no value begins that goes on."""
        if "\n" not in text:
            return 0
        end, finds = self.unfinished(text), self._merged(text)
        while True:
            end = text.rfind("\n", 0, end) + 1
            cut = next((find for find in finds if find.start < end < find.end), None)
            if cut is None:
                return end
            end = cut.start

    # ---- registering -------------------------------------------------------------------------------------

    def _register(self, value: str, name: str, label: str) -> None:
        ends = re.fullmatch(r"([^0-9A-Za-z]*)(.*?)([^0-9A-Za-z]*)", value, re.DOTALL)
        assert ends is not None
        head, tail = (spellings.spelled(end) for end in ends.group(1, 3))
        gap = spellings.gap(value)
        written = _Value(
            name,
            label,
            re.compile(rf"{head}{gap}\Z") if head else None,
            re.compile(rf"{gap}{tail}") if tail else None,
        )
        inside = _Value(name, label)  # within base64 and hex, what is beside it is something else's
        for variants, entry in ((spellings.spellings(value), written), (spellings.codes(value), inside)):
            for variant in set(variants):
                forms = [spellings.letters(form, variant) for form in spellings.FORMS]
                for needles, needle in zip(self._needles, forms, strict=True):
                    if len(needle) >= SHORTEST:
                        needles.setdefault(needle, entry)
                if min(map(len, forms)) < SHORTEST and (entry is inside or variant == value):
                    self._patterns.append((re.compile(spellings.spelled(variant)), inside))

    # ---- finding -----------------------------------------------------------------------------------------

    def _clean(self, parts: list[tuple[str, str]]) -> list[str]:
        """The strings with values replaced; each comes with what is to be read between it and the one before."""
        text = "".join(gap + string for gap, string in parts)
        finds = self._merged(text)
        if not finds:
            return [string for _, string in parts]
        cleaned, end, at, placed = [], 0, 0, False
        for gap, string in parts:
            start = end + len(gap)
            position, end = start, start + len(string)
            kept = []
            while at < len(finds) and finds[at].start < end:
                find = finds[at]
                kept.append(text[position : max(find.start, position)])
                if not placed:
                    kept.append(find.value.label)
                    self._seen.setdefault(find.value.name)
                position, placed = max(position, min(find.end, end)), find.end > end
                if placed:
                    break
                at += 1
            cleaned.append("".join(kept) + text[position:end])
        return cleaned

    def _merged(self, text: str) -> list[_Find]:
        """Where to cut, in order: finds that overlap are one, called after the longest."""
        taken = self._replaced_before(text)
        merged: list[_Find] = []
        for find in sorted(self._finds(text), key=lambda find: (find.start, -find.end)):
            before = bisect_right(taken, (find.start, len(text))) - 1
            if before >= 0 and find.end <= taken[before][1]:
                continue
            if merged and find.start < merged[-1].end:
                last = merged[-1]
                longest = max(last, find, key=lambda one: one.end - one.start)
                merged[-1] = _Find(last.start, max(last.end, find.end), longest.value)
            else:
                merged.append(find)
        return merged

    def _replaced_before(self, text: str) -> list[tuple[int, int]]:
        """Where the fingerprints are that stand there already: a value may be like a name in one."""
        if "[secret " not in text:
            return []
        labels = "|".join(map(re.escape, sorted(set(self._labels.values()))))
        return [match.span() for match in re.finditer(labels, text)] if labels else []

    def _finds(self, text: str) -> Iterator[_Find]:
        for form, needles in zip(spellings.FORMS, self._needles, strict=True):
            letters = spellings.letters(form, text)
            here = [needle for needle in needles if needle in letters]
            if here:
                places = _Places(form, text)
                for needle in here:
                    for at in _occurrences(needle, letters):
                        yield _widened(places.span(at, at + len(needle)), needles[needle], text)
        for pattern, value in self._patterns:
            for match in pattern.finditer(text):
                yield _Find(*match.span(), value)


class _Places:
    """Where in a text the letters and digits that ``spellings.letters`` leaves of it are."""

    def __init__(self, form: re.Pattern[str], text: str) -> None:
        self._letters, self._text = [0], [0]  # starts of each run, in what is left and in the text
        left, last = 0, 0
        for match in re.finditer(rf"{form.pattern}|{spellings.OTHER}", text):
            left += match.start() - last
            last = match.end()
            self._letters.append(left)
            self._text.append(last)

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self._place(start), self._place(end - 1) + 1

    def _place(self, at: int) -> int:
        run = bisect_right(self._letters, at) - 1
        return self._text[run] + at - self._letters[run]


def _begun(needle: str, letters: str) -> int | None:
    """Where a text's end is the beginning of a needle, and not all of it."""
    at = letters.find(needle[:BEGUN], max(0, len(letters) - len(needle) + 1))
    while at >= 0:
        if needle.startswith(letters[at:]):
            return at
        at = letters.find(needle[:BEGUN], at + 1)
    return None


def fingerprint_key(folder: Path) -> bytes:
    """The key of a deployment's fingerprints: made at the first call, the same one ever after.

    Args:
        folder: ``<params.keys>/<deployment>/archive``; the file in it is ``fingerprint-key``, mode 0600.

    Raises:
        PrerequisiteError: it cannot be made or read, is open to other accounts, or is no such key.
    """
    path = folder / "fingerprint-key"
    try:
        if not path.exists():
            private_files.create(path, secrets.token_hex(32).encode("ascii"))
        key = bytes.fromhex(private_files.read(path, "the key of the fingerprints"))
        if len(key) != 32:
            raise ValueError(f"{len(key)} bytes instead of 32")
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            "the key of the fingerprints cannot be made or read",
            resource=str(path),
            expected="64 hex digits",
            seen=error,
            remedy="make the folder writable for yourself; a damaged key can be moved away, and a new one is made",
        ) from None
    return key


def _widened(span: tuple[int, int], value: _Value, text: str) -> _Find:
    """A find with the punctuation that the value begins and ends with."""
    start, end = span
    if value.head and (before := value.head.search(text, max(0, start - _WINDOW), start)):
        start = before.start()
    if value.tail and (after := value.tail.match(text, end)):
        end = after.end()
    return _Find(start, end, value)


def _occurrences(needle: str, text: str) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + len(needle))


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    """Every string of a tree, with what is to be read before it; ``_rebuilt`` takes them in the same order."""
    if isinstance(value, str):
        yield _APART, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strings(name)
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        together = False
        for item in value:
            if isinstance(item, str):
                yield "\n" if together else _APART, item
            else:
                yield from _strings(item)
            together = isinstance(item, str)


def _rebuilt(value: Any, strings: Iterator[str]) -> Any:
    if isinstance(value, str):
        return next(strings)
    if isinstance(value, Mapping):
        pairs: Iterable[tuple[Any, Any]] = [(_rebuilt(k, strings), _rebuilt(v, strings)) for k, v in value.items()]
        # A notebook's nodes are dicts of their own kind, and stay so.
        return type(value)(pairs) if isinstance(value, dict) else dict(pairs)
    if isinstance(value, (list, tuple)):
        return [_rebuilt(item, strings) for item in value]
    return value
