"""Subscriptions with wildcards, by the rules of MQTT (3.1.1, section 4.7).

A topic has levels, split by ``/``. In a subscription the level ``+`` stands for any one
level, and ``#``, as the last one, for any number of levels, none included. A topic that
begins with ``$`` is not matched by a subscription that begins with ``+`` or ``#``. A
subscription with such a level is a *filter*.

``+`` and ``#`` beside other characters of a level (``temp#``) are refused, in topics too:
their author expects a wildcard, and would get silence.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.topics import validate_topics

_ONE: Final = "+"
_REST: Final = "#"

_K = TypeVar("_K", bound=Hashable)


def is_filter(subscription: str) -> bool:
    """Whether a subscription stands for more than the topic of its name."""
    if _ONE not in subscription and _REST not in subscription:
        return False
    levels = subscription.split("/")
    return _ONE in levels or _REST in levels


def validate_subscriptions(subscriptions: Iterable[str]) -> tuple[str, ...]:
    """Return topics and filters without repetitions, in the order given.

    Raises:
        ConfigError: there is none, there are too many, or one is not valid.
    """
    valid = validate_topics(subscriptions)
    for each in valid:
        _refuse_within_level(each)
        if _REST in each.split("/")[:-1]:
            raise ConfigError(
                f"{each!r}: # stands for all further levels, so at the end"
            )
    return valid


def validate_publisher_topics(topics: Iterable[str]) -> tuple[str, ...]:
    """Return the topics that a publisher may have, without repetitions, in the order
    given.

    Raises:
        ConfigError: there is none, there are too many, one is not valid, or is a filter.
    """
    valid = validate_topics(topics)
    for each in valid:
        if is_filter(each):
            raise ConfigError(
                f"{each!r}: + and # as levels are for subscriptions; events have a "
                "topic of their own"
            )
        _refuse_within_level(each)
    return valid


def asterisk_warning(subscriptions: Iterable[str]) -> str | None:
    """What to tell a user whose topics or filters have a ``*``, which is no wildcard here;
    None: there is none."""
    found = [each for each in subscriptions if "*" in each]
    if not found:
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"subscription {found[0]!r}{more}: * is no wildcard but an ordinary character "
        "here; + stands for one level between slashes, # for all further levels"
    )


def _refuse_within_level(subscription: str) -> None:
    if _ONE not in subscription and _REST not in subscription:
        return
    for level in subscription.split("/"):
        if len(level) > 1 and (_ONE in level or _REST in level):
            raise ConfigError(
                f"{subscription!r}: + and # stand only for whole levels, as in "
                "'sensors/+/temp' and 'sensors/#'"
            )


def matches(subscription: str, topic: str) -> bool:
    """Whether a topic or filter stands for ``topic``."""
    if not is_filter(subscription):
        return subscription == topic
    levels, names = subscription.split("/"), topic.split("/")
    if topic.startswith("$") and levels[0] in (_ONE, _REST):
        return False
    for index, level in enumerate(levels):
        if level == _REST:
            return True
        if index == len(names) or level not in (_ONE, names[index]):
            return False
    return len(levels) == len(names)


def covers(wide: str, narrow: str) -> bool:
    """Whether a topic or filter stands for all that another one, ``narrow``, does."""
    if not is_filter(narrow):
        return matches(wide, narrow)
    if not is_filter(wide):
        return False
    levels, others = wide.split("/"), narrow.split("/")
    if others[0].startswith("$") and levels[0] in (_ONE, _REST):
        return False
    for index, level in enumerate(levels):
        if level == _REST:
            return True
        if index == len(others) or others[index] == _REST:
            return False
        if level not in (_ONE, others[index]):
            return False
    return len(levels) == len(others)


def matching_topics(topics: Iterable[str], subscriptions: Iterable[str]) -> list[str]:
    """Those of ``topics`` that one of ``subscriptions`` stands for, in their order."""
    exact = set(subscriptions)
    tree = FilterTree.of(exact)
    return [topic for topic in topics if topic in exact or tree.covers(topic)]


class FilterTree(Generic[_K]):
    """Who has which filters: a tree of levels, so that a topic's match does not look at
    all of them."""

    def __init__(self) -> None:
        self._root: _Node[_K] = _Node()

    @classmethod
    def of(cls, subscriptions: Iterable[str]) -> FilterTree[str]:
        """The filters among ``subscriptions``, each under itself."""
        tree: FilterTree[str] = FilterTree()
        for each in subscriptions:
            if is_filter(each):
                tree.add(each, each)
        return tree

    def covers(self, topic: str) -> bool:
        """Whether any filter stands for ``topic``."""
        below = self._root.below
        if _REST in below and not topic.startswith("$"):
            return True  # so mostly where there are thousands of topics
        return bool(below) and any(True for _ in self.matching(topic))

    def add(self, subscription: str, key: _K) -> None:
        """``key`` has this filter."""
        node = self._root
        for level in subscription.split("/"):
            node = node.below.setdefault(level, _Node())
        node.keys[key] = None

    def discard(self, subscription: str, key: _K) -> None:
        """``key`` has this filter no longer."""
        path: list[tuple[_Node[_K], str]] = []
        node = self._root
        for level in subscription.split("/"):
            path.append((node, level))
            if level not in node.below:
                return
            node = node.below[level]
        node.keys.pop(key, None)
        for parent, level in reversed(path):
            child = parent.below[level]
            if child.keys or child.below:
                return
            del parent.below[level]

    def matching(self, topic: str) -> Iterator[_K]:
        """Every subscriber with a filter that stands for ``topic``, once for each
        such filter."""
        names = topic.split("/")
        nodes = [self._root]
        for index, name in enumerate(names):
            wild = index > 0 or not topic.startswith("$")
            following: list[_Node[_K]] = []
            for node in nodes:
                if wild and _REST in node.below:
                    yield from node.below[_REST].keys
                for level in {name, _ONE} if wild else {name}:
                    # A name may look like a wildcard where others wrote the protocol.
                    if level in node.below and level != _REST:
                        following.append(node.below[level])
            nodes = following
        for node in nodes:
            yield from node.keys
            if _REST in node.below:
                yield from node.below[_REST].keys


class _Node(Generic[_K]):
    __slots__ = ("below", "keys")

    def __init__(self) -> None:
        self.below: dict[str, _Node[_K]] = {}
        self.keys: dict[_K, None] = {}
