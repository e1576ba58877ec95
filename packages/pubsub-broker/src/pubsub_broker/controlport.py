"""The broker's control port: messages in and out, as bytes. Shell."""

from __future__ import annotations

from typing import Final, NamedTuple

import zmq

from pubsub_common import messages
from pubsub_common.defaults import MAX_CONTROL_BYTES
from pubsub_common.errors import ConfigError
from pubsub_common.messages import Reply
from pubsub_common.sockets import endpoint, notice_dead_links

# How long a goodbye may take to leave; nobody misses one that does not arrive.
_FAREWELL_S: Final = 1.0
_CONTROL_QUEUE: Final = 1000
# What a connection may have waiting here, in libzmq and in the kernel: a client has a
# message or two, and the rest of a flood is better left on the other side.
_WAITING: Final = 100
_WAITING_BYTES: Final = 128 * 1024
# Beyond the longest message that is served there are some that are answered, with an
# error; longer ones end the connection, before they fill the memory.
_MAX_RECEIVED: Final = 2 * MAX_CONTROL_BYTES


# A broker that forwards has two of libzmq's threads, so that events do not wait for what
# comes in here. Masks, as ZMQ_AFFINITY takes them.
CONTROL_THREADS: Final = 0b01
EVENT_THREADS: Final = 0b10


class Received(NamedTuple):
    """A message, the connection that it came on, and that one's other end: an IP address,
    or None if that is not known."""

    peer: bytes
    data: bytes
    address: str | None
    frame: zmq.Frame

    def descriptor(self) -> int | None:
        """The file descriptor of the connection; it may be closed meanwhile."""
        try:
            return int(self.frame.get("__fd"))
        except (zmq.ZMQError, ValueError):
            return None


class ControlPort:
    """A ROUTER socket: each client is known by the connection it speaks on."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.AFFINITY, CONTROL_THREADS)
        notice_dead_links(self.socket)
        # Per client. One that does not read loses pushes, which it notices by the
        # next revision, instead of filling the memory.
        self.socket.set_hwm(_CONTROL_QUEUE)
        self.socket.setsockopt(zmq.RCVHWM, _WAITING)
        self.socket.setsockopt(zmq.RCVBUF, _WAITING_BYTES)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _MAX_RECEIVED)

    def bind(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one for ``port`` 0.

        Raises:
            ConfigError: the address is not this host's, or the port is taken.
        """
        try:
            self.socket.bind(endpoint(host, port or "*"))
        except zmq.ZMQError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        bound = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        return int(bound.rpartition(":")[2])

    def receive(self) -> Received | None:
        """What came from a connection; None when nothing waits."""
        try:
            peer = self.socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        # Not copied, as only such a frame knows where it comes from.
        frame = self.socket.recv(copy=False)
        data = frame.bytes
        while self.socket.rcvmore:
            self.socket.recv()
            data = b""  # which is malformed
        try:
            address = str(frame.get("Peer-Address"))
        except zmq.ZMQError:
            address = None
        return Received(peer, data, address, frame)

    def send(self, peer: bytes, message: Reply) -> None:
        """Send to a connection, if it is still there and has room."""
        if peer:
            self.socket.send_multipart([peer, messages.encode(message)])

    def close(self, linger_s: float) -> None:
        """Close; goodbyes have a moment to leave."""
        self.socket.close(linger=round(min(linger_s, _FAREWELL_S) * 1000))
