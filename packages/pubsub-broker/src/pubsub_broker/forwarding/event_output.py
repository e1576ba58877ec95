"""The XPUB socket towards subscribers, and the message that waits for room in it."""

from __future__ import annotations

import select
import time
from typing import Any, Final

import zmq

from pubsub_common.net.sockets import bound_queues, enable_keepalive, option_reader
from pubsub_common.queue_bounds import COUNTED_BYTES, QueueBounds

# How long a held message waits for a command of libzmq that announces room before a
# retry: the command may have arrived unnoticed.
RETRY_S: Final = 0.02

# One message: a frame, or several from a client that ignores the protocol. Without
# frames: a message that must not pass.
Message = list[zmq.Frame]

_POLLIN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)
_SNDMORE: Final = int(zmq.SNDMORE)


class EventOutput:
    """An XPUB socket.

    With ``blocking``, a message that finds the queue of a subscriber full is *held*
    instead of dropped for that subscriber. The loop that drives the sockets must then
    not offer another one before `retry` has sent it. With ``single_frames`` a message
    of several frames is dropped: libzmq checks only the first frame, so any topic could
    be in the others.
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
            # All or nothing: libzmq checks every queue for room before it puts the
            # message into any.
            self.xpub.setsockopt(zmq.XPUB_NODROP, 1)
        # Without pyzmq's wrapper, which looks for options that an XPUB does not have.
        backend: Any = zmq.backend.Socket
        self._send_frame = backend.send.__get__(self.xpub)
        self._events = option_reader(self.xpub, zmq.EVENTS)
        self.held: Message | None = None
        self.held_since: float | None = None  # monotonic seconds
        # In frames of at least `COUNTED_BYTES`.
        self.large_bytes = 0
        self.largest = 0
        # Too many bytes wait for subscribers: nothing is sent. Any thread may set it.
        self.bytes_full = False
        self.blocking = blocking
        self._single_frames = single_frames

    def has_subscription(self) -> bool:
        """Whether a subscription waits. This takes a fraction of the time of a receive
        without a message, which raises an exception."""
        return bool(self._events() & _POLLIN)

    def offer(self, message: Message) -> bool:
        """Send a message to its subscribers; False if it is held. Nothing may be held
        before."""
        if self._single_frames and len(message) != 1:
            return True
        try:
            self._send(message)
        except zmq.Again:
            self.held, self.held_since = message, time.monotonic()
            return False
        return True

    def retry(self) -> bool:
        """Send the held message, if any; False if there is still no room."""
        if self.held is None:
            return True
        # A subscriber announces room by a command, which a send would rarely process.
        self.xpub.poll(0)
        try:
            self._send(self.held)
        except zmq.Again:
            return False
        self.held = self.held_since = None
        return True

    def flush(self, until: float) -> None:
        """Send the held message, or drop it at ``until`` (monotonic seconds)."""
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
            self._send_frame(frame, _NOBLOCK | _SNDMORE, False)
        self._send_frame(last, _NOBLOCK, False)
        if size >= COUNTED_BYTES:
            self.large_bytes += size
            self.largest = max(self.largest, size)
