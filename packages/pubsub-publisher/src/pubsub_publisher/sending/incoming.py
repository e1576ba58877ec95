"""Receives subscriptions and requests on a publisher's data socket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.net.sockets import DataSocket
from pubsub_common.protocol.events import PRIVATE_MARK
from pubsub_common.protocol.recovery_messages import RECOVERY_MARK
from pubsub_common.security.connections import (
    Connection,
    connection_of,
    frame_property,
)
from pubsub_publisher.core import Effect, PublisherCore
from pubsub_publisher.sending.answers import Answers

if TYPE_CHECKING:
    from pubsub_common.security.port_guard import PortGuard
    from pubsub_common.security.subscription_guard import SubscriptionGuard

# Messages that are received before other threads may take the lock, and for how long.
_PORTION: Final = 64
_PORTION_S: Final = 0.0004
# The first bytes of subscriptions that need a reply.
_QUESTIONS: Final = (PRIVATE_MARK, RECOVERY_MARK)


class Incoming:
    """The caller holds the lock of the data socket. It is the control thread or, after the
    end of that thread, the thread that closes the socket."""

    def __init__(
        self,
        data_socket: DataSocket,
        core: PublisherCore,
        send: Callable[[bytes, int], object],
    ) -> None:
        """``send`` is the socket's own."""
        self._data_socket = data_socket
        self._core = core
        self._answers = Answers(core, send)

    def take_in(
        self,
        effects: list[Effect],
        guard: SubscriptionGuard | None,
        port_guard: PortGuard | None,
    ) -> bool:
        """Receive a portion of the incoming messages, and send a portion of the replies.
        Returns whether there is more to do at once. Effects for other classes are added to
        ``effects``."""
        core, now = self._core, time.monotonic()
        until = now + _PORTION_S
        receive = self._receive if guard is None else guard.receive_frame
        origins: dict[str | None, Connection | None] = {}
        for _ in range(_PORTION):
            frame = receive()
            if frame is None:
                break
            message = frame.bytes
            origin = None
            # Only requests need their connection. Successive messages often have the same one.
            if message[1:2] in _QUESTIONS:
                fd = frame_property(frame, "__fd")
                if fd not in origins:
                    origins[fd] = connection_of(frame)
                origin = origins[fd]
            effects += core.receive(message, now, origin)
            if message[1:2] == b"\0" and port_guard is not None:
                port_guard.introduce(message[1:], connection_of(frame))
            if time.monotonic() >= until:
                break
        self._answers.send(effects, now)
        due_at = core.next_deadline()
        more = self._data_socket.readable()
        return more or (due_at is not None and due_at <= now)

    def _receive(self) -> zmq.Frame | None:
        with contextlib.suppress(zmq.Again):
            return self._data_socket.socket.recv(zmq.NOBLOCK, copy=False)
        return None
