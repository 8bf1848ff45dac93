"""A difference between what is wanted and what is found, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clouds.base import differences

LONGEST = 60  # characters of one value that are shown


def explain(name: str, wanted: Any, seen: Any) -> str:
    """How a field differs: ``cidr is 10.0.0.0/8, not 172.30.3.0/24``; ``ingress has tcp 23 23 0.0.0.0/0 besides``.

    Args:
        name: the field.
        wanted: its value as it should be; ``None`` where that is not known before something else is made.
        seen: its value as the cloud reports it.
    """
    if name == "script_digest":
        return "the boot script is another"  # a digest tells nothing more
    if wanted is None:
        return f"{name} follows what is made anew"
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping):
        keys = [*differences(wanted, seen), *(key for key in wanted if key not in seen)]
        return "; ".join(explain(f"{name}.{key}", wanted[key], seen.get(key)) for key in keys)
    if isinstance(wanted, (list, tuple)) and isinstance(seen, (list, tuple)):
        return _of_lists(name, wanted, seen)
    if "\n" in f"{wanted}{seen}":
        return f"{name} is another text"
    return f"{name} is {_short(seen)}, not {_short(wanted)}"


def _of_lists(name: str, wanted: Any, seen: Any) -> str:
    more, missing = _besides(seen, wanted), _besides(wanted, seen)
    # Two versions of one thing, such as a file among an instance's metadata, differ in some field only.
    named = [item.get("key") or item.get("name") for item in (*more, *missing) if isinstance(item, Mapping)]
    if len(more) == len(missing) == 1 and len(named) == 2 and named[0] and named[0] == named[1]:
        return explain(f"{name}[{named[0]}]", missing[0], more[0])
    words = [f"has {_listed(more)} besides"] if more else []
    words += [f"lacks {_listed(missing)}"] if missing else []
    return f"{name} {' and '.join(words)}"


def _besides(some: Any, others: Any) -> list[Any]:
    """Items of the first list that the second does not have; several alike count."""
    left = list(others)
    found = []
    for item in some:
        match = next((other for other in left if not differences({"": item}, {"": other})), None)
        if match is None:
            found.append(item)
        else:
            left.remove(match)
    return found


def _listed(items: list[Any]) -> str:
    return ", ".join(map(_short, items))


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = " ".join(str(item) for item in value.values() if item not in (None, "", []))
    text = str(value).rpartition("projects/")[2].partition("\n")[0] if value not in (None, "") else "unset"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
