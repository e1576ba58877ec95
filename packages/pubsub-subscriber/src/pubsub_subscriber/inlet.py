"""One SUB socket with its topics and connections. Shell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import zmq

from pubsub_common.events import ready_topic, topic_prefix
from pubsub_common.recovery import position_prefix
from pubsub_common.sockets import DataSocket, asker, connect_again

if TYPE_CHECKING:
    from pubsub_common.security.handshakes import HandshakeWatch


# Messages that nobody wants, before others have their turn.
_DROPPED_AT_ONCE: Final = 64


class Inlet(DataSocket):
    """A SUB socket that several publishers, or one broker port, feed.

    Connecting twice to one address, or disconnecting from one that is not
    connected, does nothing. The methods take the lock themselves, and say whether
    the thread that waits for events must be woken (see `pubsub_common.sockets`).
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Iterable[str],
        session: int,
        queue_limit: int,
        *,
        in_all: int = 0,
        positions: bool = False,
    ) -> None:
        """Subscribe to ``topics``, and after all to their ready topics. ``in_all`` is how
        many topics the subscriber has in all its inlets, if it has several.
        ``positions``: also to how far the publishers are."""
        super().__init__(context, zmq.SUB, queue_limit)
        # What a SUB socket sends are subscriptions. Over a limit libzmq drops them
        # without a word; how many there are is bounded by the topics.
        self.socket.sndhwm = 0
        # As pyzmq has it (flags, copy), raises `zmq.Again`: for who holds the lock.
        self.receive_frame: Callable[..., Any] = self.socket.recv
        # The one publisher whose events may come in here; None: any.
        self.only: int | None = None
        self.also: set[int] = set()  # other sessions of it, see `Intake`
        self.watch: HandshakeWatch | None = None
        self._connected: set[str] = set()
        self._session = session
        self._positions = positions
        self._ready_topics: dict[str, bytes] = {}
        self.add(topics, in_all=in_all)

    def restrict(self, session: int) -> None:
        """Take only what is of this publisher from here on, and no message of several
        parts: libzmq looks only at the first, behind which any topic could hide."""
        self.only = session
        receive, more = self.socket.recv, asker(self.socket, zmq.RCVMORE)

        def receive_whole(flags: int = 0, copy: bool = True) -> Any:
            for _ in range(_DROPPED_AT_ONCE):
                frame = receive(flags, copy)
                if not more():
                    return frame
                while more():
                    receive()  # all of a message is there when its first part is
            raise zmq.Again  # it must not keep us from the others

        self.receive_frame = receive_whole

    @property
    def topics(self) -> frozenset[str]:
        """What it is subscribed to."""
        return frozenset(self._ready_topics)

    def add(self, topics: Iterable[str], *, in_all: int = 0) -> bool:
        """Subscribe to more topics; ``in_all`` as above. True when the receiver must be
        woken."""
        new = [topic for topic in topics if topic not in self._ready_topics]
        with self.lock:
            for topic in new:
                self.socket.subscribe(topic_prefix(topic))
                if self._positions:
                    self.socket.subscribe(position_prefix(topic))
            for topic in new:
                ready = ready_topic(topic, self._session, in_all)
                self._ready_topics[topic] = ready
                self.socket.subscribe(ready)
            return self.readable()

    def remove(self, topics: Iterable[str]) -> bool:
        """Subscribe to these topics no longer. True when the receiver must be woken."""
        with self.lock:
            for topic in topics:
                ready = self._ready_topics.pop(topic, None)
                if ready is not None:
                    self.socket.unsubscribe(ready)
                    self.socket.unsubscribe(topic_prefix(topic))
                    if self._positions:
                        self.socket.unsubscribe(position_prefix(topic))
            return self.readable()

    def connect(self, address: str) -> bool:
        """Receive from ``IP:port`` too; True when the receiver must be woken."""
        with self.lock:
            if address not in self._connected:
                self._connected.add(address)
                self.socket.connect(f"tcp://{address}")
            return self.readable()

    def disconnect(self, address: str) -> bool:
        """Receive from ``IP:port`` no more; what waits from there is dropped. True
        when the receiver must be woken."""
        with self.lock:
            if address in self._connected:
                self._connected.discard(address)
                with contextlib.suppress(zmq.ZMQError):  # libzmq may have let go of it
                    self.socket.disconnect(f"tcp://{address}")
            return self.readable()

    def reconnect(self, address: str) -> None:
        """Connect once more to ``IP:port``, where libzmq has given up."""
        with self.lock:
            connect_again(self.socket, f"tcp://{address}")

    def close(self, linger_s: float) -> None:
        if self.watch is not None:
            self.watch.close()
        super().close(linger_s)

    def ask(self, question: bytes, *, begins: bool) -> bool:
        """Subscribe to a private topic, or (``begins`` false) do so no longer. True when
        the receiver must be woken."""
        with self.lock:
            if begins:
                self.socket.subscribe(question)
            else:
                self.socket.unsubscribe(question)
            return self.readable()

    def ask_again(self) -> bool:
        """Repeat the ready subscriptions: an answer may have been dropped where a
        queue was full. True when the receiver must be woken."""
        with self.lock:
            for ready in self._ready_topics.values():
                self.socket.unsubscribe(ready)
                self.socket.subscribe(ready)
            return self.readable()
