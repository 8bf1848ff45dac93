"""What the notebooks use, by name. Nothing is loaded before it is asked for: some of it is slow to import."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name -> the module that holds it; a module's own name stands for the module itself.
_PLACES = {
    "Params": "params",
    "RunbookError": "errors",
    "Site": "site",
    "open_site": "site",
    "require": "checks",
    "firewall": "topology",
    "show": "display",
    "text": "display",
    "architecture": "pictures.architecture",
    "network": "pictures.network",
    "pools": "pictures.pools",
    "request_chart": "pictures.requests",
    "timeline": "pictures.timeline",
    "answer_chart": "pictures.requests",
    "outage_chart": "pictures.outages",
    "fault_chart": "pictures.outages",
    "reach_chart": "pictures.reached",
    "acl": "",
    "audit": "",
    "bootstrap": "",
    "browse": "",
    "consul": "",
    "delivery": "",
    "exercises": "",
    "live": "",
    "matrix": "",
    "resilience": "",
    "sdk": "",
    "traefik": "",
    "verify": "",
    "visits": "",
    "vpn": "",
}
__all__ = sorted(_PLACES)  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{_PLACES[name] or name}", __name__)
    return getattr(module, name) if _PLACES[name] else module


def __dir__() -> list[str]:
    return __all__
