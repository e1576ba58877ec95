"""The trackers of all streams: delivered, skipped and ended ones.

The receiving thread reads ``active`` without a lock for each frame, only by looking up a key.
Everything else is done under the caller's lock.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pubsub_common.defaults import UNNAMED_STREAMS
from pubsub_common.protocol.sequence import Counts, StreamTracker

# A publisher that was removed may come back under the same session, and the events that it has
# published meanwhile are missing. So many streams are stored for that.
_MAX_CLOSED: Final = 4096

Key = tuple[int, str]


class Trackers:
    """A tracker for each stream, by session and topic."""

    def __init__(self) -> None:
        self.active: dict[Key, StreamTracker] = {}
        self._skipped: dict[Key, StreamTracker] = {}
        self._closed: OrderedDict[Key, StreamTracker] = OrderedDict()
        self._closed_counts = Counts()
        # Streams that have not ended, the oldest first, without those that `next_surplus` has seen.
        self._recent: OrderedDict[Key, None] = OrderedDict()
        # Publishers with streams that have not ended, by topic.
        self._sessions: dict[str, set[int]] = {}

    def of(self, session: int, topic: str) -> StreamTracker:
        """The tracker of a stream, a new one if necessary."""
        key = session, topic
        tracker = self.active.get(key) or self._skipped.get(key)
        if tracker is None:
            tracker = self.active[key] = self._open(key)
        return tracker

    def skipped(self, session: int, topic: str) -> StreamTracker:
        """The tracker of a stream that is skipped from now on."""
        key = session, topic
        tracker = self._skipped.get(key)
        if tracker is None:
            tracker = self.active.pop(key, None)
            if tracker is None:
                tracker = self._open(key)
            self._skipped[key] = tracker
            tracker.skipped = True
        return tracker

    def sort(self, topic: str, is_skipped: Callable[[Key], bool]) -> None:
        """Put each stream of a topic into its group."""
        for session in tuple(self._sessions.get(topic, ())):
            key = session, topic
            if key in self.active:
                if is_skipped(key):
                    self.skipped(session, topic)
            elif not is_skipped(key):
                tracker = self.active[key] = self._skipped.pop(key)
                tracker.skipped = False

    def find(self, session: int, topic: str) -> StreamTracker | None:
        """The tracker of a known stream, also of an ended one."""
        key = session, topic
        return self.active.get(key) or self._skipped.get(key) or self._closed.get(key)

    def end(self, key: Key) -> None:
        """Ignore a stream, as long as it is stored."""
        self.close(key)
        if key in self._closed:
            self._closed[key].ended = True

    def reached(self, key: Key, end: int) -> bool:
        """Whether all events of a stream below number ``end`` have arrived, are skipped, or
        do not count."""
        closed = self._closed.get(key)
        if key in self._skipped or (closed is not None and closed.ended):
            return True
        tracker = self.active.get(key)
        return tracker is not None and tracker.expected >= end

    def close(self, key: Key) -> None:
        """A stream has ended."""
        tracker = self.active.pop(key, None) or self._skipped.pop(key, None)
        if tracker is None:
            return
        self._recent.pop(key, None)
        session, topic = key
        sessions = self._sessions[topic]
        sessions.discard(session)
        if not sessions:
            del self._sessions[topic]
        tracker.skipped = False
        self._closed[key] = tracker
        if len(self._closed) > _MAX_CLOSED:
            self._closed_counts.add(self._closed.popitem(last=False)[1])

    def next_surplus(self, is_named: Callable[[Key], bool]) -> Key | None:
        """The oldest stream that the broker has not named, if there are too many of them;
        else None."""
        while len(self._recent) > UNNAMED_STREAMS:
            key, _ = self._recent.popitem(last=False)
            if not is_named(key):
                return key
        return None

    def counts(self) -> Counts:
        """Numbers of all events so far."""
        total = dataclasses.replace(self._closed_counts)
        for trackers in (self.active, self._skipped, self._closed):
            for tracker in trackers.values():
                total.add(tracker)
        return total

    def _open(self, key: Key) -> StreamTracker:
        session, topic = key
        self._sessions.setdefault(topic, set()).add(session)
        self._recent[key] = None
        return self._closed.pop(key, None) or StreamTracker(session, topic)
