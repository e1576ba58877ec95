"""One sweep a machine: two at once would measure each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_perf.hosts import namespaces
from pubsub_perf.hosts.machine_lock import AlreadyHeld, held

_NAME: Final = "pubsub-perf-sweep"
# Sweeps with different values of it do not refuse each other. For tests, whose sweeps need
# not measure well.
LOCK_VARIABLE: Final = "PUBSUB_PERF_LOCK"


def lock_name() -> str:
    """The name of the lock that a sweep holds."""
    group = os.environ.get(LOCK_VARIABLE)
    return f"{_NAME}-{group}" if group else _NAME


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the machine's only sweep in this block, until the process ends at the latest.

    Raises:
        ConfigError: another sweep is running.
    """
    if namespaces.inside():  # the process outside holds it
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
