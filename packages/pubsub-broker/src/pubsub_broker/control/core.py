"""The broker's decisions: control messages in, effects out.

The differences between the two models are in `pubsub_broker.control.dissemination`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from pubsub_broker.control.admission import Admission
from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.dissemination import Dissemination
from pubsub_broker.control.effects import Effect, Joined, Rejected, Send
from pubsub_broker.control.membership import Membership
from pubsub_broker.control.notifications import ClientConnection, Notifications
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.interface import Client, Registry
from pubsub_broker.registry.snapshot import Snapshot, snapshot_of
from pubsub_broker.security.authorization import Authorization
from pubsub_common.defaults import (
    MAX_CLIENTS,
    MAX_CONTROL_BYTES,
    MAX_TOPICS_PER_CLIENT,
)
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    ClientStatus,
    ClockReply,
    ClockRequest,
    Disconnect,
    Disconnected,
    Error,
    Heartbeat,
    Model,
    Register,
    Registered,
    Request,
    Role,
    Status,
    StatusRequest,
)

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Grants

_MAX_DETAIL: Final = 500


class BrokerCore:
    """The state of one broker. ``now`` is always seconds of one monotonic clock."""

    def __init__(
        self,
        model: Model,
        registry: Registry,
        *,
        epoch: int,
        lease_s: float,
        new_session: Callable[[], int],
        ports: Callable[[Iterable[str]], Mapping[str, int]] = lambda _topics: {},
        forwarded: Callable[[], int] = lambda: 0,
        clock_ns: Callable[[], int] = lambda: 0,
        now: float = 0.0,
        max_clients: int = MAX_CLIENTS,
        max_from_origin: int = MAX_CLIENTS,
        max_topics: int = MAX_TOPICS_PER_CLIENT,
        grants: Grants | None = None,
    ) -> None:
        """``ports`` maps topics to the broker ports that forward them;
        ``forwarded`` tells how many events have come in, ``clock_ns`` the broker's
        realtime clock. No more than ``max_clients`` may be registered at a time, no more
        than ``max_from_origin`` of them from one IP address, each with no more than
        ``max_topics``. With ``grants`` clients are known by their public keys, ``key`` in
        what follows, and may do what these say."""
        self.model = model
        self.epoch = epoch
        self.rejected = 0
        self._registry = registry
        self._lease_s = lease_s
        self._new_session = new_session
        self._forwarded = forwarded
        self._clock_ns = clock_ns
        self._started_at = now
        self._admission = Admission(
            model,
            registry,
            max_clients=max_clients,
            max_from_origin=max_from_origin,
            max_topics=max_topics,
        )
        self._authorization = Authorization(grants, registry)
        self._dissemination = Dissemination(model, registry, ports, grants)
        self._notifications = Notifications(
            registry, self._dissemination.info, self._dissemination.ports
        )
        self._metrics = MetricsTable()
        self._membership = Membership(
            model,
            registry,
            self._notifications,
            self._metrics,
            lease_s=lease_s,
            now=now,
        )

    @property
    def client_count(self) -> int:
        """How many clients are registered."""
        return self._registry.count()

    @property
    def changes(self) -> int:
        """Changes of what `snapshot` tells, so far."""
        return self._membership.changes

    # Input

    def receive(
        self, peer: bytes, data: bytes, now: float, key: str | None = None
    ) -> list[Effect]:
        """Handle whatever came from ``peer``; never raises for what a peer sent."""
        try:
            request = self.decode(data)
        except ProtocolError as error:
            return self.undecodable(peer, data, error)
        return self.handle(peer, request, now, key)

    def decode(self, data: bytes) -> Request:
        """A client's message.

        Raises:
            ProtocolError: it is none, or too long for one.
        """
        if len(data) > MAX_CONTROL_BYTES:
            raise ProtocolError(
                f"{len(data)} bytes are too many; at most {MAX_CONTROL_BYTES} are allowed"
            )
        return messages.decode_request(data)

    def undecodable(
        self, peer: bytes, data: bytes, error: ProtocolError
    ) -> list[Effect]:
        """Answer what could not be decoded."""
        return self._reject(peer, messages.explain_undecodable(data, error))

    def postpone(self, peer: bytes, request: Request) -> list[Effect]:
        """Answer a request that its sender's address may not make so soon."""
        self.rejected += 1
        detail = "too many from this address at once; try again later"
        return [Send(peer, Error(id=request.id, code=messages.TOO_FAST, detail=detail))]

    def handle(
        self,
        peer: bytes,
        request: Request,
        now: float,
        key: str | None = None,
        *,
        origin: str | None = None,
    ) -> list[Effect]:
        """Handle a request that has been decoded. It came from the IP address ``origin``,
        if that is known."""
        match request:
            case Register():
                return self.register(peer, request, now, key, origin=origin)
            case Heartbeat():
                return self.heartbeat(peer, request, now, key)
            case Disconnect():
                return self.disconnect(peer, request, now, key)
            case StatusRequest():
                if not self._authorization.may_ask_status(key):
                    return self._reject(peer, _no_status(request.id))
                # First what is due, so that nobody is listed whose lease has ended.
                return [*self.tick(now), Send(peer, self.status(request, now))]
            case ClockRequest():
                return [Send(peer, self._time(request))]

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
        if request.version != messages.PROTOCOL_VERSION:
            return self._reject(
                peer, messages.wrong_version(request.id, request.version)
            )
        session = request.session
        if session is None:
            # A client that asks twice, because the first answer was late, is one client.
            session = self._session_of(peer, request)
        previous = None if session is None else self._registry.get(session)
        try:
            topics = self._admission.validated_topics(request)
            self._authorization.check(request, topics, key, previous)
            if previous is None:
                self._admission.check_room(request, origin)
        except Refusal as refusal:
            reply = Error(id=request.id, code=refusal.code, detail=refusal.detail)
            return self._reject(peer, reply)
        client = Client.of(
            request,
            session=self._new_session() if session is None else session,
            topics=topics,
            key=key,
            key_name=self._authorization.key_name_of(key),
            origin=origin,
        )
        earlier = self._metrics.get(client.session)
        effects = self._membership.enter(client, previous, now)
        self._metrics.open(client, earlier, now, new=request.session is None)
        connection = self._notifications.update_peer(client.session, peer)
        connection.forget_pending()
        again = previous is not None or request.session is not None
        effects.append(Send(peer, self._registered(request, client, connection)))
        effects.append(Joined(client, again))
        return effects

    def heartbeat(
        self, peer: bytes, request: Heartbeat, now: float, key: str | None = None
    ) -> list[Effect]:
        """Renew a client's lease."""
        if not self._authorization.owns(request.session, key):
            return [Send(peer, Alive(id=request.id, epoch=self.epoch, known=False))]
        connection = self._notifications.get(request.session)
        known = self._registry.renew(request.session, now) and connection is not None
        revision = 0
        if connection is not None:
            # A client whose TCP connection broke comes back under another peer id.
            self._notifications.update_peer(request.session, peer)
            revision = connection.revision
        client = self._registry.get(request.session)
        clocks = None
        effects: list[Effect] = []
        if client is not None:
            effects += self._metrics.update(client, request, now)
            if client.role == "subscriber":
                publishers = self._registry.matching("publisher", client.topics)
                clocks = self._metrics.clock_range(publishers)
        alive = Alive(
            id=request.id,
            epoch=self.epoch,
            known=known,
            revision=revision,
            publishers_clock=clocks,
        )
        return [Send(peer, alive), *effects]

    def disconnect(
        self, peer: bytes, request: Disconnect, now: float, key: str | None = None
    ) -> list[Effect]:
        """A client leaves. One that is not known has left already: no error."""
        if not self._authorization.owns(request.session, key):
            return [Send(peer, Disconnected(id=request.id))]
        effects = self._membership.leave(request.session, request.next_sequences, now)
        return [*effects, Send(peer, Disconnected(id=request.id))]

    def recheck_permissions(self, keys: Iterable[str], now: float) -> list[Effect]:
        """Re-check the permissions of the clients with these public keys, and expel
        clients that exceed them. Notifies publishers of the keys to accept."""
        if not self._authorization.limited:
            return []
        effects: list[Effect] = []
        changed = set(keys)
        for client in list(self._registry.clients()):
            if client.key in changed:
                effects += self._recheck(client, now)

        def no_longer_allowed(client: Client) -> bool:
            return (
                client.key in changed
                and self._authorization.refusal(client) is not None
            )

        self._membership.revoke_departed(no_longer_allowed, now)
        if self.model == "decentralized":
            for client in self._registry.clients():
                if client.role == "publisher":
                    self._notifications.set_vouched(
                        client, self._dissemination.vouched(client), now
                    )
        return effects

    def expect(self, snapshot: Snapshot, now: float) -> None:
        """The clients of an earlier run are likely to come back."""
        self._membership.expect(snapshot, now, self._clock_ns())

    def tick(self, now: float) -> list[Effect]:
        """What is due at ``now``: leases that ended, notifications that waited."""
        effects = self._membership.tick(now)
        flush_at = self._notifications.flush_at
        if flush_at is not None and now >= flush_at:
            effects += self.flush()
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
        times = (self._notifications.flush_at, self._membership.next_deadline())
        return min((time for time in times if time is not None), default=None)

    # Output

    def role_of(self, session: int) -> Role | None:
        """The role of a registered client; None when there is none."""
        client = self._registry.get(session)
        return None if client is None else client.role

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Effect]:
        """Send waiting notifications now: all of them, or only those to the
        subscribers of ``topics``, or only those to ``session``."""
        return [*self._notifications.flush(topics, session)]

    def farewell(self) -> list[Effect]:
        """Send a farewell to every client, after its queued notifications: the broker
        ends, and publishers go on without it."""
        return [*self.flush(), *self._notifications.farewell(self.epoch)]

    def status(self, request: StatusRequest, now: float) -> Status:
        """The broker's view of itself."""
        return Status(
            id=request.id,
            epoch=self.epoch,
            model=self.model,
            uptime_s=now - self._started_at,
            clients=self._clients(now),
            expected=self._membership.expected(now),
            forwarded=self._forwarded(),
            rejected=self.rejected,
        )

    def snapshot(self, now: float) -> Snapshot:
        """The registered and the expected clients, for a later run."""
        expected = self._membership.expected(now)
        return snapshot_of(self._clients(now), expected, self._clock_ns())

    # Inside

    def _clients(self, now: float) -> list[ClientStatus]:
        return [
            self._metrics.status_of(client, now) for client in self._registry.clients()
        ]

    def _reject(self, peer: bytes, error: Error) -> list[Effect]:
        self.rejected += 1
        # Details quote the peer, who may have sent megabytes or line breaks.
        detail = "".join(
            char if char.isprintable() else "?" for char in error.detail[:_MAX_DETAIL]
        )
        error = Error(id=error.id, code=error.code, detail=detail)
        return [Send(peer, error), Rejected(peer, detail)]

    def _recheck(self, client: Client, now: float) -> list[Effect]:
        refusal = self._authorization.refusal(client)
        if refusal is None:
            return []
        effects: list[Effect] = []
        connection = self._notifications.get(client.session)
        if connection is not None:
            why = Error(id=-1, code=refusal.code, detail=refusal.detail)
            effects.append(Send(connection.peer, why))
        return effects + self._membership.expel(client, now)

    def _session_of(self, peer: bytes, request: Register) -> int | None:
        """The session of a client that has just said the same on this connection."""
        session = self._notifications.session_at(peer)
        client = None if session is None else self._registry.get(session)
        if client is None or (client.role, client.address) != (
            request.role,
            request.address,
        ):
            return None
        return session

    def _time(self, request: ClockRequest) -> ClockReply:
        received_ns = self._clock_ns()
        return ClockReply(
            id=request.id,
            sent_ns=request.sent_ns,
            received_ns=received_ns,
            replied_ns=self._clock_ns(),
        )

    def _registered(
        self, request: Register, client: Client, connection: ClientConnection
    ) -> Registered:
        publishers = self._dissemination.publishers_of(client)
        return Registered(
            id=request.id,
            session=client.session,
            epoch=self.epoch,
            lease_s=self._lease_s,
            model=self.model,
            revision=connection.revision,
            ports=self._dissemination.ports_of(client, publishers),
            publishers=publishers,
            vouched=self._dissemination.vouched(client),
            listeners=self._dissemination.listeners(client),
        )


def _no_status(request_id: int) -> Error:
    return Error(
        id=request_id,
        code=messages.NOT_ALLOWED,
        detail="the policy does not let this client ask for the status",
    )
