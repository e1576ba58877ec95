"""Names by their levels: which of many topics many subscriptions with wildcards stand for.

Theory of operation
-------------------
A `LevelTree` is a set of names, topics or filters, that share the levels that they begin with. A
set of the other kind, `TopicColumns` or `FilterColumns`, has for each level the names that occur
there, each with a *mask*: a number whose bit ``i`` says that the ``i``-th of the set has it. A
walk goes down the tree with the mask of those that fit so far, and comes to each node once at
most. Whatever strangers have chosen, that costs no more than the nodes that something fits, and
mostly as much as there is to be found: comparing each with each would take minutes for two
clients that have thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

ONE: Final = "+"
REST: Final = "#"
_SPECIAL: Final = "$"
# From so many bits on a mask is made of bytes.
_FEW: Final = 8

_T = TypeVar("_T")


class LevelTree:
    """A set of names."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._root = _Node()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """``name`` is in it."""
        node = self._root
        for level in name.split("/"):
            node = node.make(level)
        node.name = name

    def discard(self, name: str) -> None:
        """``name`` is not in it."""
        path: list[tuple[_Node, str]] = []
        node = self._root
        for level in name.split("/"):
            path.append((node, level))
            found = node.get(level)
            if found is None:
                return
            node = found
        node.name = None
        for parent, level in reversed(path):
            if node.name is not None or not node.empty:
                return
            parent.remove(level)
            node = parent

    @property
    def empty(self) -> bool:
        """Whether there is no name."""
        return self._root.empty

    def matching(self, columns: TopicColumns) -> Iterator[tuple[str, int]]:
        """This being a set of filters: those that stand for any of some topics, each with
        the mask of these. A level ``#`` among the topics is taken as a wildcard: then all
        that it stands for must be covered."""
        waiting = [(self._root, 0, columns.all)]
        while waiting:
            node, depth, mask = waiting.pop()
            ending = mask & columns.ending(depth)
            if ending and node.name is not None:
                yield node.name, ending
            # No wildcard stands for a first level that begins with a dollar sign.
            wild = mask if depth else mask & ~columns.special
            rest = node.get(REST)
            if rest is not None and wild and rest.name is not None:
                yield rest.name, wild
            going = mask & ~ending
            if not going or node.empty:
                continue
            column = columns.column(depth)
            one = node.get(ONE)
            if one is not None:
                found = going & wild & ~column.get(REST, 0)
                if found:
                    waiting.append((one, depth + 1, found))
            for child, having in node.named(column):
                found = going & having
                if found:
                    waiting.append((child, depth + 1, found))

    def matched_by(self, columns: FilterColumns) -> Iterator[str]:
        """This being a set of topics: those that any of some filters stands for."""
        waiting = [(self._root, 0, columns.all)]
        while waiting:
            node, depth, mask = waiting.pop()
            column, ones = columns.column(depth), mask & columns.ones(depth)
            rest = mask & columns.rest(depth)
            if rest and depth:
                yield from node.names()
                continue
            if node.name is not None and mask & columns.ending(depth):
                yield node.name
            if not ones and not rest:
                for child, having in node.named(column):
                    if mask & having:
                        waiting.append((child, depth + 1, mask & having))
                continue
            for level, child in node.items():
                found = mask & column.get(level, 0)
                if depth or not level.startswith(_SPECIAL):
                    if rest:
                        yield from child.names()
                        continue
                    found |= ones
                if found:
                    waiting.append((child, depth + 1, found))


class TopicColumns:
    """Topics, and which of them have a name at a level."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = topics
        self.all = (1 << len(topics)) - 1
        self._levels: list[list[str]] | None = None
        self._columns: dict[int, dict[str, int]] = {}
        self._ending: dict[int, int] = {}
        self._special: int | None = None

    @property
    def special(self) -> int:
        """The mask of those that begin with a dollar sign."""
        if self._special is None:
            self._special = _mask(
                place
                for place, topic in enumerate(self.topics)
                if topic.startswith(_SPECIAL)
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
        self._columns = [_masks(column) for column in places]
        self._ending = _masks(ending)
        # A filter that ends in the wildcard for the rest ends wherever a topic does.
        self._wild = [
            (column.pop(ONE, 0), column.pop(REST, 0)) for column in self._columns
        ]

    def column(self, depth: int) -> Mapping[str, int]:
        """The masks of those that have each name behind so many levels."""
        return self._columns[depth] if depth < len(self._columns) else {}

    def ones(self, depth: int) -> int:
        """The mask of those that have the wildcard for one level there."""
        return self._wild[depth][0] if depth < len(self._wild) else 0

    def rest(self, depth: int) -> int:
        """The mask of those that have the wildcard for the rest there."""
        return self._wild[depth][1] if depth < len(self._wild) else 0

    def ending(self, depth: int) -> int:
        """The mask of those with so many levels."""
        return self._ending.get(depth, 0)


class _Node:
    """A level of names. Most have one below them, for which a dictionary is too large: a
    stranger's name of 255 bytes may have 128 levels."""

    __slots__ = ("_level", "_more", "_only", "name")

    def __init__(self) -> None:
        self.name: str | None = None  # of those that end here
        self._level = ""
        self._only: _Node | None = None
        self._more: dict[str, _Node] | None = None

    @property
    def empty(self) -> bool:
        return self._only is None and not self._more

    def get(self, level: str) -> _Node | None:
        if self._more is not None:
            return self._more.get(level)
        return self._only if self._level == level else None

    def make(self, level: str) -> _Node:
        found = self.get(level)
        if found is not None:
            return found
        made = _Node()
        if self._more is not None:
            self._more[level] = made
        elif self._only is None:
            self._level, self._only = level, made
        else:
            self._more = {self._level: self._only, level: made}
            self._only = None
        return made

    def remove(self, level: str) -> None:
        if self._more is not None:
            del self._more[level]
        else:
            self._only = None

    def items(self) -> Iterable[tuple[str, _Node]]:
        if self._more is not None:
            return self._more.items()
        return () if self._only is None else ((self._level, self._only),)

    def named(self, column: Mapping[str, int]) -> Iterator[tuple[_Node, int]]:
        """Those below that are in ``column``, with their masks, but for wildcards."""
        if self._more is not None and len(self._more) > len(column):
            for level, mask in column.items():
                child = self._more.get(level)
                if child is not None and level not in (ONE, REST):
                    yield child, mask
            return
        for level, child in self.items():
            found = column.get(level)
            if found is not None and level not in (ONE, REST):
                yield child, found

    def names(self) -> Iterator[str]:
        """All that begin here."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.name is not None:
                yield node.name
            waiting += [child for _, child in node.items()]


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
