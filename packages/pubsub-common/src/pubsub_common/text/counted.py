"""Numbers of things in sentences: "1 event", "2 events"."""

from __future__ import annotations


def counted(
    number: int, noun: str, plural: str | None = None, *, grouped: bool = False
) -> str:
    """``number`` and ``noun``, which gets an "s" unless the number is 1 or ``plural`` is
    given. ``grouped`` puts commas between thousands, for texts that no program reads."""
    if number == 1:
        return f"1 {noun}"
    digits = f"{number:,}" if grouped else f"{number}"
    return f"{digits} {plural or noun + 's'}"
