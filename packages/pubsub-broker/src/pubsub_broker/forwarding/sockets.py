"""The sockets of one forwarder, and when it disconnects from publishers that have left.

`PlainSockets` are an XSUB and an XPUB socket. Two loops serve them in their own
threads: `zmq_proxy`, in C, and `python_loop`, in Python, which waits for slow
subscribers. In a secure broker `python_loop` serves `secure_sockets.SecureSockets`
instead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import zmq

from pubsub_broker.forwarding.draining import DrainingPublishers
from pubsub_broker.forwarding.event_output import EventOutput, Message
from pubsub_broker.forwarding.publisher_inputs import PublisherInputs
from pubsub_common.limits.held_subscriptions import Known
from pubsub_common.net.sockets import (
    bind,
    bound_queues,
    connect,
    enable_keepalive,
    endpoint,
    option_reader,
    reconnect,
    tcp_table,
)
from pubsub_common.net.tcp_table import still_open
from pubsub_common.queue_bounds import QueueBounds

PlaceOf = Callable[[str], str | None]

_POLLIN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)

# Subscriptions that are handled before the next event.
SUBSCRIPTIONS_IN_A_TURN: Final = 64


class ForwarderSockets(PublisherInputs):
    """An XPUB towards subscribers, and the delayed disconnection from publishers.
    Subclasses add the input from publishers.

    Send with `output` (`EventOutput` explains ``blocking`` and ``single_frames``), but
    retry with this object's `retry`.

    For one thread at a time. Attaching an attached publisher does nothing, nor does
    detaching an unknown one.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bounds: QueueBounds,
        *,
        blocking: bool = False,
        single_frames: bool = False,
        place_of: PlaceOf = lambda address: address,
    ) -> None:
        """``place_of`` resolves a publisher's address; None: not known yet, then it is
        attached when it is known."""
        self.place_of = place_of
        self.output = EventOutput(
            context, bounds, blocking=blocking, single_frames=single_frames
        )
        self.xpub = self.output.xpub
        self._draining = DrainingPublishers()
        # Publishers that libzmq has given up: the next `attach` reconnects. Any thread
        # may add to it.
        self.lost: set[str] = set()
        self.port = 0  # towards subscribers, from `bind` on

    def bind(self, host: str, port: int) -> None:
        """Offer events to subscribers at ``host:port``.

        Raises:
            zmq.ZMQError: the port is taken or the host is not ours.
        """
        self.port = bind(self.xpub, endpoint(host, port))

    def pin(self, threads: int) -> None:
        """Have these of libzmq's threads serve all sockets, present and future ones; a
        mask like ``ZMQ_AFFINITY``. Before bind and connect."""
        for socket in (self.xpub, *self.inputs()):
            socket.setsockopt(zmq.AFFINITY, threads)

    # Publishers

    def detach(self, address: str) -> None:
        """Stop receiving from this publisher when nothing more comes from it
        (`DrainingPublishers`)."""
        if self.attached(address):
            self._draining.begin(address, time.monotonic())

    def apply(self, changes: Iterable[tuple[bool, str]]) -> None:
        """Attach (True) or detach (False) publishers, in this order, and finish overdue
        detachments."""
        for attach, address in changes:
            if attach:
                self._draining.cancel(address)
                self.attach(address)
            else:
                self.detach(address)
        self._detach_finished()

    def wait_applied(self, until: float) -> None:
        """Nothing to wait for without a thread."""

    def detach_due(self) -> float | None:
        """When `apply` is due because of earlier detachments."""
        return self._draining.next_check()

    # Subscribers

    def forward_subscriptions(self) -> bool:
        """Pass some of the new subscriptions on to the publishers; returns whether
        there were any."""
        raise NotImplementedError

    def known(self, fd: int) -> Known | None:
        """The known subscriptions of the subscriber with this descriptor. For any
        thread."""
        return None

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """Close the connections of subscribers with these keys."""

    @property
    def held_since(self) -> float | None:
        """Since when a message has waited for room (monotonic seconds); None without
        one."""
        return self.output.held_since

    def large_bytes(self) -> tuple[int, int]:
        """The number of bytes forwarded in large messages, and the size of the largest."""
        return self.output.large_bytes, self.output.largest

    def retry(self) -> bool:
        """Send the held message, if any; False if there is still no room."""
        if self.output.held is None:
            return True
        if not self.output.retry():
            return False
        # The last messages of publishers that left could not come in before.
        self._draining.postpone(time.monotonic())
        return True

    def close(self, linger_s: float) -> None:
        """Close everything; accepted events have ``linger_s`` to reach subscribers."""
        for socket in self.inputs():
            socket.close(linger=0)
        self.xpub.close(linger=round(linger_s * 1000))

    def _detach_finished(self) -> None:
        """Disconnect from publishers that have left and from which nothing more comes."""
        now = time.monotonic()
        if self.output.held is not None:
            self._draining.postpone(now)
        for address in self._draining.finish(now, self._may_send_more):
            self.disconnect(address)

    def _may_send_more(self, addresses: Collection[str]) -> Collection[str]:
        """The publishers among these from which something waits, or may still come."""
        if self.has_input():
            return addresses
        table = tcp_table()
        if table is None:
            return ()
        places = {self.attached_place(address): address for address in addresses}
        found = still_open((place for place in places if place is not None), table)
        return [places[place] for place in found]


