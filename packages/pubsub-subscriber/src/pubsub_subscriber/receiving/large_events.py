"""Takes large events, which are decoded from libzmq's memory.

In the buffer of `pubsub_subscriber.receiving.fast_path` they would be copied again. Here an
exception of a signal handler after the receiving call would lose the event. So the main
thread has another thread do this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import zmq

from pubsub_common.protocol.events import Event
from pubsub_common.protocol.local_lane import LANE_MARK
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving.decoding import decode_item, usual_tracker
from pubsub_subscriber.receiving.event_queue import EventQueue

# Larger events cost less here than in the buffer.
LARGE_BYTES: Final = 131_072
# Most events and bytes at once: the first waits for the last.
_BURST: Final = 4
_BURST_BYTES: Final = 2**20
_NOBLOCK: Final = int(zmq.NOBLOCK)

Deferred = tuple[bytes, int, SubSocket]


class Taken(NamedTuple):
    """The result: whether nothing is left at the socket, whether the last event was large,
    the unusual frame that ended it, or the reference to shared memory that did."""

    empty: bool
    large: bool
    deferred: Deferred | None = None
    reference: Deferred | None = None


def take_large(
    sub_socket: SubSocket,
    core: SubscriberCore,
    queue: EventQueue,
    now_ns: Callable[[], int],
) -> Taken:
    """Append the usual events that wait at a socket to the queue, as long as they are large.
    The caller holds the socket's lock."""
    only, lane = sub_socket.only_session, sub_socket.lane
    large = True
    try:
        for number in range(_BURST):
            if number == 1 and not sub_socket.events():
                return Taken(empty=True, large=large)
            view = sub_socket.receive_frame(_NOBLOCK).buffer
            received_ns = now_ns()
            if lane is not None and view[:1] == LANE_MARK:
                return Taken(False, False, None, (bytes(view), received_ns, sub_socket))
            large = len(view) >= LARGE_BYTES
            event = decode_item(view, core)
            tracker = None
            if isinstance(event, Event):
                tracker = usual_tracker(event, core, only)
            if not isinstance(event, Event) or tracker is None:
                return Taken(False, large, (bytes(view), received_ns, sub_socket))
            event.received_ns = received_ns
            queue.incoming.append(event)
            tracker.expected = event.sequence + 1
            if lane is not None:
                lane.saw_large(event.session)
            if not large or len(view) * (number + 1) >= _BURST_BYTES:
                break
    except zmq.Again:
        return Taken(empty=True, large=large)
    except zmq.ZMQError:
        if not sub_socket.closed:
            raise
        return Taken(empty=True, large=large)
    return Taken(empty=False, large=large)
