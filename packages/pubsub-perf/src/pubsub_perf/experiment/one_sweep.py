"""One sweep a machine: two sweeps would disturb each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_perf.hosts import namespaces
from pubsub_perf.hosts.machine_lock import AlreadyHeld, held

_NAME: Final = "pubsub-perf-sweep"
# Sweeps with different values do not exclude each other. For tests, in which latencies do
# not matter.
LOCK_VARIABLE: Final = "PUBSUB_PERF_LOCK"


def lock_name() -> str:
    """The name of the lock that a sweep holds."""
    group = os.environ.get(LOCK_VARIABLE)
    return f"{_NAME}-{group}" if group else _NAME


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the machine's only sweep during this block; the end of the process also ends it.

    Raises:
        ConfigError: another sweep is running.
    """
    if namespaces.inside():  # the outer process holds it
        yield
        return
    try:
        with held(lock_name()):
            yield
    except AlreadyHeld as error:
        process = f" (process {error.pid})" if error.pid else ""
        raise ConfigError(
            f"another sweep is running on this machine{process}; two at once would "
            "disturb each other, so wait until it has ended"
        ) from None
