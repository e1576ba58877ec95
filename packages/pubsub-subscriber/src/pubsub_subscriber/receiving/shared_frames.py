"""Decodes the frames in shared memory to which frames of a socket refer.

It can be repeated after an exception of a signal handler: a frame stays in the memory until it
is done.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving import decoding
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.large_events import Deferred

# A burst ends with so many bytes: its first event waits for its last, and views in it keep memory
# that the publisher needs for the next events.
_BURST_BYTES: Final = 2**18


class SharedFrames:
    """For the thread that receives."""

    def __init__(self, core: SubscriberCore, queue: EventQueue) -> None:
        self._core = core
        self._queue = queue
        # Unusual frames, and those behind them; for the cold path, which removes them.
        self.later: deque[Deferred] = deque()

    def take(
        self, source: SubSocket, frame: bytes, received_ns: int, whole: bool
    ) -> bool:
        """Append the events of the frames to which ``frame`` refers, as far as they are usual;
        the others are deferred. Missing events count as lost with the next number. Frames of
        other topics are skipped: a reference goes to all readers of the memory. Returns
        whether a burst has enough."""
        lane, core = source.lane, self._core
        found = None if lane is None else lane.read(frame)
        if lane is None or found is None:
            return False
        ring, first, sizes = found
        incoming, later, views = self._queue.incoming, self.later, lane.views
        before = len(incoming)
        only = source.only_session
        for number, size in enumerate(sizes, first):
            view = ring.take(number, size)
            if view is None:
                continue
            item = None if later else decoding.decode_item(view, core, views=views)
            tracker = None
            if item is not None:
                tracker = decoding.usual_tracker(item, core, only)
            if item is None and not decoding.is_subscribed(view, core):
                pass
            elif item is None or tracker is None:
                later.append((bytes(view), received_ns, source))
            else:
                item.received_ns = received_ns
                expected = decoding.end_of(item)
                decoding.append(item, incoming, whole=whole)
                tracker.expected = expected
            ring.done()
        new = len(incoming) - before
        return new > 0 and sum(sizes) * len(incoming) >= _BURST_BYTES * new

    def settle(self, source: SubSocket, frame: bytes, received_ns: int) -> None:
        """Complete `take`, which an exception has interrupted. Must not be interrupted
        itself."""
        lane = source.lane
        found = None if lane is None else lane.read(frame)
        if found is None:
            return
        ring, first, sizes = found
        for number, size in enumerate(sizes, first):
            view = ring.take(number, size)
            if view is not None:
                # The only one that can be appended and not counted, or not removed.
                kept, later = bytes(view), self.later
                if decoding.finish(kept, self._queue.incoming, self._core) or (
                    later and later[-1][0] == kept
                ):
                    ring.done()
                break
        self.take(source, frame, received_ns, False)
