"""Items that `publish_events` takes from a quick source, many in one step of Python.

A list's ``extend`` takes them: the thread that runs it is busy until the last one has come, but
other threads see each item at once. So the control thread sends these items when the source
turns out to be slow.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from pubsub_publisher.topics.event_columns import EventColumns, Stamped

# A payload, or whatever a source yields instead, and the time at which it came.
Item = tuple[Any, int]


class Fetch:
    """One call that takes items from ``source``: pairs of an item and a time stamp. When it is
    garbage, its thread takes no more, however the call has ended."""

    __slots__ = ("__weakref__", "fetched", "source")

    def __init__(self, source: Iterator[Item]) -> None:
        self.source = source
        self.fetched = Fetched(self)

    def take(self, count: int) -> None:
        """Take this number of items, or the rest. An error of the source loses nothing before
        it."""
        self.fetched.items.extend(islice(self.source, count))


class Fetched:
    """The items of a `Fetch` that have not left. Its thread appends to ``items``; the thread
    that holds the lock of the data socket removes the first ones, when they are events, and
    counts them in ``count``."""

    __slots__ = ("_fetch", "count", "items")

    def __init__(self, fetch: Fetch) -> None:
        self.items: list[Item] = []
        self.count = 0
        self._fetch = weakref.ref(fetch)

    @property
    def ended(self) -> bool:
        """Whether nothing will be appended any more."""
        return self._fetch() is None

    def whole(self, most_bytes: int) -> FetchedColumns | None:
        """All items as one batch; None if there are others than plain bytes among them, or
        more than ``most_bytes``, or a single one."""
        payloads, stamps_ns = zip(*self.items)  # noqa: B905
        if set(map(type, payloads)) != {bytes} or sum(map(len, payloads)) > most_bytes:
            return None
        return FetchedColumns(stamps_ns, payloads, self) if len(payloads) > 1 else None

    def events(self, below_bytes: int) -> list[Stamped]:
        """The items before the first one that is not plain bytes, or not smaller than
        this."""
        found: list[Stamped] = []
        for payload, stamp_ns in tuple(self.items):
            if type(payload) is not bytes or len(payload) >= below_bytes:
                break
            found.append((stamp_ns, payload))
        return found


class FetchedColumns(EventColumns):
    """The first events of a list of items, which they leave when they were sent."""

    __slots__ = ("_fetched", "_first")

    def __init__(
        self, stamps_ns: Sequence[int], payloads: Sequence[bytes], fetched: Fetched
    ) -> None:
        super().__init__(stamps_ns, payloads)
        self._fetched = fetched
        self._first = fetched.items[0]

    def have_left(self) -> None:
        fetched, items, count = self._fetched, self._fetched.items, len(self.payloads)
        if items and items[0] is self._first:
            del items[:count]; fetched.count += count  # noqa: E702  # fmt: skip


def in_order(one: Iterable[Stamped], other: Iterable[Stamped]) -> list[Stamped]:
    """Events of both, by their time stamps."""
    return sorted([*one, *other], key=lambda event: event[0])
