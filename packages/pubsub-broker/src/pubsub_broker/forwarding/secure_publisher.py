"""A secure broker's connection to one publisher.

The socket is connected with the publisher's key. It subscribes to the topics that
subscribers want and the publisher may publish, so libzmq drops everything else.
`is_genuine` finds messages that name another sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding.sender_check import HEAD_BYTES, SenderCheck
from pubsub_common.net.sockets import connect, enable_keepalive, option_reader
from pubsub_common.protocol.events import parse_ready_request, ready_topic
from pubsub_common.security.keys import configure_curve_client

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair

# Of longer frames only the beginning is copied.
_SHORT: Final = 1024


def masked(subscription: bytes) -> bytes | None:
    """The subscription that a publisher sees instead of one to a topic that it does not
    have; None: none.

    A publisher counts the ready topics of a subscriber, also of topics that come from
    other forwarders, so it must see all of them. But for other publishers' topics it
    must not learn the names, nor anything that it could answer. No topic has a name
    like this one.
    """
    ready = parse_ready_request(subscription)
    if ready is None or not ready.topics:
        return None
    # A string's hash depends on a secret of this process.
    name = f"\x01{hash(ready.topic) % 2**64:x}"
    return ready_topic(*ready._replace(topic=name))


class PublisherConnection:
    """One publisher."""

    __slots__ = (
        "address",
        "events",
        "fd",
        "key",
        "place",
        "queued",
        "sender_check",
        "socket",
        "topics",
    )

    def __init__(
        self, socket: zmq.Socket[bytes], publisher: Attach, place: str
    ) -> None:
        """``socket`` is the publisher's own SUB; this sets its options, except for the
        queue. It connects to ``place``, the resolved address of the publisher."""
        assert publisher.key is not None
        assert publisher.session is not None
        socket.sndhwm = 0  # like an XSUB's, see `PlainSockets`
        enable_keepalive(socket)
        self.socket = socket
        self.fd: int = socket.FD
        self.address = publisher.address
        self.place = place
        self.key = publisher.key
        self.topics: frozenset[str] = frozenset()
        self.events = option_reader(socket, zmq.EVENTS)
        self.queued = False  # in the queue of connections that may have a message
        self.sender_check = SenderCheck(publisher.address, publisher.session)

    def connect(self, pair: KeyPair) -> None:
        """Connect; ``pair`` are the broker's keys."""
        configure_curve_client(self.socket, pair, self.key)
        connect(self.socket, f"tcp://{self.place}")

    def follow(self, publisher: Attach, wanted: Mapping[bytes, str]) -> None:
        """The publisher is registered like this now; ``wanted`` are all subscriptions,
        with their topics."""
        if publisher.session is not None:
            self.sender_check.renew(publisher.session)
        topics = frozenset(publisher.topics)
        for subscription, topic in wanted.items():
            if topic in topics and topic in self.topics:
                continue
            masked_subscription = masked(subscription)
            before = subscription if topic in self.topics else masked_subscription
            now = subscription if topic in topics else masked_subscription
            if before != now and before is not None and self.topics:
                self.socket.unsubscribe(before)
            if now is not None and (before != now or not self.topics):
                self.socket.subscribe(now)
        self.topics = topics

    def is_genuine(self, frame: zmq.Frame) -> bool:
        """Whether a message from its socket names this publisher as its sender."""
        short = len(frame) <= _SHORT
        head = frame.bytes if short else bytes(frame.buffer[:HEAD_BYTES])
        # Inlined, as a call costs a fifth of this check.
        if head.startswith(self.sender_check.known_heads, head.find(b"\0") + 1):
            return True
        return self.sender_check.accepts(frame.bytes)
