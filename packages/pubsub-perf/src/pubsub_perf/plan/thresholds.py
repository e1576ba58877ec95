"""Thresholds: what the figures of a cell must keep, like ``p99_ms < 5``."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from pubsub_common.errors import ConfigError

# In seconds; a name has one of the units.
LATENCIES: Final = ("min", "p50", "p90", "p99", "p999", "max", "mean")
UNITS: Final[Mapping[str, float]] = {"s": 1.0, "ms": 1e3, "us": 1e6}
COUNTS: Final = ("lost", "lost_percent", "duplicated", "reordered", "received")
NAMES: Final = (*COUNTS, *(f"{each}_{unit}" for each in LATENCIES for unit in UNITS))

# How they are written.
FORM: Final = 'written as thresholds = ["p99_ms < 5", "lost = 0"]'

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_TEXT: Final = re.compile(
    r"\s*([a-z0-9_]+)\s*(<=|>=|<|>|==?)\s*([0-9]+(?:\.[0-9]+)?)\s*"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Threshold:
    """A figure, how it must be, and to what."""

    name: str
    relation: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.relation} {self.limit:.15g}"

    def broken_by(self, figures: Mapping[str, float | None]) -> str | None:
        """The reason why figures break it, or None. An unknown figure breaks it."""
        value = figures.get(self.name)
        if value is None:
            return f"{self}: there is no {self.name}"
        if _OPERATORS[self.relation](value, self.limit):
            return None
        return f"{self}: it is {value:.6g}"


def parse_threshold(given: object, label: str) -> Threshold:
    """A threshold from its text.

    Raises:
        ConfigError: it makes no sense.
    """
    match = _TEXT.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise ConfigError(
            f"{label}: {given!r} is not a valid threshold; they are {FORM}"
        )
    if match[1] not in NAMES:
        raise ConfigError(
            f"{label}: there is no figure {match[1]!r}; these are {', '.join(COUNTS)}, "
            f"and {', '.join(LATENCIES)}, each with _s, _ms or _us"
        )
    relation = "=" if match[2] == "==" else match[2]
    return Threshold(match[1], relation, float(match[3]))
