"""Handles a registration: decides on it; later enters the client and replies.

With a group, its engine comes between the two steps (`agreement`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pubsub_broker.control.admission import Admission
from pubsub_broker.control.brokers import Brokers
from pubsub_broker.control.client_connection import ClientConnection
from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.dissemination import Dissemination
from pubsub_broker.control.effects import Effect, Joined, Send
from pubsub_broker.control.membership import Membership, only_topics_differ
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.control.pending import Pending, PendingTable
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.interface import Client
from pubsub_broker.security.authorization import Authorization
from pubsub_common.defaults import RECORD_BYTES
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.protocol.messages import Error, Model, Register, Registered
from pubsub_common.protocol.undecodable import wrong_version
from pubsub_common.protocol.versions import chosen_version

# This many topics always fit into a record, whatever their names.
_FEW_TOPICS: Final = 256


class Registration:
    """Applies registrations to the other parts of the broker, and replies. ``now`` is
    seconds of one monotonic clock."""

    def __init__(
        self,
        model: Model,
        clients: Clients,
        pending: PendingTable,
        admission: Admission,
        authorization: Authorization,
        membership: Membership,
        notifications: Notifications,
        metrics: MetricsTable,
        dissemination: Dissemination,
        brokers: Brokers,
        *,
        epoch: int,
        lease_s: float,
        owner_idle_s: float | None,
        new_session: Callable[[], int],
        is_lost: Callable[[bytes], bool],
    ) -> None:
        self._model = model
        self._clients = clients
        self._pending = pending
        self._admission = admission
        self._authorization = authorization
        self._membership = membership
        self._notifications = notifications
        self._metrics = metrics
        self._dissemination = dissemination
        self._brokers = brokers
        self._epoch = epoch
        self._lease_s = lease_s
        self._owner_idle_s = owner_idle_s
        self._new_session = new_session
        self._is_lost = is_lost

    def decide(
        self, peer: bytes, request: Register, key: str | None, origin: str | None
    ) -> Pending:
        """Decide on the registration of a publisher or subscriber, new or repeated.

        Raises:
            Refusal: it is not allowed, or a limit is reached.
        """
        version = chosen_version(request.versions)
        if version is None:
            error = wrong_version(request.id, request.versions)
            raise Refusal(error.code, error.detail)
        session = request.session
        if session is None:
            # A client that repeats its request, because the first reply was late, is
            # one client.
            session = self._session_of(peer, request)
        previous = None if session is None else self._client(session)
        topics = self._admission.validated_topics(request, origin)
        self._authorization.check(request, topics, key, previous)
        self._check_session(peer, request, previous)
        group = None if origin is None else group_of(origin)
        self._admission.check_room(request, topics, group, previous)
        client = Client.of(
            request,
            session=self._fresh_session(key) if session is None else session,
            topics=topics,
            key=key,
            key_name=self._authorization.key_name_of(key),
            origin=group,
        )
        if self._brokers.group is not None:
            _check_size(client)
        return Pending(peer, request, version, client)

    def enter(self, pending: Pending, now: float) -> list[Effect]:
        """Enter the client here."""
        client, request = pending.client, pending.request
        previous = self._clients.all.get(client.session)
        changed = (
            previous is not None
            and self._clients.is_own(client.session)
            and only_topics_differ(previous, client)
        )
        earlier = self._metrics.get(client.session)
        effects = self._membership.enter(client, self._clients.broker, now)
        self._metrics.open(client, earlier, now, new=request.session is None)
        connection = self._notifications.update_peer(client.session, pending.peer)
        connection.forget_pending()
        again = previous is not None or request.session is not None
        reply = self._reply(request, pending.version, client, connection)
        effects.append(Send(pending.peer, reply))
        effects.append(Joined(client, again, previous if changed else None))
        return effects

    def _check_session(
        self, peer: bytes, request: Register, previous: Client | None
    ) -> None:
        """Check that a registration under the session of ``previous`` comes from that
        client. Otherwise a second client that got this session by mistake would replace
        it.

        Raises:
            Refusal: it is another client, and the previous one is still there.
        """
        if previous is None or _same_place(previous, request):
            return
        if self._is_free(previous.session, peer):
            return
        raise Refusal(
            messages.SESSION_IN_USE,
            f"session {previous.session} is in use by a {previous.role} at "
            f"{previous.address}, so a {request.role} at {request.address} cannot "
            "have it",
        )

    def _is_free(self, session: int, peer: bytes) -> bool:
        """Whether no other connection than ``peer`` belongs to this client."""
        pending = self._pending.get(session)
        if pending is not None:
            there = pending.peer
        elif not self._clients.is_own(session):
            return False  # another broker has the client, and knows its connection
        else:
            connection = self._notifications.get(session)
            if connection is None:
                return True
            there = connection.peer
        return there == peer or self._is_lost(there)

    def _client(self, session: int) -> Client | None:
        """The client that a session stands for, or will stand for in a moment."""
        pending = self._pending.get(session)
        return self._clients.all.get(session) if pending is None else pending.client

    def _fresh_session(self, key: str | None) -> int:
        session = self._authorization.session_for(key, self._new_session())
        while self._authorization.limited and self._client(session) is not None:
            session = self._authorization.session_for(key, self._new_session())
        return session

    def _session_of(self, peer: bytes, request: Register) -> int | None:
        """The session of a client that has just sent the same on this connection."""
        session = self._pending.session_at(peer)
        if session is None:
            session = self._notifications.session_at(peer)
        client = None if session is None else self._client(session)
        return session if client is not None and _same_place(client, request) else None

    def _reply(
        self,
        request: Register,
        version: int,
        client: Client,
        connection: ClientConnection,
    ) -> Registered:
        publishers = self._dissemination.publishers_of(client)
        return Registered(
            id=request.id,
            version=version,
            session=client.session,
            epoch=self._epoch,
            lease_s=self._lease_s,
            model=self._model,
            revision=connection.revision,
            ports=self._dissemination.ports_of(client, publishers),
            publishers=publishers,
            vouched=self._dissemination.vouched(client),
            listeners=self._dissemination.listeners(client),
            demand=self._dissemination.demand(client),
            owner_idle_s=self._owner_idle_s if client.role == "subscriber" else None,
            brokers=self._brokers.addresses,
        )


def _same_place(client: Client, request: Register) -> bool:
    """Whether a request names the client's address and role."""
    return (client.role, client.address) == (request.role, request.address)


def refusal_reply(request: Register, refusal: Refusal) -> Error:
    """The reply to a registration that is rejected."""
    return Error(id=request.id, code=refusal.code, detail=refusal.detail)


def _check_size(client: Client) -> None:
    """Check the size of the client's record in the registry of a group.

    Raises:
        Refusal: it is too large.
    """
    if len(client.topics) <= _FEW_TOPICS:
        return
    size = len(messages.encode(client))
    if size > RECORD_BYTES:
        raise Refusal(
            messages.TOO_MANY,
            f"{len(client.topics)} topics with names of this length are too many: "
            "they would take "
            f"{size} bytes in the registry of the group; at most {RECORD_BYTES} are "
            "allowed per client",
        )
