"""Google Compute Engine, emulated: the part that the runbook uses, strict where Google is."""

from .app import Gce

__all__ = ["Gce"]
