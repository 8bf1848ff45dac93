"""Google's package ``compute_v1``, loaded as far as it is used.

Its own ``__init__`` imports the clients of 131 services, of which the runbook asks a dozen: 4.7 of the 7 seconds of
processor time that opening a deployment took, and 1.8 s with this. Google marks them for lazy imports (PEP 810), which
Python has from 3.15 on; this module is for the Pythons before.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

NAME = "google.cloud.compute_v1"
_KNOWN = ("__all__", "__version__")  # of the names that begin so; others are asked of any module


def load() -> Any:
    """The package, as ``from google.cloud import compute_v1`` gives it."""
    if NAME not in sys.modules:
        spec = find_spec(NAME)
        if spec is None:
            return import_module(NAME)  # which says that it is missing
        package = module_from_spec(spec)
        package.__class__ = _Package
        sys.modules.setdefault(NAME, package)
        parent, _, own = NAME.rpartition(".")
        setattr(import_module(parent), own, sys.modules[NAME])
    return sys.modules[NAME]


class _Package(ModuleType):
    """The package before its ``__init__`` has run, which it does when something is asked for that is no client, no
    message and no module of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            if name not in _KNOWN:
                raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
            return self._whole(name)
        if find_spec(f"{NAME}.{name}"):
            return import_module(f"{NAME}.{name}")
        for place in (f"{NAME}.services.{_snake(name.removesuffix('Client'))}", f"{NAME}.types"):
            if find_spec(place) and hasattr(module := import_module(place), name):
                return getattr(module, name)
        return self._whole(name)

    def _whole(self, name: str) -> Any:
        assert self.__spec__ and self.__spec__.loader
        self.__spec__.loader.exec_module(self)
        self.__class__ = ModuleType  # type: ignore[assignment]  # it is a module as any other now
        return getattr(self, name)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
