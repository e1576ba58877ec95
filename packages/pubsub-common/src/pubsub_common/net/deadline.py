"""The deadline of a call, from the ``timeout_s`` of its caller."""

from __future__ import annotations

from time import monotonic

from pubsub_common.errors import ConfigError


def deadline_after(timeout_s: float | None) -> float | None:
    """When ``timeout_s`` seconds are over, on the monotonic clock; None: never. Infinity means
    the same, and a number below 0 is over at once.

    Raises:
        ConfigError: ``timeout_s`` is not a number.
    """
    if timeout_s is None:
        return None
    # `Subscriber.receive` calls this for each event: no checks of types.
    try:
        deadline = monotonic() + timeout_s
    except (TypeError, OverflowError):
        deadline = None
    if deadline is None or deadline != deadline:
        raise ConfigError(f"timeout_s must be a number of seconds: {timeout_s!r:.40}")
    return deadline
