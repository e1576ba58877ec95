"""Counts the subscribers that are ready. One thread waits, another one updates."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping

from pubsub_common.defaults import WAIT_SLICE_S
from pubsub_common.errors import NotReady
from pubsub_common.protocol.events import ReadyRequest


@dataclasses.dataclass(slots=True)
class _Subscriber:
    """The ready topics of one subscriber that were seen, and how many there must be: as
    the last of them say, since one with wildcards comes to have more."""

    seen: set[str] = dataclasses.field(default_factory=set)
    needed: int = 1


class ReadySubscribers:
    """Subscribers that have asked on all their ready topics, one of ``ours`` among them
    (`pubsub_common.protocol.events`). `subscribers` are their sessions."""

    def __init__(self, ours: Collection[str]) -> None:
        self.subscribers: set[int] = set()
        self._ours = ours
        self._by_session: dict[int, _Subscriber] = {}
        # How many of our topics some of them must ask for, as the broker says.
        self._listeners: Mapping[int, int] = {}
        self._changed = threading.Condition()

    def update(self, request: ReadyRequest, *, begins: bool) -> None:
        """A subscription to a ready topic begins, or ends."""
        topic, session, topics = request
        with self._changed:
            subscriber = self._by_session.setdefault(session, _Subscriber())
            seen = subscriber.seen
            if begins:
                seen.add(topic)
                subscriber.needed = max(subscriber.needed, topics)
            else:
                seen.discard(topic)
                if not seen:
                    del self._by_session[session]
            self._update_session(session)
            self._changed.notify_all()

    def expect(self, listeners: Mapping[int, int]) -> None:
        """These subscribers are to have so many of our topics, and may know only
        some yet: others publish those too."""
        with self._changed:
            before, self._listeners = self._listeners, listeners
            for session in (before.keys() | listeners.keys()) & self._by_session.keys():
                self._update_session(session)
            self._changed.notify_all()

    def wait(
        self, count: int, timeout_s: float | None, ended: Callable[[], bool]
    ) -> None:
        """Wait until ``count`` are ready. What ``ended`` raises, this does.

        Raises:
            NotReady: fewer were after ``timeout_s`` seconds, or when ``ended``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while len(self.subscribers) < count:
                is_over = ended()
                left_s = (
                    WAIT_SLICE_S if deadline is None else deadline - time.monotonic()
                )
                if left_s <= 0 or is_over:
                    raise NotReady(
                        f"{len(self.subscribers)} of {count} subscribers are ready"
                    )
                self._changed.wait(min(left_s, WAIT_SLICE_S))

    def _update_session(self, session: int) -> None:
        """Whether a subscriber is ready. The caller holds `_changed`."""
        subscriber = self._by_session.get(session)
        ready = False
        if subscriber is not None and len(subscriber.seen) >= subscriber.needed:
            ours = subscriber.seen.intersection(self._ours)
            ready = len(ours) >= self._listeners.get(session, 1)
        if ready:
            self.subscribers.add(session)
        else:
            self.subscribers.discard(session)
