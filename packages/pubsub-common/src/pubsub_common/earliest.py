"""The first of several times, some of which never come."""

from __future__ import annotations


def earliest(*times: float | None) -> float | None:
    """The earliest of these times, or the shortest of these waits; None means never."""
    first = None
    for each in times:
        if each is not None and (first is None or each < first):
            first = each
    return first
