"""The sockets of one forwarder, and when it disconnects from publishers that have left.

`PlainSockets` are an XSUB and an XPUB socket. Two loops serve them in a thread of their
own: `zmq_proxy`, in C, and `python_loop`, in Python, which waits for slow subscribers. In a
secure broker `python_loop` serves `secure_sockets.SecureSockets` instead.
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
    reconnect,
    tcp_table,
)
from pubsub_common.net.tcp_table import still_open
from pubsub_common.queue_bounds import QueueBounds

PlaceOf = Callable[[str], str | None]

# Events wait no longer than for so many.
SUBSCRIPTIONS_IN_A_TURN: Final = 64


class ForwarderSockets(PublisherInputs):
    """XPUB towards subscribers, and when to leave publishers that have left. What comes
    from publishers, subclasses know.

    What is to be sent goes through `output` (`EventOutput`, which explains ``blocking`` and
    ``single_frames``), but `retry` is ours.

    One thread at a time uses it. Attaching what is attached, and detaching what is
    not, does nothing.
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
        """``place_of`` tells where to connect for a publisher's address; None: not known yet,
        then it is attached again as soon as it is."""
        self.place_of = place_of
        self.output = EventOutput(
            context, bounds, blocking=blocking, single_frames=single_frames
        )
        self.xpub = self.output.xpub
        self._draining = DrainingPublishers()
        # Publishers to which libzmq makes no connection any more: the next `attach` connects
        # anew. Any thread adds to it.
        self.lost: set[str] = set()

    def bind(self, host: str, port: int) -> None:
        """Offer events to subscribers at ``host:port``.

        Raises:
            zmq.ZMQError: the port is taken or the host is not ours.
        """
        bind(self.xpub, endpoint(host, port))

    def pin(self, threads: int) -> None:
        """Have these of libzmq's threads serve all sockets, present and future ones; a
        mask, as ``ZMQ_AFFINITY`` takes it. Before anything is bound or connected."""
        for socket in (self.xpub, *self.inputs()):
            socket.setsockopt(zmq.AFFINITY, threads)

    # Publishers

    def detach(self, address: str) -> None:
        """Stop receiving from this publisher when nothing more comes from it
        (`DrainingPublishers`)."""
        if self.attached(address):
            self._draining.begin(address, time.monotonic())

    def apply(self, changes: Iterable[tuple[bool, str]]) -> None:
        """Attach (True) or detach (False) publishers, in this order, and finish
        detachments that are due."""
        for attach, address in changes:
            if attach:
                self._draining.cancel(address)
                self.attach(address)
            else:
                self.detach(address)
        self._detach_finished()

    def wait_applied(self, until: float) -> None:
        """Nothing is left to another thread."""

    def detach_due(self) -> float | None:
        """When `apply` is needed for the sake of earlier detachments."""
        return self._draining.next_check()

    # Subscribers

    def forward_subscriptions(self) -> bool:
        """Pass waiting subscriptions on to the publishers, a portion of them; whether there
        were any."""
        raise NotImplementedError

    def known(self, fd: int) -> Known | None:
        """What is known for certain of what the subscriber with this descriptor is subscribed
        to. For any thread."""
        return None

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """End the connections of subscribers with these keys."""

    @property
    def held_since(self) -> float | None:
        """Since when a message has waited for room (monotonic seconds); None without
        one."""
        return self.output.held_since

    def large_bytes(self) -> tuple[int, int]:
        """How many bytes were forwarded in large messages, and the largest of these."""
        return self.output.large_bytes, self.output.largest

    def retry(self) -> bool:
        """Send what is held, if anything; False when it still has no room."""
        if self.output.held is None:
            return True
        if not self.output.retry():
            return False
        # What publishers that left had sent before comes in only now.
        self._draining.postpone(time.monotonic())
        return True

    def close(self, linger_s: float) -> None:
        """Close all; events already accepted have ``linger_s`` to reach subscribers."""
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
        """From which of these publishers something waits, or may still come."""
        if self.has_input():
            return addresses
        table = tcp_table()
        if table is None:
            return ()
        places = {self.attached_place(address): address for address in addresses}
        found = still_open((place for place in places if place is not None), table)
        return [places[place] for place in found]


class PlainSockets(ForwarderSockets):
    """XSUB towards publishers, XPUB towards subscribers: what libzmq's proxy takes."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bounds: QueueBounds,
        *,
        blocking: bool = False,
        mark: bytes = b"",
        place_of: PlaceOf = lambda address: address,
    ) -> None:
        """``mark`` is what makes it known to publishers (`forwarder_mark`)."""
        super().__init__(context, bounds, blocking=blocking, place_of=place_of)
        self.xsub = context.socket(zmq.XSUB)
        bound_queues(self.xsub, bounds)
        enable_keepalive(self.xsub)
        # What goes to publishers are subscriptions. Those over a limit libzmq would
        # drop without a word; how many there are is bounded by topics and clients.
        self.xsub.sndhwm = 0
        if mark:
            self.xsub.send(b"\x01" + mark)
        self._attached: dict[str, str | None] = {}  # by address, with its place

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        return (self.xsub,)

    def receive(self) -> Message | None:
        try:
            return receive(self.xsub)
        except zmq.Again:
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
        with contextlib.suppress(zmq.ZMQError):  # libzmq may have let go of it
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
        zmq.Again: none waits.
    """
    frame = socket.recv(zmq.NOBLOCK, copy=False)
    message = [frame]
    while frame.more:
        frame = socket.recv(copy=False)
        message.append(frame)
    return message
