"""Builds the parts of the broker's core."""

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
from pubsub_broker.control.membership import Membership
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.control.own_leases import OwnLeases
from pubsub_broker.control.pending import PendingTable
from pubsub_broker.control.refusals import Refusals
from pubsub_broker.control.registration import Registration
from pubsub_broker.control.renewal import Renewal
from pubsub_broker.control.revocation import Revocation
from pubsub_broker.control.self_report import SelfReport
from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.control.status_pages import StatusPages
from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.registry.changes import (
    broker_name,
)
from pubsub_broker.registry.interface import Registry
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.security.authorization import Authorization
from pubsub_common.defaults import MAX_CLIENTS, MAX_TOPICS_PER_CLIENT
from pubsub_common.protocol.messages import (
    Model,
    TopicPort,
)

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Grants
    from pubsub_broker.security.session_signature import SessionSignature


class CoreParts:
    """What `BrokerCore` consists of. ``now`` is seconds of one monotonic clock."""

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
        address: Callable[[], str] = lambda: "",
        version: str = "",
        group: str | None = None,
    ) -> None:
        """Build the parts.

        Args:
            ports: Maps topics to the broker ports that forward them.
            forwarded: Returns how many events have come in.
            clock_ns: The broker's realtime clock.
            is_lost: Whether a connection is known to have closed.
            max_clients: The limit for registered clients.
            max_from_origin: The limit for clients from one IP address.
            max_publishers_from_origin: The limit for publishers from one IP address.
            max_topics: The limit for topics of one client.
            addresses: The addresses that a client may name; by default any.
            grants: The permissions of clients, which are then known by their public
                keys (``key`` in the requests).
            signature: Signs the sessions that clients get.
            forwarder: How publishers identify the broker's forwarders.
            address: Where clients find the broker, ``HOST:PORT``.
            version: The version of its software.
            group: The group of brokers. The broker proposes its decisions to it, and
                `applied` carries them out. It is cut off until `set_cut_off` says
                otherwise.
        """
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
        attachments: Attachments | None = None
        if grouped and model == "centralized":
            self._places = TopicPlaces(registry, self.own, ports)
            self._served = ServedSubscribers(
                registry, self._clients.is_own, self._places.kept_here
            )
            attachments = Attachments(
                registry, lease_s=lease_s, is_lost=is_lost, served=self._served
            )
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
        self._membership = Membership(
            self._clients,
            self._notifications,
            self._metrics,
            attachments,
            self._places,
            forwards=model == "centralized",
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
            address=address,
            version=version,
            now=now,
        )
        self._renewal = Renewal(
            self._clients,
            self._authorization,
            self._notifications,
            self._metrics,
            lambda: self._membership.changes,
            self._dissemination.demand,
            lambda: self._agreement.cut_off,
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
