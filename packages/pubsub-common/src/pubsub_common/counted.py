"""Numbers of things in sentences: "1 event", "2 events"."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``number`` and ``noun``, which gets an "s" unless the number is 1 or ``plural`` is
    given."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {plural or noun + 's'}"
