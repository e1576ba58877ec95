"""The versions, kernel and machine that a cell ran on."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from typing import Any, Final

_PACKAGES: Final = (
    "pubsub-common",
    "pubsub-broker",
    "pubsub-publisher",
    "pubsub-subscriber",
    "pubsub-perf",
    "pyzmq",
    "msgspec",
)


@functools.cache
def describe() -> dict[str, Any]:
    """Versions, kernel and machine; for ``cell.json``."""
    import zmq

    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions |= {"python": platform.python_version(), "libzmq": zmq.zmq_version()}
    pages = os.sysconf("SC_PHYS_PAGES")
    return {
        "versions": versions,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine": {
            "cpus": os.cpu_count(),
            "memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        },
    }
