"""Read by the interpreters that the archive's tests start, dozens of them: see ``quick_starts`` in ``conftest``."""

import sys

# jsonschema, which nbformat loads, would compile a grammar for a format that no notebook's schema names: two seconds.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
