"""Lets subscriptions at a data port pass if their sender may have the topic.

Theory of operation
-------------------
An XPUB socket in its manual mode (``ZMQ_XPUB_MANUAL``) hands every subscription of every
peer to the program, and sends a peer only what the program has then agreed to. So a
client that subscribes to something else than it registered for gets nothing.

In that mode subscriptions come one by one, without being added up; `SubscriptionGuard.receive` adds
them up again: like a usual XPUB socket, it tells of the first subscription to something
and of the end of the last one. When a peer is gone libzmq ends all its subscriptions,
also those that were not agreed to, and does not say of which peer they were. Therefore refused
ones count as well; what is never told is their beginning.

What comes from a connection that is gone before it is read cannot be told from what
somebody makes up to end another's subscription. So the count alone ends nothing: before an
end is told, the connected peers are asked whether one of them is still subscribed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import zmq

from pubsub_common.limits.held_subscriptions import Known
from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.events import parse_ready_request
from pubsub_common.protocol.recovery_messages import (
    parse_position_prefix,
    parse_recovery_request,
)
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_at,
    connection_of,
    user_of,
)

# What comes in with a subscription: ZeroMQ's framing and encryption.
_FRAMING_BYTES: Final = 45
# A public key and a topic; whether that client may have the topic's events.
Permits = Callable[[str, str], bool]
# A public key, what was asked for in words, and the address it came from.
OnRefused = Callable[[str, str, str], None]


def topic_of(subscription: bytes) -> str | None:
    """The one topic whose events, or whose publishers' answers, a subscription brings.
    None for any other: a part of a topic's name would bring more than one."""
    ready = parse_ready_request(subscription)
    if ready is not None:
        return ready.topic
    question = parse_recovery_request(subscription)
    if question is not None:
        return question.topic
    position = parse_position_prefix(subscription)
    if position is not None:
        return position
    if subscription[-1:] != b"\0" or b"\0" in subscription[:-1]:
        return None
    try:
        return subscription[:-1].decode()
    except UnicodeDecodeError:
        return None


class _Peer:
    """One connection, whose it is, and what it has subscribed to."""

    __slots__ = ("connection", "judged", "size", "subscriptions", "user")

    def __init__(self, connection: Connection, user: str) -> None:
        self.connection = connection
        self.user = user
        self.subscriptions: set[bytes] = set()
        self.size = 0  # of them, in bytes
        self.judged = 0  # bytes of what came in


class SubscriptionGuard:
    """Decides about the subscriptions at one XPUB socket. For the thread that uses the socket."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        permits: Permits,
        on_refused: OnRefused = lambda _user, _what, _address: None,
        trusts: Callable[[str], bool] = lambda _user: False,
    ) -> None:
        """Puts ``socket``, which is not bound yet, into manual mode. ``trusts`` tells whether
        a public key is of somebody who subscribes for all others."""
        self._trusts = trusts
        socket.setsockopt(zmq.XPUB_MANUAL, 1)
        self._socket = socket
        self._permits = permits
        self._on_refused = on_refused
        self._counts: dict[bytes, int] = {}
        self._announced: set[bytes] = set()
        self._peers: dict[int, _Peer] = {}  # by descriptor

    def receive(self) -> bytes | None:
        """The content of `receive_frame`."""
        frame = self.receive_frame()
        return None if frame is None else frame.bytes

    def receive_frame(self) -> zmq.Frame | None:
        """The next beginning or end of a subscription that the caller is to know of, as
        a message of an XPUB socket; None when none waits."""
        while True:
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            message = frame.bytes
            begins, subscription = message[:1] == b"\x01", message[1:]
            if begins:
                first_or_last = self._begin(frame, subscription)
            elif message[:1] == b"\0":
                first_or_last = self._end(frame, subscription)
            else:
                first_or_last = False  # XPUB also passes on what is not a subscription
            if first_or_last:
                return frame

    def known(self, fd: int) -> Known | None:
        """What the connection with this descriptor is subscribed to; None: nothing. For any
        thread."""
        peer = self._peers.get(fd)
        if peer is None:
            return None
        held = Subscriptions(len(peer.subscriptions), peer.size)
        return Known(held, peer.judged, self._trusts(peer.user))

    def recheck(self, users: Iterable[str]) -> None:
        """What these clients may do has changed: end their connections, unless all that
        one is subscribed to is still granted, so that it loses nothing. Those that may
        still connect do so, and have their subscriptions judged anew."""
        keys = set(users)
        for fd, peer in list(self._peers.items()):
            if peer.user in keys and not self._all_granted(peer):
                del self._peers[fd]
                close_connection(peer.connection)

    def _all_granted(self, peer: _Peer) -> bool:
        """Whether it has subscribed at all, and only to what it may have. A client that
        may no longer connect may have nothing."""
        topics = [topic_of(subscription) for subscription in peer.subscriptions]
        return bool(topics) and all(
            topic is not None and self._permits(peer.user, topic) for topic in topics
        )

    def _begin(self, frame: zmq.Frame, subscription: bytes) -> bool:
        peer = self._peer(frame, user_of(frame))
        if peer is None:
            return False  # it is gone: its end will come, and is none of what we count
        peer.judged += len(subscription) + _FRAMING_BYTES
        if subscription in peer.subscriptions:
            return False
        peer.subscriptions.add(subscription)
        peer.size += len(subscription)
        self._counts[subscription] = self._counts.get(subscription, 0) + 1
        topic = topic_of(subscription)
        if topic is None or not self._permits(peer.user, topic):
            what = "part of a topic's name" if topic is None else repr(topic)
            self._refuse(peer, what)
            return False
        self._socket.setsockopt(zmq.SUBSCRIBE, subscription)
        if subscription in self._announced:
            return False
        self._announced.add(subscription)
        return True

    def _end(self, frame: zmq.Frame, subscription: bytes) -> bool:
        user = user_of(frame)
        if user is not None:
            peer = self._peer(frame, user)
            if peer is not None:
                peer.judged += len(subscription) + _FRAMING_BYTES
                if subscription not in peer.subscriptions:
                    return False
                peer.subscriptions.discard(subscription)
                peer.size -= len(subscription)
            self._socket.setsockopt(zmq.UNSUBSCRIBE, subscription)
        left = self._counts.get(subscription, 0) - 1
        if left > 0:
            self._counts[subscription] = left
            return False
        if there := self._subscribed(subscription):
            self._counts[subscription] = there
            return False
        self._counts.pop(subscription, None)
        if subscription not in self._announced:
            return False
        self._announced.discard(subscription)
        return True

    def _subscribed(self, subscription: bytes) -> int:
        """How many of the connected peers are subscribed to this."""
        return sum(
            subscription in peer.subscriptions and connection_at(fd) == peer.connection
            for fd, peer in self._peers.items()
        )

    def _peer(self, frame: zmq.Frame, user: str | None) -> _Peer | None:
        """Who sent this, as far as the connection is still there."""
        connection = connection_of(frame)
        if connection is None or user is None:
            return None
        peer = self._peers.get(connection.fd)
        if peer is None or peer.connection != connection or peer.user != user:
            peer = self._peers[connection.fd] = _Peer(connection, user)
        return peer

    def _refuse(self, peer: _Peer, what: str) -> None:
        self._on_refused(peer.user, what, peer.connection.remote[0])
        self._peers.pop(peer.connection.fd, None)
        close_connection(peer.connection)
