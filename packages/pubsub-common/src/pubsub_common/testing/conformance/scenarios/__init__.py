"""The scenarios, a module for each theme.

Shell.
"""

from __future__ import annotations

import importlib
from typing import Final

# In the order in which they run.
_THEMES: Final = (
    *("registration", "leases", "growth", "streams", "frames", "ready", "departures"),
    *("restarts", "forwarding", "owners", "recovery", "publishing", "answers"),
    *("several_brokers", "broker_choice", "moves_in_stream"),
)


def load() -> None:
    """Import the scenarios, which add themselves to `scenario.SCENARIOS`."""
    for theme in _THEMES:
        importlib.import_module(f"{__name__}.{theme}")
