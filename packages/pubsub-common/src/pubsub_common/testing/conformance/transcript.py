"""The messages between a client and its surroundings, a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

_MOST_LINES: Final = 2000
_MOST_CHARACTERS: Final = 400


class Transcript:
    """Lines with the seconds since the beginning. It is bounded: the newest are kept.

    ``names`` counts the messages of the client by their kind.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.names: Counter[str] = Counter()

    def came(self, at_s: float, what: str, name: str) -> None:
        """The client sent something: ``what`` in full, called ``name``."""
        self.names[name] += 1
        self._add(f"{at_s:8.3f} client -> {what}")

    def went(self, at_s: float, what: str) -> None:
        """The client was sent something, or something was done to it."""
        self._add(f"{at_s:8.3f} client <- {what}")

    def _add(self, line: str) -> None:
        self._lines.append(line[:_MOST_CHARACTERS])
        del self._lines[:-_MOST_LINES]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def since(self, before: Counter[str]) -> str:
        """The messages since the names were as in ``before``, for people."""
        return counted((self.names - before).items())


def counted(names: Iterable[tuple[str, int]]) -> str:
    """Names with how often there was each."""
    parts = [name if count == 1 else f"{count} x {name}" for name, count in names]
    return ", ".join(parts) or "nothing"
