"""The broker's decisions: control messages in, effects out.

`BrokerCore.handle` dispatches each request once, to the responsible part of the core:
`registration`, `membership`, `revocation`, …. The differences between the two models
are in `dissemination`; what a group adds begins in `group_seam`.
"""

from __future__ import annotations

from collections.abc import Iterable

from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.control.group_seam import GroupSeam
from pubsub_broker.control.refusals import decode_request
from pubsub_broker.control.registration import refusal_reply
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.snapshot import Snapshot, snapshot_of
from pubsub_common.earliest import earliest
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import (
    ClockRequest,
    Disconnect,
    Disconnected,
    Heartbeat,
    Hello,
    Register,
    Request,
    Status,
    StatusRequest,
)


class BrokerCore(GroupSeam):
    """The state of one broker. ``now`` is always seconds of one monotonic clock."""

    @property
    def client_count(self) -> int:
        """How many clients are registered here."""
        return self.own.count()

    @property
    def changes(self) -> int:
        """The number of changes so far to the content of `snapshot`."""
        return self._membership.changes

    @property
    def queued(self) -> int:
        """The number of topics queued in notifications so far: the work that requests
        have caused."""
        return self._notifications.queued

    # Input

    def receive(
        self, peer: bytes, data: bytes, now: float, key: str | None = None
    ) -> list[Effect]:
        """Handle a message from ``peer``; never raises for its content."""
        try:
            request = decode_request(data)
        except ProtocolError as error:
            return self.refusals.undecodable(peer, data, error)
        return self.handle(peer, request, now, key)

    def handle(
        self,
        peer: bytes,
        request: Request,
        now: float,
        key: str | None = None,
        *,
        origin: str | None = None,
    ) -> list[Effect]:
        """Handle a decoded request from the IP address ``origin``, if known."""
        match request:
            case Register():
                return self.register(peer, request, now, key, origin=origin)
            case Heartbeat():
                return self.heartbeat(peer, request, now, key)
            case Disconnect():
                return self.disconnect(peer, request, now, key)
            case StatusRequest():
                if not self._authorization.may_ask_status(key):
                    return self.refusals.no_status(peer, request)
                # Expire leases first, so that the report lists no client with an
                # expired one.
                return [*self.tick(now), Send(peer, self.status(request, now))]
            case ClockRequest():
                return [Send(peer, self._self_report.time(request))]
            case Hello():
                return [Send(peer, self._self_report.hello(request))]

    def register(
        self,
        peer: bytes,
        request: Register,
        now: float,
        key: str | None = None,
        *,
        origin: str | None = None,
    ) -> list[Effect]:
        """A publisher or subscriber joins, or registers again."""
        if self._brokers.group is not None and self._is_lost(peer):
            # The client may have moved to another broker while this one was suspended.
            return []
        try:
            pending = self._registration.decide(peer, request, key, origin)
        except Refusal as refusal:
            return self.refusals.refuse(peer, refusal_reply(request, refusal))
        return self._agreement.register(pending, now)

    def heartbeat(
        self, peer: bytes, request: Heartbeat, now: float, key: str | None = None
    ) -> list[Effect]:
        """Renew a client's lease."""
        return self._renewal.renew(peer, request, now, key)

    def disconnect(
        self, peer: bytes, request: Disconnect, now: float, key: str | None = None
    ) -> list[Effect]:
        """A client leaves. An unknown client has left already, which is not an error."""
        if not self._authorization.owns(request.session, key):
            return [Send(peer, Disconnected(id=request.id))]
        effects = self._agreement.leave(request.session, request.next_sequences, now)
        return [*effects, Send(peer, Disconnected(id=request.id))]

    def recheck_permissions(self, keys: Iterable[str], now: float) -> list[Effect]:
        """Re-check the permissions of the clients with these public keys, and expel
        clients that exceed them. Notifies publishers of the keys to accept."""
        return self._revocation.recheck(keys, now)

    def expect(self, snapshot: Snapshot, now: float) -> None:
        """The clients of an earlier run are expected to return."""
        self._membership.expect(snapshot, now, self._clock_ns())

    def tick(self, now: float) -> list[Effect]:
        """Handle everything due at ``now``: expired leases and queued notifications."""
        effects = [*self._agreement.tick(now), *self._membership.tick(now)]
        flush_at = self._notifications.flush_at
        if flush_at is not None and now >= flush_at:
            effects += self._notifications.flush_some()
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        return earliest(
            self._notifications.flush_at,
            self._agreement.next_deadline(),
            self._membership.next_deadline(),
        )

    # Output

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Effect]:
        """Send queued notifications now: all, or only those to the subscribers of
        ``topics``, or only those to ``session``."""
        return [*self._notifications.flush(topics, session)]

    def farewell(self) -> list[Effect]:
        """Send a farewell to every client, after its queued notifications. The broker
        stops, and publishers continue without it."""
        return [*self.flush(), *self._notifications.farewell()]

    def status(self, request: StatusRequest, now: float) -> Status:
        """The status of this broker, or one page of it."""
        return self._self_report.status(request, now)

    def snapshot(self, now: float) -> Snapshot:
        """The registered and the expected clients, for a later run."""
        expected = self._membership.expected(now)
        return snapshot_of(self.own.clients(), expected, self._clock_ns())
