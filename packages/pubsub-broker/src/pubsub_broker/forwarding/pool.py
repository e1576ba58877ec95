"""All forwarders of a broker: their ports, publishers and state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.config import Overflow
from pubsub_broker.control.effects import Attach, Detach
from pubsub_broker.control.topic_spread import forwarder_of
from pubsub_broker.forwarding.calm_proxy import CalmProxy
from pubsub_broker.forwarding.clear_ports import bind_next
from pubsub_broker.forwarding.interface import Forwarder, ForwarderControl
from pubsub_broker.forwarding.publisher_book import PublisherBook
from pubsub_broker.forwarding.python_loop import PythonForwarder
from pubsub_broker.forwarding.slow_subscribers import SlowSubscribers
from pubsub_broker.forwarding.sockets import (
    ForwarderSockets,
    PlainSockets,
)
from pubsub_broker.forwarding.zmq_proxy import ANSWER_S, ZmqProxyForwarder
from pubsub_broker.transport.control_socket import EVENT_THREADS
from pubsub_common.earliest import earliest
from pubsub_common.errors import PubSubError
from pubsub_common.limits.port_limits import PortLimits, Subscriptions
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.net.sockets import wait_until_sent
from pubsub_common.protocol.forwarder_mark import forwarder_mark
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import LostConnections
from pubsub_common.security.port_guard import OnFailure, PortGuard
from pubsub_common.security.unread_queues import Unread

if TYPE_CHECKING:
    from pubsub_broker.security.authenticator import Authenticator

# A forwarder that has waited so long for a subscriber may be unable to connect.
_BLOCKED_S: Final = 0.5


class ForwarderPool:
    """Spreads topics over ``count`` forwarders; 0: the broker forwards nothing.

    With ``threaded`` each forwarder has a thread; otherwise the broker's loop serves
    ``socket_sets``. A forwarder's thread that ends with an error calls ``on_failure``.
    Publishers identify the forwarders by ``forwarder``. ``on_failed_handshake`` is
    passed to `PortGuard`. ``places`` resolves publishers with a host name. With an
    ``authenticator`` only authorized clients send and receive.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        count: int,
        threaded: bool,
        bounds: QueueBounds,
        overflow: Overflow,
        on_failure: Callable[[], None],
        port_limits: PortLimits,
        forwarder: str,
        on_failed_handshake: OnFailure,
        places: NamedEndpoints,
        authenticator: Authenticator | None = None,
    ) -> None:
        self.socket_sets: list[ForwarderSockets] = []
        self.ports: list[int] = []
        self.threaded = threaded
        self._context = context
        self._count = count
        self._bounds = bounds
        self._blocking = overflow == "block"
        self._on_failure = on_failure
        self._forwarders: list[Forwarder] = []
        self._port_limits = port_limits
        self._forwarder_name = forwarder
        self._on_failed_handshake = on_failed_handshake
        self._guards: list[PortGuard] = []
        self._authenticator = authenticator
        self._places = places
        self._publishers = PublisherBook()
        self._slow_subscribers = SlowSubscribers(bounds, blocking=self._blocking)
        self._lost = LostConnections()
        # The changes from `expect`, until `apply_changes`.
        self._changes: list[tuple[bool, str]] = []

    def open(self, host: str, ports: Iterator[int]) -> None:
        """Bind and start the missing forwarders, each on the next free port of
        ``ports``.

        Raises:
            CannotListen: no port could be bound.
        """
        for number in range(len(self.ports), self._count):
            sockets = self._sockets()
            if int(self._context.get(zmq.IO_THREADS)) > 1:
                sockets.pin(EVENT_THREADS)
            self.socket_sets.append(sockets)
            guard = self._guard(sockets, f"guard-{number}")
            self.ports.append(bind_next(sockets, host, ports))
            guard.start()
            if self.threaded:
                forwarder = self._forwarder(sockets, f"forwarder-{number}")
                self._forwarders.append(forwarder)
                forwarder.start()

    def ports_of(self, topics: Iterable[str]) -> dict[str, int]:
        """The port from which each topic is forwarded."""
        return {topic: self.ports[forwarder_of(topic, self._count)] for topic in topics}

    def sockets_of(self, topic: str) -> ForwarderSockets:
        """The sockets that forward a topic."""
        return self.socket_sets[forwarder_of(topic, self._count)]

    def expect(self, change: Attach | Detach) -> None:
        """Connect to a publisher, or disconnect from it, at the next `apply_changes`.
        Call this before the publisher gets its reply, as it may then publish
        immediately."""
        now = time.monotonic()
        self._publishers.note(change, now)
        if isinstance(change, Attach):
            self._places.begin(change.address, now)
        else:
            self._places.end(change.address)
        self._changes.append((isinstance(change, Attach), change.address))

    def apply_changes(self) -> None:
        """Apply the changes from `expect`, and overdue ones. All forwarders are
        notified first; then the wait is `ANSWER_S` seconds in total.

        Raises:
            PubSubError: a forwarder has failed.
        """
        # Every forwarder connects to every publisher, even if it forwards none of its
        # topics: the publisher must see the ready topics of a subscriber from all of
        # them.
        now = time.monotonic()
        self._publishers.forget_departed(now)
        changes, self._changes = self._changes, []
        told = []
        for control in self._controls():
            due = control.detach_due()
            if changes or (due is not None and due <= now):
                control.apply(changes)
                told.append(control)
        for control in told:
            control.wait_applied(now + ANSWER_S)

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """Close the connections of subscribers with these keys."""
        if unwanted := list(keys):
            for control in self._controls():
                control.disconnect_subscribers(unwanted)

    def reconnect_lost(self, now: float) -> list[str]:
        """Reconnect, at the next `apply_changes`, to publishers that libzmq has given
        up, which are returned, and to those with a new address for their name."""
        if not self._controls():
            return []
        self._changes += [(True, address) for address, _ in self._places.look(now)]
        if any(now - since > _BLOCKED_S for _, since in self.held()):
            return []  # a new publisher may not be connected yet
        places = self._places.by_place(self._publishers.addresses())
        lost = [places[place] for place in self._lost.look(places, now)]
        for address in lost:
            for sockets in self.socket_sets:
                sockets.lost.add(address)
            self._changes.append((True, address))
        return lost

    def bound_bytes(self, now: float) -> list[Unread]:
        """Where too many bytes wait for a subscriber: close its connection, or stop
        forwarding until it has read. Returns the closed connections."""
        due = now >= self._slow_subscribers.look_at
        closed = self._slow_subscribers.look(
            now, self.ports, self._controls(), self.socket_sets
        )
        if due:
            for forwarder in self._forwarders:
                forwarder.look(now)
        return closed

    def next_deadline(self) -> float | None:
        """When `apply_changes` or `bound_bytes` is due without new changes."""
        return earliest(
            *(control.detach_due() for control in self._controls()),
            self._slow_subscribers.look_at if self.ports else None,
            self._places.next_deadline(),
        )

    def threads(self) -> list[threading.Thread]:
        """The threads of the forwarders."""
        return [forwarder.thread for forwarder in self._forwarders]

    def forwarded(self) -> int:
        """The number of messages that the threads have received from publishers."""
        return sum(forwarder.forwarded() for forwarder in self._forwarders)

    def held(self) -> list[tuple[int, float]]:
        """Ports that wait for a subscriber to read, and since when (monotonic seconds)."""
        found = []
        for port, control in zip(self.ports, self._controls(), strict=False):
            since = control.held_since
            if since is not None:
                found.append((port, since))
        return found

    def check(self) -> None:
        """Raises:
        PubSubError: a forwarder's thread has ended with an error.
        """
        for forwarder in self._forwarders:
            if forwarder.error is not None:
                raise PubSubError(
                    f"forwarding has failed: {forwarder.error!r}"
                ) from forwarder.error

    def close(self, until: float) -> None:
        """Let accepted events go out until ``until`` (monotonic seconds), and close
        everything. The first error is raised after that."""
        for guard in self._guards:
            guard.end()
        for forwarder in self._forwarders:
            forwarder.begin_close(until)
        for port in self.ports:
            wait_until_sent(port, until - time.monotonic())
        errors: list[PubSubError] = []
        for forwarder in self._forwarders:
            try:
                forwarder.close(until)
            except PubSubError as error:
                errors.append(error)
        # Those without a thread: all of a broker with an event limit, or the last one
        # after a failed setup.
        for sockets in self.socket_sets[len(self._forwarders) :]:
            sockets.output.flush(until)
            sockets.close(max(0.0, until - time.monotonic()))
        for guard in self._guards:
            guard.close()
        if errors:
            raise errors[0]

    def declare(self, declared: Subscriptions) -> None:
        """Set the number of connections that registered subscribers may need at the
        ports, in total."""
        for guard in self._guards:
            guard.declare(declared)

    def _guard(self, sockets: ForwarderSockets, name: str) -> PortGuard:
        secure = self._authenticator is not None
        guard = PortGuard(
            sockets.xpub,
            self._port_limits,
            name=name,
            secure=secure,
            known=sockets.known if secure else None,
            on_failure=self._on_failed_handshake,
        )
        self._guards.append(guard)
        return guard

    def _controls(self) -> Sequence[ForwarderControl]:
        """The objects that apply changes: the threads, or else the sockets."""
        return self._forwarders or self.socket_sets

    def _sockets(self) -> ForwarderSockets:
        if self._authenticator is None:
            return PlainSockets(
                self._context,
                self._bounds,
                blocking=self._blocking,
                mark=forwarder_mark(self._forwarder_name, len(self.ports)),
                place_of=self._places.place,
            )
        from pubsub_broker.forwarding.secure_sockets import SecureSockets

        return SecureSockets(
            self._context,
            self._bounds,
            blocking=self._blocking,
            polled=not self.threaded,
            pair=self._authenticator.pair,
            publisher_at=self._publishers.get,
            permits=self._authenticator.grants.permits,
            on_refused=self._authenticator.subscription_refused,
            on_forged=self._authenticator.message_forged,
            place_of=self._places.place,
        )

    def _forwarder(self, sockets: ForwarderSockets, name: str) -> Forwarder:
        if not isinstance(sockets, PlainSockets):
            return PythonForwarder(sockets, name, self._on_failure)
        if not self._blocking:
            return ZmqProxyForwarder(self._context, sockets, name, self._on_failure)
        proxy = CalmProxy(self._context, sockets, name, self._bounds.messages)
        return PythonForwarder(sockets, name, self._on_failure, proxy)
