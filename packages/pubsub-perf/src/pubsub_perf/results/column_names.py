"""Finds columns of latencies, publishers and topics by their names.

A name is split into words: ``latency_ms``, ``Latency (ms)`` and ``latencyMs`` are equal. The
name of a latency has a word for latency, words that do not change the meaning, and at most one
unit; so ``latency_p99`` and ``latency_error`` are not latencies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# Words for units, and the number of units in a second.
UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SPELLINGS: Final = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"),
    "us": (
        *("us", "\u00b5s", "\u03bcs", "usec", "usecs", "micro", "micros"),
        *("microsecond", "microseconds"),
    ),
    "ns": ("ns", "nsec", "nsecs", "nano", "nanos", "nanosecond", "nanoseconds"),
}
_UNIT_OF: Final = {word: unit for unit, words in _SPELLINGS.items() for word in words}

# The first kind wins in a table with both.
_LATENCY: Final = frozenset({"latency", "latencies"})
_LIKE_LATENCY: Final = frozenset(
    {"delay", "delays", "delta", "difference", "diff", "elapsed", "duration"}
)
_TIMES: Final = ("total_time", "transit_time", "delivery_time", "travel_time")
_BESIDE: Final = frozenset(
    {
        *("one", "way", "oneway", "e2e", "end", "to", "in", "of"),
        *("message", "msg", "event", "measured", "observed", "network"),
    }
)
_PUBLISHER: Final = ("publisher", "pub", "producer", "sender", "source", "src", "ip")
_TOPIC: Final = ("topic", "channel", "subject")
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9\u00b5\u03bc]+|[A-Z0-9]+(?![a-z])")


def unit_of(name: str) -> str | None:
    """The unit in a column's name, or None."""
    units = {_UNIT_OF[word] for word in _words(name) if word in _UNIT_OF}
    return units.pop() if len(units) == 1 else None


def unit_named(text: str) -> str | None:
    """The unit with this spelling, or None."""
    return _UNIT_OF.get(text.strip().lower())


def latency_columns(names: Sequence[str]) -> list[int]:
    """The indices of columns with a name for latencies of events."""
    ranks = [_latency_rank(name) for name in names]
    best = min(ranks, default=None)
    return [i for i, rank in enumerate(ranks) if rank == best and rank < _NO_LATENCY]


def publisher_column(names: Sequence[str]) -> int | None:
    """The index of the publisher's column, or None."""
    return _first_named(names, _PUBLISHER)


def topic_column(names: Sequence[str]) -> int | None:
    """The index of the topic's column, or None."""
    return _first_named(names, _TOPIC)


_NO_LATENCY: Final = 2


def _latency_rank(name: str) -> int:
    words = [word for word in _words(name) if word not in _UNIT_OF]
    units = len(_words(name)) - len(words)
    if units > 1 or not words:
        return _NO_LATENCY
    if "_".join(words) in _TIMES:
        return 1
    for rank, kind in enumerate((_LATENCY, _LIKE_LATENCY)):
        others = [word for word in words if word not in kind]
        if len(others) < len(words) and _BESIDE.issuperset(others):
            return rank
    return _NO_LATENCY


def _first_named(names: Sequence[str], words: Sequence[str]) -> int | None:
    for word in words:
        for index, name in enumerate(names):
            if word in _words(name):
                return index
    return None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]
