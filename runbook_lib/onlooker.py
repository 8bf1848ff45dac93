"""Whether somebody looks on while a cell runs, and the place in its output that is renewed for them.

Whatever executes notebooks by itself, as papermill, ``nbconvert --execute`` and ``runbook run`` do, tells the kernel
with each cell that nobody can be asked for input; JupyterLab, other frontends and consoles tell that somebody can
(``allow_stdin`` in the Jupyter protocol's request to execute). So it is the cell's own frontend that is asked: an
environment variable would still be set in whatever a cell starts.
"""

from __future__ import annotations

import sys
from typing import Any

# What is shown for the moment: the kernel's own recorder keeps it, and writes nothing for its sake.
PASSING = "passing"


def shell() -> Any:
    """The kernel's shell, or nothing where there is none: in a command line, or in IPython's own terminal."""
    ipython = sys.modules.get("IPython")  # whoever has not imported it is no kernel
    found = ipython.get_ipython() if ipython else None
    return found if getattr(found, "kernel", None) is not None else None


def present() -> bool:
    """Whether somebody looks on while the cell of this thread runs."""
    here = shell()
    request = here.kernel.get_parent("shell") if here else {}
    return bool(request.get("content", {}).get("allow_stdin"))


class Spot:
    """A place in a cell's output, made by the first ``show`` and renewed by each that follows, from any thread."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, what: Any, *, passing: bool = False) -> None:
        """Show this instead of what was there.

        Args:
            what: anything that a notebook can show.
            passing: it will be replaced before long.
        """
        from IPython.display import display

        metadata = {"runbook": {PASSING: True}} if passing else {}
        if self._handle is None:
            self._handle = display(what, display_id=True, metadata=metadata)
        else:
            self._handle.update(what, metadata=metadata)
