"""What a failed check tells to look at can be looked at: every line is run, as it would be pasted."""

from __future__ import annotations

from typing import Any

import runbook_lib as rb
from runbook_lib import causes
from runbook_lib.params import Params
from tests.e2e.operators import Operator
from tests.e2e.records import Run


def test_every_check_of_the_walk_has_causes_and_lines_that_run(walk: Run, operator: Operator) -> None:
    names = [check["name"] for step in walk.record["steps"] for check in step["checks"]]
    assert [name for name in names if not causes.advice([name])] == []
    # What hosts of one role share is tried on one of them.
    lines = sorted({line for advice in causes.advice(names) for line in advice.look})
    assert len(lines) > 30
    params = Params.load(operator.params)
    site = rb.open_site(params)
    try:
        names_there: dict[str, Any] = {"rb": rb, "site": site, "params": params}
        # A reader is shown what a command says, whatever its end; where all is well each ends well.
        shown = {line: repr(eval(line.replace("check=False", "check=True"), names_there)) for line in lines}
    finally:
        site.close()
    assert [line for line, text in shown.items() if not text] == []
