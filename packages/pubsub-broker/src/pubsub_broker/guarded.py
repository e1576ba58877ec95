"""Forwarding where the broker is secure: what is not allowed does not pass. Shell.

Each publisher has a SUB socket of its own, connected with its key and subscribed to what
subscribers want of what it may publish: libzmq drops whatever else it sends. Subscribers
are judged by `pubsub_common.security.guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.effects import Attach
from pubsub_broker.forwarder import Message, OutSocket, receive
from pubsub_common.security.guard import Guard, OnRefused, Permits, topic_of
from pubsub_common.security.keys import act_as_client, act_as_server
from pubsub_common.sockets import limit_received, notice_dead_links

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair


# Messages of one publisher before those of another.
_TURN: Final = 64


class _Source:
    """One publisher."""

    __slots__ = ("key", "socket", "topics")

    def __init__(
        self, socket: zmq.Socket[bytes], key: str, topics: tuple[str, ...]
    ) -> None:
        self.socket = socket
        self.key = key
        self.topics = frozenset(topics)


class GuardedSockets(OutSocket):
    """A SUB for each publisher, and XPUB towards subscribers, which are known by key."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        queue_limit: int,
        *,
        blocking: bool,
        pair: KeyPair,
        publisher_at: Callable[[str], Attach | None],
        permits: Permits,
        on_refused: OnRefused,
    ) -> None:
        """``pair`` are the broker's keys. ``publisher_at`` tells who is registered at an
        address: asked in the thread that drives this. ``permits`` and ``on_refused`` are
        a `Guard`'s."""
        super().__init__(context, queue_limit, blocking=blocking)
        self._context = context
        self._queue_limit = queue_limit
        self._pair = pair
        self._publisher_at = publisher_at
        act_as_server(self.xpub, pair)
        self._guard = Guard(self.xpub, permits, on_refused)
        self._sources: dict[str, _Source] = {}
        self._inputs: tuple[zmq.Socket[bytes], ...] = ()
        # Whose turn it is, and how many messages it has had in it.
        self._turn = 0
        self._taken = 0
        self._wanted: dict[bytes, str] = {}  # subscriptions, and the topic of each

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        return self._inputs

    def receive(self) -> Message | None:
        inputs = self._inputs
        if self._taken >= _TURN:  # so that a busy one does not keep out the others
            self._turn += 1
            self._taken = 0
        for offset in range(len(inputs)):
            index = (self._turn + offset) % len(inputs)
            try:
                message = receive(inputs[index])
            except zmq.Again:
                continue
            if index != self._turn:
                self._turn = index
                self._taken = 0
            self._taken += 1
            return message
        return None

    def offer(self, message: Message) -> bool:
        # libzmq looks only at the first part of a message, behind which any topic could
        # hide. No publisher of ours sends more parts.
        return len(message) > 1 or super().offer(message)

    def attached(self, address: str) -> bool:
        return address in self._sources

    def attach(self, address: str) -> None:
        publisher = self._publisher_at(address)
        if publisher is None or publisher.key is None:
            return  # it is gone again
        source = self._sources.get(address)
        if source is not None and source.key != publisher.key:
            self.disconnect(address)
            source = None
        if source is None:
            self._sources[address] = self._connect(address, publisher)
            self._changed()
        else:
            self._rearrange(source, frozenset(publisher.topics))

    def detach(self, address: str) -> None:
        if self._publisher_at(address) is None and self.attached(address):
            self._detach_at.pop(address, None)
            self.disconnect(address)
        else:
            super().detach(address)

    def disconnect(self, address: str) -> None:
        self._sources.pop(address).socket.close(linger=0)
        self._changed()

    def forward_subscriptions(self) -> bool:
        found = False
        while (message := self._guard.receive()) is not None:
            found = True
            subscription = message[1:]
            topic = topic_of(subscription)
            assert topic is not None, "a guard passes nothing else"
            begins = message[:1] == b"\x01"
            if begins:
                self._wanted[subscription] = topic
            else:
                self._wanted.pop(subscription, None)
            for source in self._sources.values():
                if topic in source.topics:
                    tell = (
                        source.socket.subscribe if begins else source.socket.unsubscribe
                    )
                    tell(subscription)
        return found

    def hang_up(self, keys: Iterable[str]) -> None:
        unwanted = set(keys)
        self._guard.hang_up(unwanted)
        # Publishers that left are heard for a while, but not if they may do less now.
        for address in list(self._detach_at):
            source = self._sources.get(address)
            if source is not None and source.key in unwanted:
                del self._detach_at[address]
                self.disconnect(address)

    def _connect(self, address: str, publisher: Attach) -> _Source:
        assert publisher.key is not None, "the caller has looked"
        socket = self._context.socket(zmq.SUB)
        socket.set_hwm(self._queue_limit)
        socket.sndhwm = 0  # as that of an XSUB, see `ForwardSockets`
        notice_dead_links(socket)
        limit_received(socket)
        act_as_client(socket, self._pair, publisher.key)
        source = _Source(socket, publisher.key, ())
        self._rearrange(source, frozenset(publisher.topics))
        socket.connect(f"tcp://{address}")
        return source

    def _rearrange(self, source: _Source, topics: frozenset[str]) -> None:
        """A publisher has these topics now."""
        for subscription, topic in self._wanted.items():
            if topic in topics and topic not in source.topics:
                source.socket.subscribe(subscription)
            elif topic in source.topics and topic not in topics:
                source.socket.unsubscribe(subscription)
        source.topics = topics

    def _changed(self) -> None:
        self._inputs = tuple(source.socket for source in self._sources.values())
        self._turn = 0
