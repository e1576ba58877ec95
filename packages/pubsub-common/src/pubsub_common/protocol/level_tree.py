"""Names by their levels: finds the topics that match many subscriptions with wildcards.

Theory of operation
-------------------

A `LevelTree` is a set of names, topics or filters, that share their first levels. A set of
the other kind, `TopicColumns` or `FilterColumns`, has for each level the names that occur
there, each with a *mask*: a number with bit ``i`` set if the ``i``-th of the set has the
name. A walk goes down the tree with the mask of those that match so far, and visits each node
once at most. For any names, the cost is limited to the nodes with a match, and usually to the
result: comparing each with each would take minutes for two clients with thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pubsub_common.protocol.level_columns import (
    ONE,
    REST,
    SPECIAL,
    FilterColumns,
    TopicColumns,
)


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
            node = node.get(level) or node.make(level)
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
        levels = columns.levels
        while waiting:
            node, depth, mask = waiting.pop()
            if depth == len(levels):
                levels.append((columns.ending(depth), columns.column(depth)))
            ending, column = levels[depth]
            ending &= mask
            if ending and node.name is not None:
                yield node.name, ending
            # No wildcard stands for a first level that begins with a dollar sign.
            wild = mask if depth else mask & ~columns.special
            rest = node.get(REST)
            if rest is not None and wild and rest.name is not None:
                yield rest.name, wild
            going = mask & ~ending
            if not going:
                continue
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
            column, ones, rest, ending = columns.levels[min(depth, columns.deepest)]
            ones, rest = mask & ones, mask & rest
            if rest and depth:
                yield from node.names()
                continue
            if node.name is not None and mask & ending:
                yield node.name
            if not ones and not rest:
                for child, having in node.named(column):
                    if mask & having:
                        waiting.append((child, depth + 1, mask & having))
                continue
            for level, child in node.items():
                found = mask & column.get(level, 0)
                if depth or not level.startswith(SPECIAL):
                    if rest:
                        yield from child.names()
                        continue
                    found |= ones
                if found:
                    waiting.append((child, depth + 1, found))


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
        """One below that is not there yet."""
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
