"""The clocks that stamp events; no other module names them.

``realtime`` works across machines as well as they are synchronised.
``monotonic`` is shared by all processes and namespaces of one kernel and has no
steps, which makes it the clock for measurements on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pubsub_common.defaults import CLOCKS
from pubsub_common.errors import ConfigError

_CLOCKS: dict[str, Callable[[], int]] = {
    "realtime": time.time_ns,
    "monotonic": time.monotonic_ns,
}


def clock_ns(name: str) -> Callable[[], int]:
    """The function that reads clock ``name`` in nanoseconds.

    Raises:
        ConfigError: there is no clock of this name.
    """
    try:
        return _CLOCKS[name]
    except KeyError:
        raise ConfigError(
            f"unknown clock {name!r}: choose one of {', '.join(CLOCKS)}"
        ) from None
