"""The fields of a ``cell.json``: each is optional, and one of a wrong type counts as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

Meta = Mapping[str, object]

# The outcome of a run that is under way, or was interrupted.
STARTED: Final = "started"
# Of the longest text that belongs into a figure or a table.
_MAX_TEXT: Final = 1000
# Up to here numbers are exact in figures and in JSON of any program.
_MAX_COUNT: Final = 2**53


def find(meta: Meta | None, *path: str) -> object:
    """The value below these keys; None when there is none."""
    value: object = meta
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def section(meta: Meta | None, *path: str) -> Meta:
    """The object below these keys; empty when there is none."""
    value = find(meta, *path)
    return value if isinstance(value, Mapping) else {}


def text(meta: Meta | None, *path: str) -> str | None:
    """The text below these keys, unless it is blank; its beginning, where it is long."""
    value = find(meta, *path)
    return value[:_MAX_TEXT] if isinstance(value, str) and value.strip() else None


def count(meta: Meta | None, *path: str) -> int | None:
    """The whole number of 0 or more below these keys, unless it is larger than any count."""
    value = find(meta, *path)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_COUNT else None


def number(meta: Meta | None, *path: str) -> float | None:
    """The finite number below these keys."""
    value = find(meta, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def size(meta: Meta | None, *path: str) -> int | None:
    """How many elements the list below these keys has."""
    value = find(meta, *path)
    return len(value) if isinstance(value, list) else None


def brokers_of(meta: Meta | None) -> int:
    """How many brokers a cell had."""
    return count(meta, "parameters", "brokers") or 1
