"""Checks the arguments of roles: first their types, then their values.

Each function takes the argument's name first, which its `ConfigError` begins with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.errors import ConfigError

if TYPE_CHECKING:
    import os

MAX_PORT: Final = 65535
# libzmq takes its high-water marks as C ints.
_MAX_QUEUE: Final = 2**31 - 1
# Likewise, in milliseconds.
_MAX_LINGER_S: Final = (2**31 - 1) // 1000


def whole_number(name: str, value: object) -> None:
    """Raises:
    ConfigError: ``value`` is not a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number: {value!r}")


def at_least(name: str, value: int, minimum: int = 1) -> None:
    """Raises:
    ConfigError: ``value`` is not a whole number, or smaller than ``minimum``.
    """
    whole_number(name, value)
    if value < minimum:
        raise ConfigError(f"{name} must be at least {minimum}: {value}")


def in_range(name: str, value: int, low: int, high: int) -> None:
    """Raises:
    ConfigError: ``value`` is not a whole number in ``low..high``.
    """
    whole_number(name, value)
    if not low <= value <= high:
        raise ConfigError(f"{name} must be in {low}..{high}: {value}")


def seconds(
    name: str, value: float, *, zero: bool = True, infinite: bool = False
) -> None:
    """Raises:
    ConfigError: ``value`` is not a duration, or 0 where ``zero`` is not allowed, or
        infinity where that is not.
    """
    if not is_number(value):
        raise ConfigError(f"{name} must be a number of seconds: {value!r}")
    few_enough = value < math.inf or (infinite and value == math.inf)
    if zero and not (value >= 0 and few_enough):
        raise ConfigError(f"{name} must be 0 seconds or more{_but(value)}: {value}")
    if not zero and not (value > 0 and few_enough):
        raise ConfigError(f"{name} must be more than 0 seconds{_but(value)}: {value}")


def linger(name: str, value: float) -> None:
    """Raises:
    ConfigError: ``value`` is not a duration that libzmq takes as linger time.
    """
    seconds(name, value)
    if value > _MAX_LINGER_S:
        raise ConfigError(f"{name} must be at most {_MAX_LINGER_S} seconds: {value}")


def percent(name: str, value: float) -> None:
    """Raises:
    ConfigError: ``value`` is not a number in 0..100.
    """
    if not (is_number(value) and 0 <= value <= 100):
        raise ConfigError(f"{name} must be a number in 0..100: {value!r}")


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


def flag(name: str, value: bool) -> None:
    """Raises:
    ConfigError: ``value`` is neither True nor False.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False: {value!r}")


def text(name: str, value: str | None, *, optional: bool = False) -> None:
    """Raises:
    ConfigError: ``value`` is not a text, nor None where it is ``optional``.
    """
    if not (isinstance(value, str) or (optional and value is None)):
        raise ConfigError(f"{name} must be a text: {value!r}")


def path(
    name: str, value: str | os.PathLike[str] | None, *, optional: bool = True
) -> None:
    """Raises:
    ConfigError: ``value`` is not a path, nor None where it is ``optional``.
    """
    if optional and value is None:
        return
    if not (isinstance(value, str) and value) and not hasattr(value, "__fspath__"):
        raise ConfigError(f"{name} must be the path of a file: {value!r}")
    if "\0" in str(value):
        raise ConfigError(f"{name} must be a path without a zero byte: {value!r}")


def callback(
    name: str, value: Callable[..., Any] | None, *, optional: bool = True
) -> None:
    """Raises:
    ConfigError: ``value`` cannot be called, and is not None where it is ``optional``.
    """
    if not (callable(value) or (optional and value is None)):
        raise ConfigError(f"{name} must be a function: {value!r}")


def choice(name: str, value: object, options: Collection[object]) -> None:
    """Raises:
    ConfigError: ``value`` is not one of ``options``.
    """
    # Not `in`: 1 equals True, and ``value`` may be any object.
    if not any(type(value) is type(each) and value == each for each in options):
        allowed = " or ".join(repr(each) for each in options)
        raise ConfigError(f"{name} must be {allowed}: {value!r}")


def names(name: str, value: Iterable[str]) -> tuple[str, ...]:
    """The texts of a list.

    Raises:
        ConfigError: ``value`` is not a list of texts.
    """
    if isinstance(value, str):
        raise ConfigError(
            f"{name} is a list of texts, not a text: {value!r:.40}; write [{value!r:.40}]"
        )
    try:
        values = tuple(value)
    except TypeError:
        raise ConfigError(f"{name} must be a list of texts: {value!r}") from None
    for each in values:
        if not isinstance(each, str):
            raise ConfigError(f"{name} must have texts only: {each!r}")
    return values


def is_number(value: object) -> bool:
    """Whether it is a number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _but(value: float) -> str:
    return ", but not infinite" if value == math.inf else ""
