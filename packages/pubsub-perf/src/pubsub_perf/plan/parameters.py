"""The parameters of an experiment: what each may be, and its value where none is given.

Names are those of the options of ``pubsub-perf sweep``, as keys of a file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pubsub_common import defaults
from pubsub_common.errors import ConfigError
from pubsub_common.text import ascii_numbers
from pubsub_perf.plan.cases import (
    MODELS,
    PERIODIC,
    SWITCHES,
    WAIT_FACTOR,
    WARMUP_EVENTS,
)

Value = bool | int | float | str | None
# What parameters are that need not be there: links without them, and roles as they are.
NONE: Final = "none"
DEFAULT: Final = "default"
# No experiment has as many different values of one parameter.
_MAX_RANGE: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """``read`` makes one value of a number or text. ``values`` are those where none is given.
    ``field``: the field of `Load` that it becomes; None: it spans networks, or models.
    ``absent``: how it is written that there is none."""

    name: str
    read: Callable[[object], Value]
    values: tuple[Value, ...]
    field: str | None = None
    absent: str | None = None
    ranges: bool = False

    def values_of(self, given: object, label: str) -> tuple[Value, ...]:
        """The values that a file or an option gives: one, or a list, in a text with commas
        and ranges like ``2..4``; each once.

        Raises:
            ConfigError: one of them makes no sense.
        """
        if isinstance(given, str):
            items: Iterable[object] = [part.strip() for part in given.split(",")]
        else:
            items = given if isinstance(given, list) else [given]
        found: list[Value] = []
        for item in items:
            try:
                found += self._read(item)
            except (ValueError, OverflowError) as error:
                raise ConfigError(f"{label}: {item!r} {error}") from None
        if not found:
            raise ConfigError(f"{label}: the list has no values")
        return tuple(dict.fromkeys(found))

    def shown(self, value: Value) -> str:
        """A value as a part of a name."""
        if value is None and self.absent is not None:
            return self.absent
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)

    def plain(self, value: Value) -> object:
        """A value as a file has it."""
        return self.absent if value is None else value

    def _read(self, item: object) -> Iterable[Value]:
        if self.absent is not None and item == self.absent:
            return (None,)
        if self.ranges and isinstance(item, str):
            return _range(item)
        return (self.read(item),)


def whole(item: object) -> int:
    """A whole number of 0 or more.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = ascii_numbers.whole_number(item) if isinstance(item, str) else item
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("is not a whole number")
    if number < 0:
        raise ValueError("is less than 0")
    return number


def real(item: object) -> int | float:
    """A number of 0 or more.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = ascii_numbers.real_number(item) if isinstance(item, str) else item
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("is not a number")
    if not 0 <= number < float("inf"):
        raise ValueError("is not a number of 0 or more")
    return int(number) if number == int(number) else number


def flag(item: object) -> bool:
    """Whether something is so.

    Raises:
        ValueError: it is neither true nor false.
    """
    if not isinstance(item, bool):
        raise ValueError("is neither true nor false")
    return item


def text(item: object) -> str:
    """A name; its user checks it.

    Raises:
        ValueError: it is not a text.
    """
    if not isinstance(item, str) or not item:
        raise ValueError("is not a name")
    return item


def _range(item: str) -> Iterable[int]:
    match = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", item)
    if match is None:
        raise ValueError("is not a number or a range like 2..4")
    first = int(match[1])
    last = int(match[2] or match[1])
    if not 1 <= first <= last < first + _MAX_RANGE:
        raise ValueError("is not a range upwards from 1")
    return range(first, last + 1)


_ALL: Final = (
    Parameter("topology", text, ("single-switch", "tree")),
    Parameter("depth", whole, (2, 3), ranges=True),
    Parameter("fanout", whole, (2, 3), ranges=True),
    Parameter("switch-hosts", whole, (4, 8, 16), ranges=True),
    Parameter("model", text, MODELS),
    Parameter("events", whole, (50,), "events"),
    Parameter("interval", real, (0.1,), "interval_s"),
    # Instead of the interval: events per second of a publisher.
    Parameter("rate", real, (), "interval_s"),
    Parameter("arrivals", text, (PERIODIC,), "arrivals"),
    Parameter("topics", whole, (1,), "topics"),
    Parameter("payload-size", whole, (defaults.PAYLOAD_BYTES,), "payload_bytes"),
    Parameter("bandwidth", real, (None,), "bandwidth_mbit", absent=NONE),
    Parameter("delay", real, (None,), "delay_ms", absent=NONE),
    Parameter("jitter", real, (None,), "jitter_ms", absent=NONE),
    Parameter("loss", real, (None,), "loss_percent", absent=NONE),
    Parameter("switch", text, SWITCHES[:1], "switch"),
    Parameter("brokers", whole, (1,), "brokers"),
    Parameter("secure", flag, (False,), "secure"),
    Parameter("overflow", text, (None,), "overflow", absent=DEFAULT),
    Parameter("queue-limit", whole, (None,), "queue_limit", absent=DEFAULT),
    Parameter("queue-bytes", whole, (None,), "queue_bytes", absent=DEFAULT),
    Parameter("warmup", whole, (WARMUP_EVENTS,), "warmup_events"),
    Parameter("wait-factor", real, (real(WAIT_FACTOR),), "wait_factor"),
)
PARAMETERS: Final[Mapping[str, Parameter]] = {each.name: each for each in _ALL}
