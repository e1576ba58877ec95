"""Checks numbers in the arguments of roles."""

from __future__ import annotations

import math
from typing import Final

from pubsub_common.errors import ConfigError

MAX_PORT: Final = 65535
# libzmq takes its high-water marks as C ints.
_MAX_QUEUE: Final = 2**31 - 1


def at_least(name: str, value: int, minimum: int = 1) -> None:
    """Raises:
    ConfigError: ``value`` is smaller than ``minimum``.
    """
    if value < minimum:
        raise ConfigError(f"{name} must be at least {minimum}: {value}")


def in_range(name: str, value: int, low: int, high: int) -> None:
    """Raises:
    ConfigError: ``value`` is not in ``low..high``.
    """
    if not low <= value <= high:
        raise ConfigError(f"{name} must be in {low}..{high}: {value}")


def seconds(name: str, value: float, *, zero: bool = True) -> None:
    """Raises:
    ConfigError: ``value`` is not a duration, or 0 where ``zero`` is not allowed.
    """
    if zero and not 0 <= value < math.inf:
        raise ConfigError(f"{name} must be 0 seconds or more: {value}")
    if not zero and not 0 < value < math.inf:
        raise ConfigError(f"{name} must be more than 0 seconds: {value}")


def port(name: str, value: int, low: int = 1) -> None:
    """Raises:
    ConfigError: ``value`` is not a valid port.
    """
    in_range(name, value, low, MAX_PORT)


def queue_limit(value: int) -> None:
    """Raises:
    ConfigError: ``value`` is not a valid queue limit.
    """
    in_range("queue_limit", value, 1, _MAX_QUEUE)
