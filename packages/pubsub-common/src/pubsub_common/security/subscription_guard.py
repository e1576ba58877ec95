"""Accepts subscriptions at a data port if their sender may have the topic.

Theory of operation
-------------------
An XPUB socket in its manual mode (``ZMQ_XPUB_MANUAL``) passes every subscription of
every peer to the program, and sends a peer only the topics that the program has
accepted. So a client with a subscription to another topic than it registered gets
nothing.

In that mode each subscription comes separately, without a count.
`SubscriptionGuard.receive` counts them again: like a usual XPUB socket, it reports the
first subscription to a topic and the end of the last one. When a peer is gone libzmq
ends all its subscriptions, also those that were not accepted, and does not identify the
peer. Therefore rejected ones count as well, but their beginning is never reported.

Messages of a connection that closes before they are read cannot be distinguished from
forged ones that end another client's subscription. So the count alone ends nothing:
before an end is reported, the connected peers are checked for the same subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import zmq

from pubsub_common.limits.held_subscriptions import Known
from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.events import EVENT_MARK, parse_ready_request
from pubsub_common.protocol.local_lane import is_lane_subscription, is_narrow
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

# The bytes that come with a subscription: ZeroMQ's framing and encryption.
_FRAMING_BYTES: Final = 45
# A public key and a topic; returns whether that client may have the topic's events.
Permits = Callable[[str, str], bool]
# A public key, a description of the requested topic, and the sender's address.
OnRefused = Callable[[str, str, str], None]


def topic_of(subscription: bytes) -> str | None:
    """The one topic for which a subscription brings events, or publishers' answers.
    None for any other subscription: a prefix of a name would match several topics."""
    ready = parse_ready_request(subscription)
    if ready is not None:
        return ready.topic
    question = parse_recovery_request(subscription)
    if question is not None:
        return question.topic
    position = parse_position_prefix(subscription)
    if position is not None:
        return position
    if is_narrow(subscription):
        subscription = subscription[: -len(EVENT_MARK)]
    if subscription[-1:] != b"\0" or b"\0" in subscription[:-1]:
        return None
    try:
        return subscription[:-1].decode()
    except UnicodeDecodeError:
        return None


class _Peer:
    """One connection, its key, and its subscriptions."""

    __slots__ = ("connection", "judged", "size", "subscriptions", "user")

    def __init__(self, connection: Connection, user: str) -> None:
        self.connection = connection
        self.user = user
        self.subscriptions: set[bytes] = set()
        self.size = 0  # of the subscriptions, in bytes
        self.judged = 0  # the bytes that were checked


class SubscriptionGuard:
    """Decides on the subscriptions at one XPUB socket. For the thread that uses the
    socket."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        permits: Permits,
        on_refused: OnRefused = lambda _user, _what, _address: None,
        trusts: Callable[[str], bool] = lambda _user: False,
    ) -> None:
        """Puts ``socket``, which is not bound yet, into manual mode. ``trusts``:
        whether a public key belongs to a forwarder, which subscribes for all others."""
        self._trusts = trusts
        # Whether subscribers may read memory that this publisher shares, with any topics.
        self.shares_memory = False
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
        """The next beginning or end of a subscription for the caller, as a message of
        an XPUB socket; None if there is none."""
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
                # XPUB also passes on messages that are not subscriptions
                first_or_last = False
            if first_or_last:
                return frame

    def known(self, fd: int) -> Known | None:
        """The subscriptions of the connection with this descriptor; None if unknown.
        For any thread."""
        peer = self._peers.get(fd)
        if peer is None:
            return None
        held = Subscriptions(len(peer.subscriptions), peer.size)
        return Known(held, peer.judged, self._trusts(peer.user))

    def recheck(self, users: Iterable[str]) -> None:
        """The permissions of these clients have changed: close their connections,
        unless all their subscriptions are still granted, so that they lose nothing.
        Clients with remaining permissions reconnect, and their subscriptions are
        checked again."""
        keys = set(users)
        for fd, peer in list(self._peers.items()):
            if peer.user in keys and not self._all_granted(peer):
                del self._peers[fd]
                close_connection(peer.connection)

    def _all_granted(self, peer: _Peer) -> bool:
        """Whether it has subscriptions, all of them allowed. A client that may no
        longer connect has no permissions."""
        return bool(peer.subscriptions) and all(
            self._granted(peer, subscription) for subscription in peer.subscriptions
        )

    def _granted(self, peer: _Peer, subscription: bytes) -> bool:
        if self.shares_memory and is_lane_subscription(subscription):
            return True
        topic = topic_of(subscription)
        return topic is not None and self._permits(peer.user, topic)

    def _begin(self, frame: zmq.Frame, subscription: bytes) -> bool:
        peer = self._peer(frame, user_of(frame))
        if peer is None:
            return False  # closed: its end follows, and is not counted
        peer.judged += len(subscription) + _FRAMING_BYTES
        if subscription in peer.subscriptions:
            return False
        peer.subscriptions.add(subscription)
        peer.size += len(subscription)
        self._counts[subscription] = self._counts.get(subscription, 0) + 1
        if not self._granted(peer, subscription):
            topic = topic_of(subscription)
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
        """The number of connected peers with this subscription."""
        return sum(
            subscription in peer.subscriptions and connection_at(fd) == peer.connection
            for fd, peer in self._peers.items()
        )

    def _peer(self, frame: zmq.Frame, user: str | None) -> _Peer | None:
        """The sender, if its connection is still open."""
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
