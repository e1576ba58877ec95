"""The broker's decisions: control messages in, effects out.

A request is dispatched once, by `BrokerCore.handle`; what it asks for is done by the part of
the core that it concerns: `registration`, `membership`, `revocation`, …. The differences
between the two models are in `dissemination`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pubsub_broker.control.address_rules import AddressRules
from pubsub_broker.control.admission import Admission
from pubsub_broker.control.agreement import Agreement
from pubsub_broker.control.attachments import Attachments
from pubsub_broker.control.brokers import Brokers
from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.dissemination import Dissemination
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.control.membership import Membership
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.control.own_leases import OwnLeases
from pubsub_broker.control.pending import PendingTable
from pubsub_broker.control.refusals import Refusals, decode_request
from pubsub_broker.control.registration import Registration, refusal_reply
from pubsub_broker.control.renewal import Renewal
from pubsub_broker.control.revocation import Revocation
from pubsub_broker.control.self_report import SelfReport
from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.control.status_pages import StatusPages
from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    broker_name,
)
from pubsub_broker.registry.interface import Registry
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.registry.snapshot import Snapshot, snapshot_of
from pubsub_broker.security.authorization import Authorization
from pubsub_common.defaults import MAX_CLIENTS, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import (
    ClockRequest,
    Disconnect,
    Disconnected,
    Heartbeat,
    Hello,
    Model,
    Register,
    Request,
    Status,
    StatusRequest,
    TopicPort,
)

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Grants
    from pubsub_broker.security.session_signature import SessionSignature


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
        ports: Callable[[Iterable[str]], Mapping[str, TopicPort]] = lambda _topics: {},
        forwarded: Callable[[], int] = lambda: 0,
        clock_ns: Callable[[], int] = lambda: 0,
        is_lost: Callable[[bytes], bool] = lambda _peer: False,
        now: float = 0.0,
        max_clients: int = MAX_CLIENTS,
        max_from_origin: int = MAX_CLIENTS,
        max_publishers_from_origin: int = MAX_CLIENTS,
        max_topics: int = MAX_TOPICS_PER_CLIENT,
        addresses: AddressRules | None = None,
        grants: Grants | None = None,
        signature: SessionSignature | None = None,
        forwarder: str = "",
        owner_idle_s: float | None = None,
        group: str | None = None,
    ) -> None:
        """``ports`` maps topics to the broker ports that forward them;
        ``forwarded`` tells how many events have come in, ``clock_ns`` the broker's
        realtime clock, ``is_lost`` whether a connection is known to have ended. No more than
        ``max_clients`` may be registered at a time, no more
        than ``max_from_origin`` of them from one IP address, of these
        ``max_publishers_from_origin`` publishers, each with no more than ``max_topics``;
        ``addresses`` tells which address a client may name (by default, any). With ``grants``
        clients are known by their public keys, ``key`` in what follows, and may do what
        these say; ``signature`` is of the sessions that they are given. ``forwarder`` is by
        what publishers know the broker's forwarders. The broker of a ``group`` proposes what it
        decides, and `applied` does it; it is cut off until `set_cut_off` says that it is
        not."""
        self.model = model
        self.epoch = epoch
        self._started_at = now
        self.refusals = Refusals()
        grouped = group is not None
        # The clients that are registered at this broker.
        self.own = MemoryRegistry() if grouped else registry
        self._clients = Clients(
            registry, self.own, OwnLeases(lease_s), broker_name(epoch)
        )
        self._brokers = Brokers(self._clients.broker, group)
        self._clock_ns = clock_ns
        self._is_lost = is_lost
        self._authorization = Authorization(grants, registry, signature)
        self._places: TopicPlaces | None = None
        self._served: ServedSubscribers | None = None
        if grouped and model == "centralized":
            self._places = TopicPlaces(registry, self.own, ports)
            self._served = ServedSubscribers(registry, self._clients.is_own)
        self._dissemination = Dissemination(
            model,
            registry,
            ports,
            grants,
            lambda: self._brokers.forwarders or [forwarder] * bool(forwarder),
            self._places,
        )
        self._notifications = Notifications(
            self.own,
            self._dissemination.info,
            self._dissemination.ports,
            lambda: self._brokers.addresses,
        )
        self._metrics = MetricsTable()
        attachments = Attachments(
            registry, lease_s=lease_s, is_lost=is_lost, served=self._served
        )
        self._membership = Membership(
            self._clients,
            self._notifications,
            self._metrics,
            attachments if model == "centralized" else None,
            self._places,
            lease_s=lease_s,
            now=now,
        )
        pending = PendingTable()
        admission = Admission(
            model,
            self._clients,
            pending.occupancy,
            max_clients=max_clients,
            max_from_origin=max_from_origin,
            max_publishers=max_publishers_from_origin,
            max_topics=max_topics,
            addresses=addresses or AddressRules(allow_foreign=True),
        )
        self._registration = Registration(
            model,
            self._clients,
            pending,
            admission,
            self._authorization,
            self._membership,
            self._notifications,
            self._metrics,
            self._dissemination,
            self._brokers,
            epoch=epoch,
            lease_s=lease_s,
            owner_idle_s=owner_idle_s,
            new_session=new_session,
            is_lost=is_lost,
        )
        self._agreement = Agreement(
            self._clients,
            pending,
            self._registration,
            self._membership,
            shared=grouped,
            now=now,
        )
        self._self_report = SelfReport(
            model,
            self._clients,
            self._brokers,
            self._agreement,
            StatusPages(self._clients, self._brokers, self._membership, self._metrics),
            self.refusals,
            epoch=epoch,
            clock_ns=clock_ns,
            forwarded=forwarded,
            now=now,
        )
        self._renewal = Renewal(
            self._clients,
            self._authorization,
            self._notifications,
            self._metrics,
            lambda: self.changes,
            self._dissemination.demand,
            lambda: self.cut_off,
            epoch=epoch,
        )
        self._revocation = Revocation(
            model,
            self.own,
            self._authorization,
            self._agreement,
            self._membership,
            self._notifications,
            self._dissemination,
        )

    @property
    def client_count(self) -> int:
        """How many clients are registered here."""
        return self.own.count()

    @property
    def cut_off(self) -> bool:
        """Whether other brokers of the group may take this one for gone."""
        return self._agreement.cut_off

    @property
    def changes(self) -> int:
        """Changes of what `snapshot` tells, so far."""
        return self._membership.changes

    @property
    def queued(self) -> int:
        """Topics in notifications that were queued, so far: work that is still to be done
        for those who have asked for something."""
        return self._notifications.queued

    # Input

    def receive(
        self, peer: bytes, data: bytes, now: float, key: str | None = None
    ) -> list[Effect]:
        """Handle whatever came from ``peer``; never raises for what a peer sent."""
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
                    return self.refusals.no_status(peer, request)
                # First what is due, so that nobody is listed whose lease has ended.
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
            # It may have moved, where this broker was stopped for a while.
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
        """A client leaves. One that is not known has left already: no error."""
        if not self._authorization.owns(request.session, key):
            return [Send(peer, Disconnected(id=request.id))]
        effects = self._agreement.leave(request.session, request.next_sequences, now)
        return [*effects, Send(peer, Disconnected(id=request.id))]

    def recheck_permissions(self, keys: Iterable[str], now: float) -> list[Effect]:
        """Re-check the permissions of the clients with these public keys, and expel
        clients that exceed them. Notifies publishers of the keys to accept."""
        return self._revocation.recheck(keys, now)

    def expect(self, snapshot: Snapshot, now: float) -> None:
        """The clients of an earlier run are likely to come back."""
        self._membership.expect(snapshot, now, self._clock_ns())

    def tick(self, now: float) -> list[Effect]:
        """What is due at ``now``: leases that ended, notifications that waited."""
        effects = [*self._agreement.tick(now), *self._membership.tick(now)]
        flush_at = self._notifications.flush_at
        if flush_at is not None and now >= flush_at:
            effects += self._notifications.flush_some()
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
        times = (
            self._notifications.flush_at,
            self._agreement.next_deadline(),
            self._membership.next_deadline(),
        )
        return min((time for time in times if time is not None), default=None)

    # From the engine of a group

    def describe(self, record: BrokerRecord) -> None:
        """What this broker says of itself in its group."""
        self._brokers.came(self._clients.broker, record)
        self._place_topics(self._started_at)

    def applied(self, change: Change, now: float) -> list[Effect]:
        """The engine told of a change: of what this broker has proposed, or another one."""
        match change:
            case BrokerCame(broker=broker, record=record):
                changed = self._brokers.came(broker, record)
            case BrokerWent(broker=broker):
                changed = self._brokers.went(broker, self._clients.counts())
            case _:
                return self._agreement.applied(change, now)
        self._place_topics(now)
        if changed:
            self._notifications.brokers_changed(now)
        return []

    def _place_topics(self, now: float) -> None:
        """The brokers of the group may be others."""
        if self._places is not None:
            home, others = self._brokers.own_address(), self._brokers.forwarding()
            self._places.set_brokers(home, others, now)
            if self._served is not None:
                forwarding = [each for each, ports in others.items() if ports]
                self._served.set_brokers(home, forwarding, now)

    def set_cut_off(self, cut_off: bool, now: float) -> list[Effect]:
        """Say whether other brokers may take this one for gone: what is decided is done at
        once from now on, or by `applied`."""
        return self._agreement.set_cut_off(cut_off, now)

    # Output

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Effect]:
        """Send waiting notifications now: all of them, or only those to the
        subscribers of ``topics``, or only those to ``session``."""
        return [*self._notifications.flush(topics, session)]

    def farewell(self) -> list[Effect]:
        """Send a farewell to every client, after its queued notifications: the broker
        ends, and publishers go on without it."""
        return [*self.flush(), *self._notifications.farewell()]

    def status(self, request: StatusRequest, now: float) -> Status:
        """The broker's view of itself, or a page of it."""
        return self._self_report.status(request, now)

    def snapshot(self, now: float) -> Snapshot:
        """The registered and the expected clients, for a later run."""
        expected = self._membership.expected(now)
        return snapshot_of(self.own.clients(), expected, self._clock_ns())
