"""What many subscriptions stand for, of many topics at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from pubsub_common.protocol.level_columns import TopicColumns
from pubsub_common.protocol.level_tree import LevelTree
from pubsub_common.protocol.wildcards import is_filter, matches

# So few comparisons cost less than a tree.
_FEW: Final = 8
# A publisher's topics are compared with the subscriptions of each of its subscribers. Few are
# kept, since strangers choose how large they are.
_KEPT: Final = 8


class Subscriptions:
    """Topics and filters: what they stand for."""

    def __init__(self, names: Iterable[str]) -> None:
        self.exact = frozenset(names)
        self.filters = tuple(each for each in self.exact if is_filter(each))
        self._tree: LevelTree | None = None

    def matching(self, topics: TopicColumns) -> int:
        """The mask of those topics that any of these stands for."""
        names = topics.topics
        mask = 0
        if len(self.exact) > len(self.filters):
            for place, name in enumerate(names):
                if name in self.exact:
                    mask |= 1 << place
        if len(self.filters) * len(names) <= _FEW:
            for place, name in enumerate(names):
                if any(matches(each, name) for each in self.filters):
                    mask |= 1 << place
            return mask
        if self._tree is None:
            self._tree = LevelTree(self.filters)
        for _, found in self._tree.matching(topics):
            mask |= found
            if mask == topics.all:
                break
        return mask

    def covers(self, subscriptions: Sequence[str]) -> int:
        """The mask of those topics and filters all of which these stand for; each filter of
        them lies within one of these."""
        tree = LevelTree(self.exact)
        mask = 0
        for _, found in tree.matching(TopicColumns(subscriptions)):
            mask |= found
        return mask


def matching_topics(topics: Sequence[str], subscriptions: Sequence[str]) -> list[str]:
    """Those of ``topics`` that one of ``subscriptions`` stands for, in their order."""
    wanted = subscriptions_of(subscriptions)
    if not wanted.filters:
        return [topic for topic in topics if topic in wanted.exact]
    columns = _columns(topics) if isinstance(topics, tuple) else TopicColumns(topics)
    return columns.chosen(wanted.matching(columns))


def subscriptions_of(names: Sequence[str]) -> Subscriptions:
    """The same, made once for a tuple that is asked for again."""
    return _subscriptions(names) if isinstance(names, tuple) else Subscriptions(names)


_columns = lru_cache(_KEPT)(TopicColumns)
_subscriptions = lru_cache(_KEPT)(Subscriptions)
