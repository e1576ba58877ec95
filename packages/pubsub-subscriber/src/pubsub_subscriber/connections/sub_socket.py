"""One SUB socket with its topics and connections.

The receiving thread may wait in the socket, with its lock. Another thread ends the wait by a
message (`interrupter`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import zmq

from pubsub_common.net.sockets import DataSocket, connect, option_reader, reconnect
from pubsub_common.protocol.events import (
    ATTEMPTS,
    ReadyRequest,
    ready_topic,
    topic_prefix,
)
from pubsub_common.protocol.local_lane import (
    REFERENCES,
    narrow_prefixes,
    narrow_subscription,
    reads_subscription,
)
from pubsub_common.protocol.recovery_messages import position_prefix
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import LostConnections, lost_line
from pubsub_subscriber.connections.frame_buffer import FREE
from pubsub_subscriber.connections.interrupter import Interrupter, interrupt_message

if TYPE_CHECKING:
    from pubsub_common.security.handshake_failure import ClientHandshakeMonitor
    from pubsub_subscriber.connections.local_lane import LocalLane

_log = logging.getLogger(__name__)

# Most unwanted messages in a row, before other sockets have their turn.
_MAX_DROPPED_AT_ONCE: Final = 64
_INTERRUPT_AGAIN_S: Final = 0.02
_RCVTIMEO: Final = int(zmq.RCVTIMEO)


class SubSocket(DataSocket):
    """A SUB socket that receives from several publishers, or from one broker port.

    Connecting twice to one address, or disconnecting from an unconnected one, does nothing.
    The methods take the lock themselves, and return whether the thread that waits for events
    must be woken (see `pubsub_common.net.sockets`).
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Iterable[str],
        session: int,
        bounds: QueueBounds,
        *,
        total_topics: int = 0,
        positions: bool = False,
    ) -> None:
        """Subscribe to ``topics``, and then to their ready topics. ``total_topics`` is the
        number of topics in all sockets of the subscriber, if it has several.
        ``positions``: subscribe to the positions of the publishers too."""
        super().__init__(context, zmq.SUB, bounds)
        # Reentrant, like the others: a signal handler, or a finalizer, may use a socket that
        # its own thread is using.
        self.lock = threading.RLock()  # type: ignore[assignment]
        # For subscriptions, which libzmq drops silently above a limit.
        self.socket.sndhwm = 0
        # As pyzmq's `recv_into` (buffer, flags) and `recv` (flags; a frame without a copy),
        # raise `zmq.Again`. The caller holds the lock.
        self.receive_into: Callable[..., int] = self.socket.recv_into
        self.receive_frame: Callable[[int], Any] = functools.partial(
            self.socket.recv, copy=False
        )
        self._more: Callable[[], int] | None = None
        self._dropping = False
        # The only publisher that may send here; None: any.
        self.only_session: int | None = None
        # Its other sessions, see `streams.connection`.
        self.other_sessions: set[int] = set()
        self.handshake_monitor: ClientHandshakeMonitor | None = None
        self._connected: set[str] = set()
        self._lost = LostConnections()
        self.most_held = (
            bounds.held_messages
        )  # counted down when the connection is closed
        self._bounds = bounds
        self._session = session
        self._positions = positions
        # The ready topic of each topic, as it was requested last.
        self._ready_requests: dict[str, ReadyRequest] = {}
        self._total_topics = 0
        # How long a wait in the socket may take, in milliseconds; -1: no limit.
        self.patience_ms = -1
        self._set_option: Callable[[int, int], None] = zmq.backend.Socket.set.__get__(
            self.socket
        )
        self._interrupter = Interrupter(self.socket)
        # The message of the interrupter. Without it no thread can interrupt, so no thread may
        # wait in the socket. The lock guards it.
        self.interrupt_message = b""
        self._change_lock = threading.RLock()
        # Of a socket to publishers with which this subscriber can share memory.
        self.lane: LocalLane | None = None
        # It has subscribed to the usual forms of frames alone, and reads the memory of these
        # publishers, by session.
        self._narrow = False
        self._reads: set[int] = set()
        self.add(topics, total_topics=total_topics)

    def restrict_to(self, session: int) -> None:
        """From now on receive only events of this publisher, and no messages of several
        parts: libzmq checks only the first part, and the others could have any topic."""
        self.only_session = session
        receive_into, receive_frame = self.receive_into, self.receive_frame
        self._more = option_reader(self.socket, zmq.RCVMORE)

        def receive_whole(buffer: memoryview, flags: int = 0) -> int:
            for _ in range(_MAX_DROPPED_AT_ONCE):
                size = receive_into(buffer, flags=flags)
                if not self.drop_parts(buffer):
                    return size
            raise zmq.Again  # other sockets have their turn

        def receive_whole_frame(flags: int) -> Any:
            for _ in range(_MAX_DROPPED_AT_ONCE):
                frame = receive_frame(flags)
                if not self.drop_parts(bytearray(1)):
                    return frame
            raise zmq.Again

        self.receive_into, self.receive_frame = receive_whole, receive_whole_frame

    def drop_parts(self, buffer: memoryview | bytearray) -> bool:
        """Drop the rest of a message of several parts, where none is allowed. Returns whether
        the last message, in ``buffer``, is one. The caller holds the lock. After an
        exception in here it must be called again, before anything else is received."""
        more = self._more
        if more is None or self.closed or not (self._dropping or more()):
            return False
        self._dropping = True
        while more():
            self.socket.recv()  # all parts have arrived with the first
        buffer[0] = FREE; self._dropping = False  # noqa: E702  # fmt: skip
        return True

    def repeats(self, session: int) -> bool:
        """Whether events of a publisher may come twice (`streams.connection`)."""
        return self.lane is not None and self.lane.has(session)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return bool(self.socket.closed)

    # Waiting in the socket

    def enable_interrupt(self) -> bool:
        """Prepare a wait of the receiving thread in the socket; returns whether it may wait.
        For that thread, which must not hold the lock."""
        return self._interrupter.connect(self.lock)

    @property
    def may_wait(self) -> bool | None:
        """The last result of `enable_interrupt`; None: not called yet."""
        return self._interrupter.usable

    def set_patience(self, patience_ms: int) -> None:
        """Let waits in the socket end after so many milliseconds, with `zmq.Again`. The
        caller holds the lock."""
        self._set_option(_RCVTIMEO, patience_ms)
        self.patience_ms = patience_ms

    def receive_waiting(self, buffer: memoryview) -> int:
        """Wait for a message; returns its size. -1 if no thread could interrupt the wait. The
        caller holds the lock, and `interrupt` makes it release it."""
        return self.receive_into(buffer) if self.interrupt_message else -1

    def interrupt(self) -> None:
        """Make the thread that waits in the socket return, or not begin to wait. For any
        thread and for signal handlers."""
        self._interrupter.send(self.interrupt_message)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock, also while a thread waits in the socket."""
        with self._change_lock:
            if not self.lock.acquire(blocking=False):
                self.interrupt()
                while not self.lock.acquire(timeout=_INTERRUPT_AGAIN_S):
                    self.interrupt()
            try:
                yield
            finally:
                self.lock.release()

    # Topics and connections

    @property
    def topics(self) -> frozenset[str]:
        """The topics of its subscriptions."""
        return frozenset(self._ready_requests)

    def add(self, topics: Iterable[str], *, total_topics: int = 0) -> bool:
        """Subscribe to more topics; ``total_topics`` as in the constructor. True if the
        receiver must be woken."""
        new = [topic for topic in topics if topic not in self._ready_requests]
        with self._locked():
            self._total_topics = total_topics
            if total_topics:  # else a new publisher would take these for all topics
                asked = self._ready_requests.items()
                self.repeat_ready_requests([t for t, was in asked if not was.topics])
            for topic in new:
                for prefix in self._prefixes(topic):
                    self.socket.subscribe(prefix)
                if self._positions:
                    self.socket.subscribe(position_prefix(topic))
            for topic in new:
                ready = ReadyRequest(topic, self._session, total_topics)
                self._ready_requests[topic] = ready
                self.socket.subscribe(ready_topic(*ready))
            self._choose_interrupt_message()
            return self.readable()

    def remove(self, topics: Iterable[str]) -> bool:
        """Unsubscribe from these topics. True if the receiver must be woken."""
        with self._locked():
            for topic in topics:
                ready = self._ready_requests.pop(topic, None)
                if ready is not None:
                    self.socket.unsubscribe(ready_topic(*ready))
                    for prefix in self._prefixes(topic):
                        self.socket.unsubscribe(prefix)
                    if self._positions:
                        self.socket.unsubscribe(position_prefix(topic))
            self._choose_interrupt_message()
            return self.readable()

    def narrow(self, publishers: Collection[int]) -> bool:
        """Receive references, and read the memory of these publishers. True if the receiver
        must be woken."""
        new = set(publishers) - self._reads
        gone = self._reads - set(publishers)
        if not new and not gone:
            return False
        socket = self.socket
        with self._locked():
            socket.subscribe(REFERENCES)
            for publisher in new:
                socket.subscribe(reads_subscription(self._session, publisher))
            for publisher in gone:
                socket.unsubscribe(reads_subscription(self._session, publisher))
            self._reads = set(publishers)
            if not self._narrow:
                self._use_prefixes(narrow=True)
                socket.subscribe(narrow_subscription(self._session))
            return self.readable()

    def widen(self) -> bool:
        """The opposite of `narrow`."""
        if not self._narrow:
            return False
        socket = self.socket
        with self._locked():
            self._use_prefixes(narrow=False)
            socket.unsubscribe(narrow_subscription(self._session))
            for publisher in self._reads:
                socket.unsubscribe(reads_subscription(self._session, publisher))
            self._reads = set()
            socket.unsubscribe(REFERENCES)
            return self.readable()

    def _prefixes(self, topic: str) -> tuple[bytes, ...]:
        """The subscriptions to the events of a topic."""
        return narrow_prefixes(topic) if self._narrow else (topic_prefix(topic),)

    def _use_prefixes(self, *, narrow: bool) -> None:
        """Subscribe to all topics again in the other way. The caller holds the lock."""
        before = [each for topic in self.topics for each in self._prefixes(topic)]
        self._narrow = narrow
        for topic in self.topics:
            for prefix in self._prefixes(topic):
                self.socket.subscribe(prefix)
        for prefix in before:
            self.socket.unsubscribe(prefix)

    def connect(self, address: str) -> bool:
        """Receive from ``IP:port`` too. True if the receiver must be woken."""
        with self._locked():
            if address not in self._connected:
                self._connected.add(address)
                connect(self.socket, f"tcp://{address}")
            return self.readable()

    def disconnect(self, address: str) -> bool:
        """Stop receiving from ``IP:port``, and drop its waiting messages. True if the
        receiver must be woken."""
        with self._locked():
            if address in self._connected:
                self._connected.discard(address)
                with contextlib.suppress(
                    zmq.ZMQError
                ):  # libzmq may have disconnected already
                    self.socket.disconnect(f"tcp://{address}")
            return self.readable()

    def reconnect(self, address: str) -> None:
        """Connect again to ``IP:port``, where libzmq has stopped trying."""
        with self._locked():
            reconnect(self.socket, f"tcp://{address}")

    def check(self) -> float | None:
        """Connect again where libzmq has stopped trying. Returns the seconds until the next
        check."""
        now = time.monotonic()
        for address in self._lost.look(self._connected, now):
            _log.warning("%s", lost_line(address, self._bounds))
            self.reconnect(address)
        return self._lost.due_s(now) if self._connected else None

    def close(self, linger_s: float) -> None:
        if self.handshake_monitor is not None:
            self.handshake_monitor.close()
        with self._locked():
            self._interrupter.close()
            if not self.socket.closed:
                self.socket.close(linger=round(linger_s * 1000))

    def _choose_interrupt_message(self) -> None:
        """The interrupter must send a message with a subscribed topic. The caller holds the
        lock."""
        ready = next(iter(self._ready_requests.values()), None)
        message = interrupt_message(None if ready is None else ready_topic(*ready))
        if message != self.interrupt_message:
            self.interrupt_message = message
            # Another thread may have just sent a message on the removed topic.
            self.interrupt()

    def change_subscription(self, topic: bytes, *, begins: bool) -> bool:
        """Subscribe to a private topic or, if ``begins`` is false, unsubscribe. True if the
        receiver must be woken."""
        with self._locked():
            if begins:
                self.socket.subscribe(topic)
            else:
                self.socket.unsubscribe(topic)
            return self.readable()

    @property
    def attended(self) -> bool:
        """Whether nothing waits, or a thread is receiving now, so that messages do not pile
        up. For any thread. If not, the receiver must be woken: the descriptor may not
        signal again."""
        if not self.lock.acquire(blocking=False):
            return True
        try:
            return not self.readable()
        finally:
            self.lock.release()

    def repeat_ready_requests(self, topics: Collection[str]) -> bool:
        """Repeat the ready requests of these topics that are here. A reply may have been
        dropped by a full queue. Or a publisher did not get the request, because an old
        connection of this subscriber still holds it: so the new request differs. The old
        one is removed last, so that there is always one. True if the receiver must be
        woken."""
        with self._locked():
            for topic in topics:
                before = self._ready_requests.get(topic)
                if before is None:
                    continue
                attempt = (before.attempt + 1) % ATTEMPTS
                again = before._replace(topics=self._total_topics, attempt=attempt)
                self._ready_requests[topic] = again
                self.socket.subscribe(ready_topic(*again))
                self._choose_interrupt_message()
                self.socket.unsubscribe(ready_topic(*before))
            return self.readable()
