"""Two clouds on one Linux machine: emulated control APIs, everything behind them real.

Nothing here imports the rest of ``runbook_lib``, and nothing there imports this package; only the command
line starts it. To the library, the lab is a pair of endpoints.
"""
