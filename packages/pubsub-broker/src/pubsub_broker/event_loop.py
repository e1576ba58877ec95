"""The loop of a broker: serves its sockets and its core, one turn at a time.

A request passes in one direction, without callbacks: it is read and decoded
(`transport.request_reader`), the core decides (`control.core`), and this loop performs
the effects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    Joined,
    ProposeDelete,
    ProposePut,
    Send,
)
from pubsub_broker.forwarding.event_output import RETRY_S
from pubsub_broker.monitoring.event_log import EventLog
from pubsub_broker.parts import BrokerParts
from pubsub_broker.transport.control_socket import ReceivedMessage
from pubsub_broker.transport.request_reader import ServedRequest
from pubsub_common.earliest import earliest
from pubsub_common.protocol.messages import Request, Status, StatusRequest

if TYPE_CHECKING:
    from pubsub_broker.security.authenticator import Authenticator

# The time to notify one subscriber of one topic.
_QUEUED_S: Final = 1e-7
# The longest wait: the owner checks between turns whether to continue.
_MAX_WAIT_S: Final = 0.5


class EventLoop:
    """Serves the parts of a broker. All methods belong to one thread at a time."""

    def __init__(self, parts: BrokerParts) -> None:
        self._parts = parts
        self._clients_counted = 0
        self._event_log = EventLog()
        self._poller = zmq.Poller()
        self._poller.register(parts.waker.fd, zmq.POLLIN)
        self._poller.register(parts.connection_guard.socket, zmq.POLLIN)
        parts.counting_forwarder.register(self._poller)

    def announce(self) -> None:
        """Log the address and the model."""
        authenticator = self._parts.authenticator
        security = None if authenticator is None else authenticator.describe()
        self._event_log.started(self._parts.core.model, self._parts.served, security)

    @property
    def event_count(self) -> int:
        """The number of events, of the kind that ``max_event_count`` limits: forwarded
        ones, or, decentralized, clients that joined or left."""
        return self._clients_counted + self._parts.counting_forwarder.forwarded

    @property
    def finished(self) -> bool:
        """Whether ``max_event_count`` is reached."""
        config = self._parts.config
        return not config.indefinite and self.event_count >= config.max_event_count

    # Turns

    def turn(self) -> None:
        """Do one turn: wait for something to do, and do it."""
        parts = self._parts
        parts.counting_forwarder.update(self._poller)
        parts.request_reader.update(self._poller, time.monotonic())
        ready = dict(self._poller.poll(self._timeout_ms()))
        if parts.waker.fd in ready:
            parts.waker.clear()
        if parts.group is not None:
            # First, as other brokers may have considered this one dead while it was
            # suspended.
            self.perform(parts.group.follow(time.monotonic()))
        if parts.connection_guard.socket in ready:
            guard = parts.connection_guard
            for address, what in guard.read_failures(time.monotonic()):
                parts.audit.warn(address, what, what)
        if parts.control_socket.socket in ready:
            self._serve_requests()
        parts.counting_forwarder.forward()
        self._tick(time.monotonic())

    def serve(self, received: ReceivedMessage, request: Request) -> None:
        """Decide on a request, and perform the effects."""
        # The thread's CPU time: the load of other processes is not the client's fault.
        core = self._parts.core
        began_s, queued = time.thread_time(), core.queued
        effects = core.handle(
            received.peer,
            request,
            time.monotonic(),
            received.key,
            origin=received.address,
        )
        self.perform(effects, received)
        if isinstance(request, StatusRequest):
            return  # its length counts there
        took_s = time.thread_time() - began_s + _QUEUED_S * (core.queued - queued)
        self._parts.connection_guard.worked(received, took_s, time.monotonic())

    def perform(
        self, effects: Iterable[Effect], cause: ReceivedMessage | None = None
    ) -> None:
        """Perform the core's effects; ``cause`` is the message that caused them."""
        parts = self._parts
        for effect in effects:
            match effect:
                case Send(peer, message):
                    size = parts.control_socket.send(peer, message)
                    if cause is not None and isinstance(message, Status):
                        parts.connection_guard.reported(cause, size, time.monotonic())
                case Attach() | Detach():
                    parts.forwarder_pool.expect(effect)
                case ProposePut() | ProposeDelete():
                    assert parts.group is not None, "else nothing is proposed"
                    parts.group.propose(effect)
                case _:
                    if isinstance(effect, Joined | Departed):
                        self._clients_counted += not parts.config.centralized
                    self._event_log.write(effect, time.monotonic())

    def join_group(self) -> None:
        """Join the group of brokers, if there is one.

        Raises:
            ConfigError: this broker cannot join the group.
        """
        group = self._parts.join_group()
        if group is not None:
            self.perform(group.begin(time.monotonic()))

    # For programs, between two turns

    def notify(self, topics: Iterable[str], session: int | None) -> None:
        """Send queued notifications to the subscribers of these topics, or to one of
        them."""
        self.perform(self._parts.core.flush(topics, session))

    def apply_changes(self) -> None:
        """Apply decided connections to publishers, and disconnections."""
        self._parts.forwarder_pool.apply_changes()

    def forward_one(self, topic: str) -> bool:
        """Forward the next queued event if it is of this topic; returns whether it was."""
        return self._parts.counting_forwarder.forward_one(topic)

    # Private

    def _serve_requests(self) -> None:
        for item in self._parts.request_reader.requests():
            if isinstance(item, ServedRequest):
                self.serve(item.received, item.request)
            else:
                self.perform(item)

    def _tick(self, now: float) -> None:
        """Do everything due now."""
        parts = self._parts
        if parts.authenticator is not None:
            self._apply_key_changes(parts.authenticator, now)
        self.perform(parts.core.tick(now))
        lost = parts.forwarder_pool.reconnect_lost(now)
        self._event_log.report_lost(lost, parts.config.bounds)
        parts.forwarder_pool.apply_changes()
        parts.forwarder_pool.check()
        # Subscribers of all brokers of a group, as each of them may come here.
        parts.forwarder_pool.declare(parts.registry.needed())
        self._event_log.tick(now)
        parts.connection_guard.tick(now)
        self._event_log.report_unread(parts.forwarder_pool.bound_bytes(now), now)
        self._event_log.report_stalled(parts.forwarder_pool.held(), now)
        if parts.snapshot_keeper is not None:
            parts.snapshot_keeper.tick(now)

    def _timeout_ms(self) -> int:
        parts = self._parts
        now = time.monotonic()
        due = earliest(
            parts.core.next_deadline(),
            parts.forwarder_pool.next_deadline(),
            parts.connection_guard.next_deadline(),
            parts.request_reader.next_deadline(now),
            now + RETRY_S if parts.counting_forwarder.waits() else None,
        )
        wait_s = _MAX_WAIT_S if due is None else max(0.0, due - now)
        return round(min(wait_s, _MAX_WAIT_S) * 1000) + 1

    def _apply_key_changes(self, authenticator: Authenticator, now: float) -> None:
        """Re-check clients with revoked keys or changed grants, and disconnect removed
        clients."""
        parts = self._parts
        changed = authenticator.take_changes()
        if changed is not None:
            self.perform(parts.core.recheck_permissions(changed, now))
            parts.forwarder_pool.disconnect_subscribers(changed)
            removed = {key for key in changed if not authenticator.grants.allows(key)}
            parts.control_socket.disconnect_later(removed, now)
        parts.control_socket.tick(now)
