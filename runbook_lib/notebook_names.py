"""Which of a notebook's global names are meant as parameters, now that other cells have run and set variables. Pure."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from typing import Any

HISTORY = "In"  # where IPython keeps the source of every cell that ran, the one that runs now last
READ = "Params.of("  # what the cell does that reads the parameters


def meant(names: Mapping[str, Any], parameters: Collection[str]) -> dict[str, Any]:
    """The names to be read as parameters.

    The first time that is every name, so that one which is misspelt is told from a variable. When the cell runs again,
    a name that is no parameter counts only if it stands among parameters, in a cell that none like it has followed:
    what other cells have set is theirs, and a misspelling that was mended in its cell is mended.

    Args:
        names: the notebook's global names.
        parameters: the names of all parameters.
    """
    cells = names.get(HISTORY)
    before = [cell for cell in cells[:-1] if isinstance(cell, str)] if isinstance(cells, list) else []
    if not any(READ in cell for cell in before):
        return dict(names)
    known = frozenset(parameters)
    return {name: value for name, value in names.items() if name in known | _among_parameters(before, known)}


def _among_parameters(cells: Sequence[str], parameters: frozenset[str]) -> frozenset[str]:
    """What the cells that set parameters set, each unless a later one sets all its parameters anew."""
    every = [assigned for cell in cells if (assigned := _assigned(cell)) & parameters]
    current = [
        assigned
        for place, assigned in enumerate(every)
        if not any(assigned & parameters <= later for later in every[place + 1 :])
    ]
    return frozenset().union(*current)


def _assigned(source: str) -> frozenset[str]:
    """The names that a cell sets at its top level; none if it is no Python, as with magics."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return frozenset()
    targets = [
        target
        for statement in statements
        for target in (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
    ]
    return frozenset(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
