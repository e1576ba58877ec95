"""Finds clients with common topics.

Both directions, the subscribers of some topics and the publishers for some
subscriptions, use a tree of levels (`pubsub_common.protocol.level_tree`), so that
neither a client with thousands of wildcards nor many clients with a few cost a
comparison for each.
"""

from __future__ import annotations

from collections.abc import Mapping

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.level_columns import FilterColumns, TopicColumns
from pubsub_common.protocol.level_tree import LevelTree
from pubsub_common.protocol.wildcards import is_filter

Names = tuple[str, ...]


class TopicIndex:
    """Topics and filters of the registered clients, by session."""

    def __init__(self) -> None:
        self._publishers: dict[str, dict[int, None]] = {}
        self._subscribers: dict[str, dict[int, None]] = {}
        self._topics = LevelTree()  # of publishers
        self._filters = LevelTree()  # of subscribers
        self._wild: set[int] = set()  # the sessions of subscribers with filters
        # The last query and its result: one registration repeats it several times.
        self._published: tuple[Names, Mapping[int, list[str]]] | None = None
        self._subscribed: tuple[Names, Mapping[int, int]] | None = None

    @property
    def empty(self) -> bool:
        """Whether no client has a topic."""
        known = self._publishers or self._subscribers
        kept = known or self._wild
        return not kept and self._topics.empty and self._filters.empty

    def add(self, client: Client) -> None:
        """A client has registered."""
        publishes = client.role == "publisher"
        sessions = self._publishers if publishes else self._subscribers
        for name in client.topics:
            there = sessions.get(name)
            if there is None:
                there = sessions[name] = {}
                if publishes:
                    self._topics.add(name)
                elif is_filter(name):
                    self._filters.add(name)
            there[client.session] = None
        if not publishes and any(map(is_filter, client.topics)):
            self._wild.add(client.session)
        self._forget(publishes=publishes)

    def remove(self, client: Client) -> None:
        """A client is gone."""
        publishes = client.role == "publisher"
        sessions = self._publishers if publishes else self._subscribers
        self._wild.discard(client.session)
        for name in client.topics:
            there = sessions[name]
            del there[client.session]
            if not there:
                del sessions[name]
                if publishes:
                    self._topics.discard(name)
                elif is_filter(name):
                    self._filters.discard(name)
        self._forget(publishes=publishes)

    def published(self, subscriptions: Names) -> Mapping[int, list[str]]:
        """As `Registry.published`."""
        if self._published is None or self._published[0] != subscriptions:
            self._published = subscriptions, self._find_published(subscriptions)
        return self._published[1]

    def subscribed(self, topics: Names) -> Mapping[int, int]:
        """As `Registry.subscribed`."""
        if self._subscribed is None or self._subscribed[0] != topics:
            self._subscribed = topics, self._find_subscribed(topics)
        return self._subscribed[1]

    def subscriber_count(self, topic: str) -> int:
        """As `Registry.subscriber_count`."""
        return len(self._subscribers.get(topic, ()))

    def _forget(self, *, publishes: bool) -> None:
        if publishes:
            self._published = None
        else:
            self._subscribed = None

    def _find_published(self, subscriptions: Names) -> Mapping[int, list[str]]:
        found: dict[int, list[str]] = {}
        names = [name for name in subscriptions if name in self._publishers]
        filters = [name for name in subscriptions if is_filter(name)]
        if filters:
            exact = frozenset(names)
            names += [
                name
                for name in self._topics.matched_by(FilterColumns(filters))
                if name not in exact
            ]
        for name in names:
            for session in self._publishers[name]:
                topics = found.get(session)
                if topics is None:
                    found[session] = [name]
                else:
                    topics.append(name)
        return found

    def _find_subscribed(self, topics: Names) -> Mapping[int, int]:
        columns = TopicColumns(topics)
        masks: dict[int, int] = {}
        for name, mask in self._filters.matching(columns):
            for session in self._subscribers[name]:
                masks[session] = masks.get(session, 0) | mask
        found: dict[int, int] = {}
        for place, topic in enumerate(topics):
            there = self._subscribers.get(topic)
            if there is None:
                continue
            found.update(dict.fromkeys(there, 1))
            for session in there.keys() & self._wild:
                masks[session] = masks.get(session, 0) | 1 << place
        found.update((session, mask.bit_count()) for session, mask in masks.items())
        return found
