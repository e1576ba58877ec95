"""Items that `publish_events` takes from a quick source, many in one step of Python.

A list's ``extend`` takes them: the thread that runs it is busy until the last one has come, but
other threads see each item at once. So the control thread sends these items when the source
turns out to be slow.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice, repeat, starmap
from operator import countOf, not_
from typing import Any

from pubsub_publisher.topics.event_columns import EventColumns, Stamped


class Fetch:
    """One call that takes items from ``source``. When it is garbage, its thread takes no more,
    however the call has ended."""

    __slots__ = ("__weakref__", "_stamps_ns", "fetched")

    def __init__(self, source: Iterator[object], now_ns: Callable[[], int]) -> None:
        self.fetched = Fetched(self)
        # For each item in turn: append it, which returns None, then read the clock. Pairs of
        # item and stamp would take an eighth of the time of publishing.
        appended = map(not_, map(self.fetched.items.append, source))
        self._stamps_ns = starmap(now_ns, compress(repeat(()), appended))

    def take(self, count: int) -> None:
        """Take this number of items, or the rest. An error of the source loses nothing before
        it."""
        self.fetched.stamps_ns.extend(islice(self._stamps_ns, count))


class Fetched:
    """The items of a `Fetch` that have not left, and when each came. Its thread appends an item
    and its stamp in one step of Python; the thread that holds the lock of the data socket
    removes the first ones, when they are events, and counts them in ``count``. An item is a
    payload, or whatever a source yields instead."""

    __slots__ = ("_fetch", "count", "items", "stamps_ns")

    def __init__(self, fetch: Fetch) -> None:
        self.items: list[Any] = []
        self.stamps_ns: list[int] = []
        self.count = 0
        self._fetch = weakref.ref(fetch)

    @property
    def ended(self) -> bool:
        """Whether nothing will be appended any more."""
        return self._fetch() is None

    def whole(self, most_bytes: int) -> FetchedColumns | None:
        """All items as one batch; None if there are others than plain bytes among them, or
        more than ``most_bytes``, or a single one."""
        stamps_ns = self.stamps_ns[:]
        count = len(stamps_ns)
        payloads = self.items[:count]
        if (
            count < 2
            or countOf(map(type, payloads), bytes) < count
            or sum(map(len, payloads)) > most_bytes
        ):
            return None
        return FetchedColumns(stamps_ns, payloads, self)

    def events(self, below_bytes: int) -> list[Stamped]:
        """The items before the first one that is not plain bytes, or not smaller than
        this."""
        found: list[Stamped] = []
        stamped = zip(tuple(self.stamps_ns), tuple(self.items), strict=False)
        for stamp_ns, payload in stamped:
            if type(payload) is not bytes or len(payload) >= below_bytes:
                break
            found.append((stamp_ns, payload))
        return found


class FetchedColumns(EventColumns):
    """The first events of a `Fetched`, which they leave when they were sent."""

    __slots__ = ("_fetched", "_first")

    def __init__(
        self, stamps_ns: Sequence[int], payloads: Sequence[bytes], fetched: Fetched
    ) -> None:
        super().__init__(stamps_ns, payloads)
        self._fetched = fetched
        self._first = fetched.count

    def have_left(self) -> None:
        fetched, count = self._fetched, len(self.payloads)
        if fetched.count == self._first:
            del fetched.items[:count], fetched.stamps_ns[:count]; fetched.count += count  # noqa: E702  # fmt: skip


def in_order(one: Iterable[Stamped], other: Iterable[Stamped]) -> list[Stamped]:
    """Events of both, by their time stamps."""
    return sorted([*one, *other], key=lambda event: event[0])
