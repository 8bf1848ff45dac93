"""What a notebook kernel would import anyway, imported once for all kernels of a run.

The fork server behind ``kernels`` loads this module, so that each step's kernel starts with these packages in
memory: a walk of five steps pays their seconds once. A package that is missing is left to the notebook that
needs it.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
from contextlib import suppress

HEAVY = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "boto3",
    "google.cloud.compute_v1",
    "asyncssh",
    "httpx",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
)
OWN = "runbook_lib"
NOT_FOR_KERNELS = ("runbook_lib.lab", "runbook_lib.cli", "runbook_lib.archive.runner")


def warm() -> None:
    """Import everything above, and the library's own modules."""
    for name in (*HEAVY, *own_modules()):
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # keeps the collector from touching, and so copying, the pages that the kernels share


def own_modules() -> list[str]:
    """The library's modules, those left out that only the operator's command needs."""
    package = importlib.import_module(OWN)
    names = [OWN]
    for module in pkgutil.iter_modules(package.__path__, prefix=f"{OWN}."):
        if not module.name.startswith(NOT_FOR_KERNELS):
            names.append(module.name)
    return names


warm()
