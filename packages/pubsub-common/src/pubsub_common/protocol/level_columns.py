"""Many topics, or many filters, level by level: which of them have a name there.

A *mask* is a number: bit ``i`` is set if the ``i``-th of them has the property.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

ONE: Final = "+"
REST: Final = "#"
SPECIAL: Final = "$"
# From so many bits on a mask is made of bytes.
_FEW: Final = 8

_T = TypeVar("_T")


class TopicColumns:
    """Topics, and which of them have a name at a level."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = topics
        self.all = (1 << len(topics)) - 1
        self._levels: list[list[str]] | None = None
        self._columns: dict[int, dict[str, int]] = {}
        self._ending: dict[int, int] = {}
        self._special: int | None = None
        # What a walk has asked for, by the number of levels before: `ending` and `column`.
        self.levels: list[tuple[int, Mapping[str, int]]] = []

    @property
    def special(self) -> int:
        """The mask of those that begin with a dollar sign."""
        if self._special is None:
            self._special = _mask(
                place
                for place, topic in enumerate(self.topics)
                if topic.startswith(SPECIAL)
            )
        return self._special

    def ending(self, depth: int) -> int:
        """The mask of those with so many levels."""
        if not depth:
            return 0
        if not self._ending:
            places: dict[int, list[int]] = {}
            for place, levels in enumerate(self._split()):
                places.setdefault(len(levels), []).append(place)
            self._ending = _masks(places)
        return self._ending.get(depth, 0)

    def column(self, depth: int) -> Mapping[str, int]:
        """The masks of those that have each name behind so many levels."""
        column = self._columns.get(depth)
        if column is None:
            places: dict[str, list[int]] = {}
            for place, levels in enumerate(self._split()):
                if len(levels) > depth:
                    places.setdefault(levels[depth], []).append(place)
            column = self._columns[depth] = _masks(places)
        return column

    def chosen(self, mask: int) -> list[str]:
        """The topics of a mask, in their order."""
        if mask == self.all:
            return list(self.topics)
        return [self.topics[place] for place in _places(mask)]

    def _split(self) -> list[list[str]]:
        if self._levels is None:
            self._levels = [topic.split("/") for topic in self.topics]
        return self._levels


class FilterColumns:
    """Filters, and which of them have a name or a wildcard at a level."""

    def __init__(self, filters: Iterable[str]) -> None:
        levels = [each.split("/") for each in filters]
        self.all = (1 << len(levels)) - 1
        places: list[dict[str, list[int]]] = []
        ending: dict[int, list[int]] = {}
        for place, names in enumerate(levels):
            while len(places) < len(names):
                places.append({})
            for column, name in zip(places, names, strict=False):
                column.setdefault(name, []).append(place)
            ending.setdefault(len(names), []).append(place)
        # Behind so many levels: the masks of those that have each name there, the wildcard for
        # one level, that for the rest, and no more levels. Behind the longest there is nothing.
        self.levels: list[tuple[Mapping[str, int], int, int, int]] = []
        ends = _masks(ending)
        for depth, at_depth in enumerate([*places, {}]):
            having = _masks(at_depth)
            one, rest = having.pop(ONE, 0), having.pop(REST, 0)
            self.levels.append((having, one, rest, ends.get(depth, 0)))
        self.levels.append(({}, 0, 0, 0))
        self.deepest = len(self.levels) - 1


def _mask(places: Iterable[int]) -> int:
    mask = 0
    for place in places:
        mask |= 1 << place
    return mask


def _masks(places: Mapping[_T, list[int]]) -> dict[_T, int]:
    return {
        name: _mask(each) if len(each) < _FEW else _large_mask(each)
        for name, each in places.items()
    }


def _large_mask(places: Sequence[int]) -> int:
    """As `_mask`; ``places`` are in ascending order."""
    octets = bytearray(places[-1] // 8 + 1)
    for place in places:
        octets[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(octets, "little")


def _places(mask: int) -> Iterator[int]:
    """The places of the bits that are set."""
    for start, octet in enumerate(
        mask.to_bytes((mask.bit_length() + 7) // 8, "little")
    ):
        place = 8 * start
        while octet:
            if octet & 1:
                yield place
            octet >>= 1
            place += 1
