"""Errors carry the same five facts, and show those that are known."""

from __future__ import annotations

import inspect

from runbook_lib import errors


def test_every_error_is_a_runbook_error_and_is_drawn_in_the_tree() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) > 5
    for cls in classes:
        assert issubclass(cls, errors.RunbookError)
        assert cls.__name__ in (errors.__doc__ or "")


def test_the_text_shows_what_is_known_and_nothing_else() -> None:
    text = str(errors.CloudError("no room", resource="aws instance demo", seen=0, remedy="use another zone"))
    assert text.splitlines()[0] == "no room"
    assert "aws instance demo" in text and "use another zone" in text
    assert "seen:" in text
    assert "expected:" not in text and "step:" not in text
