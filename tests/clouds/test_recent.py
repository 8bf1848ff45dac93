"""Lists that lag behind what this process has done are asked again; what somebody else did is believed."""

from __future__ import annotations

from runbook_lib.clouds.recent import Recent
from runbook_lib.resources import Found

ONE, OTHER, AGAIN = Found("aws:vpc:a", "vpc-1"), Found("aws:subnet:b", "subnet-1"), Found("aws:vpc:a", "vpc-2")


def by_key(*things: Found) -> dict[str, Found]:
    return {thing.key: thing for thing in things}


def test_what_was_made_is_waited_for_and_what_was_removed_too() -> None:
    recent = Recent(20)
    assert recent.made(ONE) is ONE
    answers = [{}, {}, by_key(ONE)]
    assert recent.agree(lambda: answers.pop(0), "aws") == by_key(ONE)
    recent.removed(ONE)
    recent.made(AGAIN)
    answers = [by_key(ONE), {}, by_key(AGAIN)]
    assert recent.agree(lambda: answers.pop(0), "aws") == by_key(AGAIN)
    assert answers == []


def test_a_list_of_one_kind_lacks_no_others() -> None:
    recent = Recent(20)
    recent.made(OTHER)
    answers = [by_key(ONE)]
    assert recent.agree(lambda: answers.pop(0), "aws vpcs", "aws:vpc:") == by_key(ONE)


def test_what_somebody_else_removed_is_believed_and_not_asked_for_again() -> None:
    recent, asked = Recent(0), []
    recent.made(ONE)
    for _ in range(2):
        assert recent.agree(lambda: asked.append(1) or {}, "aws") == {}  # type: ignore[func-returns-value]
    recent.made(OTHER)
    answers = [by_key(OTHER)]
    assert recent.agree(lambda: answers.pop(0), "aws") == by_key(OTHER)
    assert len(asked) == 2
