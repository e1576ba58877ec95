"""What a cell ran on: versions, kernel, machine, and how busy it was. Shell."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_PRESSURE: Final = Path("/proc/pressure/cpu")
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


@contextlib.contextmanager
def cpu_pressure(record: dict[str, Any]) -> Iterator[None]:
    """Put into ``record`` which share of the block's time some task waited for a CPU
    (pressure stall information, "some"); None where the kernel does not tell."""
    before, began = _stalled_us(), time.monotonic()
    yield
    after, elapsed_s = _stalled_us(), time.monotonic() - began
    if before is None or after is None or elapsed_s <= 0:
        record["cpu_pressure"] = None
    else:
        percent = (after - before) / (elapsed_s * 1e6) * 100
        record["cpu_pressure"] = {"some_percent": round(percent, 2)}


def _stalled_us() -> int | None:
    try:
        first = _PRESSURE.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    fields = dict(part.split("=") for part in first.split()[1:])
    return int(fields["total"])