class PlainSockets(ForwarderSockets):
    """An XSUB towards publishers and an XPUB towards subscribers: the sockets for
    libzmq's proxy."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bounds: QueueBounds,
        *,
        blocking: bool = False,
        mark: bytes = b"",
        place_of: PlaceOf = lambda address: address,
    ) -> None:
        """``mark`` identifies the forwarder to publishers (`forwarder_mark`)."""
        super().__init__(context, bounds, blocking=blocking, place_of=place_of)
        self.xsub = context.socket(zmq.XSUB)
        bound_queues(self.xsub, bounds)
        enable_keepalive(self.xsub)
        # Only subscriptions go to publishers, and libzmq would silently drop those over
        # a limit. Topics and clients bound their number.
        self.xsub.sndhwm = 0
        if mark:
            self.xsub.send(b"\x01" + mark)
        self._inputs = (self.xsub,)
        self._events = option_reader(self.xsub, zmq.EVENTS)
        self._received_in_row = 0
        # by address, with its resolved address
        self._attached: dict[str, str | None] = {}

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        return self._inputs

    def receive(self) -> Message | None:
        # Mostly one message or none waits, and an exception is a slow way to learn
        # that. In a burst, this check is slower.
        if self._received_in_row > 1 or self._events() & _POLLIN:
            try:
                message = receive(self.xsub)
            except zmq.Again:
                pass
            else:
                self._received_in_row += 1
                return message
        self._received_in_row = 0
        return None

    def attached(self, address: str) -> bool:
        return address in self._attached

    def attach(self, address: str) -> None:
        before = self._attached.get(address)
        place = self.place_of(address) or before
        self._attached[address] = place
        if place is not None and place != before:
            if before is not None:
                self._leave(before)
            connect(self.xsub, f"tcp://{place}")
        elif place is not None and address in self.lost:
            reconnect(self.xsub, f"tcp://{place}")
        self.lost.discard(address)

    def attached_place(self, address: str) -> str | None:
        return self._attached.get(address)

    def disconnect(self, address: str) -> None:
        place = self._attached.pop(address, None)
        if place is not None:
            self._leave(place)

    def _leave(self, place: str) -> None:
        with contextlib.suppress(zmq.ZMQError):  # libzmq may have disconnected already
            self.xsub.disconnect(f"tcp://{place}")

    def forward_subscriptions(self) -> bool:
        found = False
        with contextlib.suppress(zmq.Again):
            for _ in range(SUBSCRIPTIONS_IN_A_TURN):
                self.xsub.send(self.xpub.recv(zmq.NOBLOCK))
                found = True
        return found


def receive(socket: zmq.Socket[bytes]) -> Message:
    """The next message.

    Raises:
        zmq.Again: there is none.
    """
    frame = socket.recv(_NOBLOCK, copy=False)
    message = [frame]
    while frame.more:
        frame = socket.recv(copy=False)
        message.append(frame)
    return message
