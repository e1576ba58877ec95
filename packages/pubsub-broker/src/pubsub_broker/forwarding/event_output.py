"""The XPUB socket towards subscribers, and the message for which it has no room."""

from __future__ import annotations

import select
import time
from typing import Final

import zmq

from pubsub_common.net.sockets import bound_queues, enable_keepalive
from pubsub_common.queue_bounds import COUNTED_BYTES, QueueBounds

# How long a held message waits for a subscriber to say that it has made room, before it
# is tried anyway: what says so may have come between two looks.
RETRY_S: Final = 0.02

# One message: a frame, or what a stranger sends, several. No frame: what must not pass.
Message = list[zmq.Frame]


class EventOutput:
    """An XPUB socket.

    With ``blocking``, a message for which a subscriber's queue has no room is *held*
    instead of dropped for that subscriber; the loop that drives the sockets must then not
    offer another before `retry` has let go of it. With ``single_frames`` a message of
    several frames is dropped: libzmq looks only at the first, behind which any topic could
    hide.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bounds: QueueBounds,
        *,
        blocking: bool,
        single_frames: bool = False,
    ) -> None:
        self.xpub = context.socket(zmq.XPUB)
        bound_queues(self.xpub, bounds)
        enable_keepalive(self.xpub)
        if blocking:
            # All or nothing: libzmq looks for room in every queue that wants the
            # message before it puts it into any.
            self.xpub.setsockopt(zmq.XPUB_NODROP, 1)
        self.held: Message | None = None
        self.held_since: float | None = None  # monotonic seconds
        # In frames of at least `COUNTED_BYTES`.
        self.large_bytes = 0
        self.largest = 0
        # Too many bytes wait for subscribers: nothing is sent. Any thread sets it.
        self.bytes_full = False
        self.blocking = blocking
        self._single_frames = single_frames

    def offer(self, message: Message) -> bool:
        """Send a message to its subscribers; False when it is held. Nothing is held
        now."""
        if self._single_frames and len(message) != 1:
            return True
        try:
            self._send(message)
        except zmq.Again:
            self.held, self.held_since = message, time.monotonic()
            return False
        return True

    def retry(self) -> bool:
        """Send what is held, if anything; False when it still has no room."""
        if self.held is None:
            return True
        # A subscriber that has made room says so by a command, which a send would look
        # at only now and then.
        self.xpub.poll(0)
        try:
            self._send(self.held)
        except zmq.Again:
            return False
        self.held = self.held_since = None
        return True

    def flush(self, until: float) -> None:
        """Send what is held, or drop it at ``until`` (monotonic seconds)."""
        poller = select.poll()
        poller.register(self.xpub.FD, select.POLLIN)
        while not self.retry() and time.monotonic() < until:
            left_s = max(0.0, until - time.monotonic())
            poller.poll(min(RETRY_S, left_s) * 1000)

    def _send(self, message: Message) -> None:
        """Raises:
        zmq.Again: a subscriber has no room. (Not after the first frame.)
        """
        if self.bytes_full:
            raise zmq.Again
        last = message[-1]
        size = len(last)
        for frame in message[:-1]:
            size += len(frame)
            self.xpub.send(frame, zmq.NOBLOCK | zmq.SNDMORE, copy=False)
        self.xpub.send(last, zmq.NOBLOCK, copy=False)
        if size >= COUNTED_BYTES:
            self.large_bytes += size
            self.largest = max(self.largest, size)
