"""Who has which subscriptions with wildcards, and which of many topics they stand for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from pubsub_common.protocol.wildcards import is_filter

_ONE: Final = "+"
_REST: Final = "#"

_K = TypeVar("_K", bound=Hashable)


def matching_topics(topics: Iterable[str], subscriptions: Iterable[str]) -> list[str]:
    """Those of ``topics`` that one of ``subscriptions`` stands for, in their order."""
    exact = set(subscriptions)
    matcher = FilterTree.of(exact).matcher()
    return [topic for topic in topics if topic in exact or matcher.matches(topic)]


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

    def matcher(self) -> Matcher[_K]:
        """Matches many topics, until this tree changes."""
        return Matcher(self._root)

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


class Matcher(Generic[_K]):
    """Matches topics with all filters of a tree at once, which must not change meanwhile.

    What topics have in common is looked up once: levels that no filter names are one to it.
    Otherwise a few thousand filters and topics, which two clients may have, could cost
    minutes.
    """

    def __init__(self, root: _Node[_K]) -> None:
        self._start = _State([root])

    def matches(self, topic: str) -> bool:
        """Whether any filter stands for ``topic``."""
        return bool(self.keys(topic))

    def keys(self, topic: str) -> Sequence[Mapping[_K, None]]:
        """Those who have filters that stand for ``topic``, in some mappings, none of which
        is empty."""
        state = self._start
        found: list[Mapping[_K, None]] = []
        names = topic.split("/")
        if topic.startswith("$"):
            state = state.named(names.pop(0))  # no wildcard stands for such a level
        for name in names:
            if not state.nodes:
                return found
            if state.rest:
                found.append(state.rest)
            state = state.following(name)
        return [*found, *(keys for keys in (state.rest, state.keys) if keys)]


class _State(Generic[_K]):
    """Where the filters are that stand for the levels of a topic so far."""

    __slots__ = ("_by_name", "_following", "_ones", "_other", "keys", "nodes", "rest")

    def __init__(self, nodes: list[_Node[_K]]) -> None:
        self.nodes = nodes
        self.keys: dict[_K, None] = {}  # of filters that end here
        self.rest: dict[_K, None] = {}  # of those that take all further levels
        self._by_name: dict[str, list[_Node[_K]]] = {}
        self._ones: list[_Node[_K]] = []
        self._following: dict[str, _State[_K]] = {}
        self._other: _State[_K] | None = None
        for node in nodes:
            self.keys.update(node.keys)
            for level, child in node.below.items():
                if level == _REST:
                    self.rest.update(child.keys)
                elif level == _ONE:
                    self._ones.append(child)
                else:
                    self._by_name.setdefault(level, []).append(child)

    def named(self, name: str) -> _State[_K]:
        """Behind a level that is not a wildcard."""
        return _State(self._by_name.get(name, []))

    def following(self, name: str) -> _State[_K]:
        """Behind one more level of a topic."""
        state = self._following.get(name)
        if state is not None:
            return state
        named = self._by_name.get(name)
        if named is not None:
            state = self._following[name] = _State([*named, *self._ones])
            return state
        if self._other is None:
            self._other = _State(self._ones)
        return self._other
