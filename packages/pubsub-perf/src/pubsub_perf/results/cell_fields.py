"""Fields of ``cell.json``. Each is optional; a field of the wrong type counts as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

Meta = Mapping[str, object]

# The outcome of a running or interrupted run.
STARTED: Final = "started"
# The longest text in a figure or a table.
_MAX_TEXT: Final = 1000
# Up to this size numbers are exact in figures and in the JSON of any program.
_MAX_COUNT: Final = 2**53


def find(meta: Meta | None, *path: str) -> object:
    """The value below these keys, or None."""
    value: object = meta
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def section(meta: Meta | None, *path: str) -> Meta:
    """The object below these keys, or an empty one."""
    value = find(meta, *path)
    return value if isinstance(value, Mapping) else {}


def text(meta: Meta | None, *path: str) -> str | None:
    """The text below these keys, unless it is blank. A long text is cut."""
    value = find(meta, *path)
    return value[:_MAX_TEXT] if isinstance(value, str) and value.strip() else None


def count(meta: Meta | None, *path: str) -> int | None:
    """The whole number of 0 or more below these keys, unless it is too large for a count."""
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
    """The number of elements in the list below these keys."""
    value = find(meta, *path)
    return len(value) if isinstance(value, list) else None


def brokers_of(meta: Meta | None) -> int:
    """The number of brokers of a cell."""
    return count(meta, "parameters", "brokers") or 1
