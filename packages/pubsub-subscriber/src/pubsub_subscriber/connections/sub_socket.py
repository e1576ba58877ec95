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
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import LostConnections, lost_line
from pubsub_subscriber.connections.frame_buffer import FREE
from pubsub_subscriber.connections.interrupter import Interrupter, interrupt_message
from pubsub_subscriber.connections.subscriptions import Subscriptions

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
        self.subscriptions = Subscriptions(
            self.socket, session, self._choose_interrupt_message, positions=positions
        )
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
        return frozenset(self.subscriptions.ready_requests)

    def add(self, topics: Iterable[str], *, total_topics: int = 0) -> bool:
        """Subscribe to more topics; ``total_topics`` as in the constructor. True if the
        receiver must be woken."""
        with self._locked():
            self.subscriptions.add(topics, total_topics)
            return self.readable()

    def remove(self, topics: Iterable[str]) -> bool:
        """Unsubscribe from these topics. True if the receiver must be woken."""
        with self._locked():
            self.subscriptions.remove(topics)
            return self.readable()

    def narrow(self, publishers: Collection[int]) -> bool:
        """Receive references, and read the memory of these publishers. True if the receiver
        must be woken."""
        if self.subscriptions.reads == set(publishers):
            return False
        with self._locked():
            self.subscriptions.narrow(publishers)
            return self.readable()

    def drop_wide(self) -> bool:
        """After `narrow`: receive whole frames in the usual forms alone. True if the receiver
        must be woken."""
        with self._locked():
            self.subscriptions.drop_wide()
            return self.readable()

    def widen(self) -> bool:
        """The opposite of `narrow`."""
        if not self.subscriptions.is_narrow:
            return False
        with self._locked():
            self.subscriptions.widen()
            return self.readable()

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
        message = interrupt_message(self.subscriptions.first_ready_topic())
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
            self.subscriptions.repeat_ready_requests(topics)
            return self.readable()
